package org.jenkinsci.plugins.workflow.support.steps

import jenkins.model.CauseOfInterruption

class ExecutorStepExecution {
    static class RemovedNodeCause extends CauseOfInterruption {
        String getShortDescription() { 'Agent was removed' }
    }
}
