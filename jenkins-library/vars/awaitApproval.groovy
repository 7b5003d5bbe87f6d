import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException

/**
 * Lets a person decide about a release. The window, what silence means and whether the release is taken back are the binary's
 * business; this asks Jenkins's own question, without an agent, and hands over what has happened to it.
 */
Map call(Map options = [:]) {
    Map record = slipway.onAgent(options) {
        return slipway.attempt([step: 'await-approval open'] + options)
    }
    // Time is left after an answer where that was a silence by another clock than the record's.
    while (record.details.remainingSeconds && !record.details.dryRun) {
        record = ask(options, record.details)
    }
    return slipway.judge(record, options.results)
}

Map ask(Map options, Map record) {
    Map question = [
        id: 'slipway-' + record.id.replaceAll('[^A-Za-z0-9]+', '-'), message: record.message, ok: 'Keep', submitterParameter: 'by',
    ]
    if (options.submitter) {
        question.submitter = options.submitter
    }
    Map facts = [:]
    Throwable stopped = null
    long from = System.currentTimeMillis()
    try {
        timeout(time: record.remainingSeconds, unit: 'SECONDS') {
            facts = [signal: 'proceed', by: input(question)]
        }
    } catch (FlowInterruptedException e) {
        stopped = e
        facts = slipway.signalOf(e)
    }
    long at = System.currentTimeMillis()
    boolean over = at - from >= record.remainingSeconds * 1000L // by the clock that the timeout went by
    if (facts.signal == 'interrupted' && over) {
        facts = [signal: 'timeout']
    }
    if (facts.signal == 'timeout' && !over || facts.signal == 'lost') {
        facts = [signal: 'cancel'] // it was another timeout, or the agent's end, and says nothing about the release
    }
    Map done = slipway.persist(options) {
        withEnv(slipway.environment(options)) {
            return slipway.attempt([step: 'await-approval resolve', id: record.id, via: options.via ?: 'jenkins', at: at] + facts +
                slipway.access(options))
        }
    }
    if (facts.signal == 'cancel') {
        throw stopped
    }
    return done
}
