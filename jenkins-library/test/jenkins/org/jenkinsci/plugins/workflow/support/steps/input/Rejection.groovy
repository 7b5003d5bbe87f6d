package org.jenkinsci.plugins.workflow.support.steps.input

import jenkins.model.CauseOfInterruption

/** Somebody has answered an input with Abort. */
class Rejection extends CauseOfInterruption {
    String id
    /** Jenkins has an object here. */
    Map getUser() { [id: id] }
    String getShortDescription() { "Rejected by $id" }
}
