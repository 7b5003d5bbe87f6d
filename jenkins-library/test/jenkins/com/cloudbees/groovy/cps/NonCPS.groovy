package com.cloudbees.groovy.cps

import java.lang.annotation.Retention
import java.lang.annotation.RetentionPolicy

/** Marks methods that run as ordinary Groovy: without steps, and without being saved in between. */
@Retention(RetentionPolicy.RUNTIME)
@interface NonCPS {
}
