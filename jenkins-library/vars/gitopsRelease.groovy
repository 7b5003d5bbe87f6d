/**
 * Releases images and waits until they are healthy; with approval: a person is asked then, and a release that is rejected is
 * taken back, in Git and in the cluster.
 */
Map call(Map options) {
    Map released = slipway([step: 'release'] + options)
    if (!options.approval || released.exitCode != 0 || released.details.dryRun) {
        return released
    }
    Map decided = [:]
    // The record of the release is on an agent that may be gone, and says no more than the revision.
    withEnv(slipway.environment(options + [record: null])) {
        decided = awaitApproval(slipway.access(options) + [revision: released.details.revision, onReject: 'revert'] + options.approval +
            [results: options.results])
    }
    return released + decided + [details: released.details + decided.details]
}
