package org.jenkinsci.plugins.workflow.steps

import jenkins.model.CauseOfInterruption

class TimeoutStepExecution {
    static class ExceededTimeout extends CauseOfInterruption {
        String getShortDescription() { 'Timeout has been exceeded' }
    }
}
