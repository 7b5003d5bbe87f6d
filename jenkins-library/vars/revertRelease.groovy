/** slipway revert: see the help of slipway for the parameters. */
Map call(Map options = [:]) {
    return slipway([step: 'revert'] + options)
}
