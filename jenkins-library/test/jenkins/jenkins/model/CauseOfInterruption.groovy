package jenkins.model

/** Why a step was stopped. */
abstract class CauseOfInterruption implements Serializable {
    abstract String getShortDescription()

    /** Somebody has stopped the build. */
    static class UserInterruption extends CauseOfInterruption {
        String user
        String getShortDescription() { "Aborted by $user" }
    }
}
