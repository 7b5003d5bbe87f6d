package hudson

/** What ends a step without a stack trace. */
class AbortException extends IOException {
    AbortException(String message) { super(message) }
}
