package org.jenkinsci.plugins.workflow.steps

import jenkins.model.CauseOfInterruption
import org.jenkinsci.plugins.scriptsecurity.sandbox.RejectedAccessException

/** The end of a step that somebody or something has stopped; why is a secret in the sandbox. */
class FlowInterruptedException extends InterruptedException {
    final String result
    private final List<CauseOfInterruption> reasons
    private final boolean sandboxed

    FlowInterruptedException(String result, boolean sandboxed, CauseOfInterruption... causes) {
        this.result = result
        this.sandboxed = sandboxed
        this.reasons = causes as List
    }

    List<CauseOfInterruption> getCauses() {
        if (sandboxed) {
            throw new RejectedAccessException('method org.jenkinsci.plugins.workflow.steps.FlowInterruptedException getCauses')
        }
        return reasons
    }

    /** For the harness itself. */
    List<CauseOfInterruption> reasons() { reasons }
}
