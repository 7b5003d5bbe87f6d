package org.jenkinsci.plugins.scriptsecurity.sandbox

/** What the sandbox throws in the middle of a script. */
class RejectedAccessException extends SecurityException {
    RejectedAccessException(String signature) { super("Scripts not permitted to use $signature") }
}
