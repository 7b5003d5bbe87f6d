/** slipway argocd-sync: see the help of slipway for the parameters. */
Map call(Map options = [:]) {
    return slipway([step: 'argocd-sync'] + options)
}
