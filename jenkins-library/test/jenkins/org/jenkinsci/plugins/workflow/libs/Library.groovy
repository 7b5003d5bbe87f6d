package org.jenkinsci.plugins.workflow.libs

/** Loads a shared library; here there is only one. */
@interface Library {
    String[] value()
}
