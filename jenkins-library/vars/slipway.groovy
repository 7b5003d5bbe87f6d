import groovy.json.JsonException
import groovy.json.JsonSlurper
import groovy.transform.Field
import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException

/** The versions of the binary that this library was written for. */
@Field final String VERSIONS = '>=0.1.0-0,<2'

/** What the library keeps to itself; every other parameter is a flag of the binary. */
@Field final List OWN = ['step', 'results', 'agent', 'container', 'submitter', 'approval',
                         'gitCredentials', 'gitToken', 'sshCredentials', 'argocdCredentials', 'secrets']

@Field boolean checked = false
@Field int calls = 0

/** Runs one step of the binary where options say, and makes of its exit code what the build should make of it. */
Map call(Map options) {
    Map done = onAgent(options) {
        return attempt(options)
    }
    return judge(done, options.results)
}

/** Runs one step here and judges nothing: whatever happens to the binary is in the result. */
Map attempt(Map options) {
    if (!checked) {
        Map version = execute([step: 'version', require: VERSIONS])
        if (version.exitCode != 0) {
            return version
        }
        checked = true
    }
    return execute(options)
}

Map execute(Map options) {
    calls = calls + 1
    String output = pwd(tmp: true) + '/slipway-' + calls + '.json'
    String script = command(env.SLIPWAY_BIN ?: 'slipway', options, output)
    int code = 0
    withCredentials(bindings(options)) {
        code = sh(label: 'slipway ' + options.step, script: script, returnStatus: true)
    }
    // Below zero the agent is gone, and its files with it.
    return read(options.step, code, code >= 0 && fileExists(output) ? readFile(file: output, encoding: 'UTF-8') : '')
}

/** The result of the build follows from the category; where it stays as it is, the result of the step is returned. */
Map judge(Map done, Map results = null) {
    note(summary(done))
    if (done.exitCode == 0) {
        return done
    }
    String result = ([superseded: 'NOT_BUILT'] + (results ?: [:]))[done.category] ?: 'FAILURE'
    if (result == 'SUCCESS') {
        return done
    }
    if (result == 'UNSTABLE') {
        unstable(sentence(done))
        return done
    }
    if (result != 'FAILURE') { // error() says FAILURE by itself, and only if nobody catches it: retry may still succeed
        currentBuild.result = result
    }
    error(sentence(done))
}

/** Runs body on options.agent and in options.container, where they are given, else here. */
def onAgent(Map options, Closure body) {
    if (!options.agent) {
        return inContainer(options, body)
    }
    return node(options.agent) {
        return inContainer(options, body)
    }
}

def inContainer(Map options, Closure body) {
    if (!options.container) {
        return body()
    }
    return container(options.container) {
        return body()
    }
}

/**
 * Runs body, which returns the result of attempt, on an agent, and once more on another one while that is lost or the step asks
 * for it. Who stops the build meanwhile stops it afterwards: what a person has decided must not get lost with an agent.
 */
Map persist(Map options, Closure body) {
    Throwable stop = null
    for (int left = 2; left >= 0; left--) {
        Map done = null
        try {
            done = onAgent(options, body)
        } catch (Exception e) {
            if (left == 0) {
                throw e
            }
            if (e instanceof FlowInterruptedException && signalOf(e).signal == 'cancel') {
                stop = e
            }
        }
        if (done != null && (left == 0 || !['transient', 'lost'].contains(done.category))) {
            if (stop != null) {
                throw stop
            }
            return done
        }
        echo 'slipway: ' + (done == null ? 'the agent is gone, or the build was stopped' : sentence(done)) + '; once more'
    }
}

/** What ended an input: proceed is no interruption, and in the sandbox nobody may know. */
@NonCPS
Map signalOf(FlowInterruptedException e) {
    try {
        for (cause in e.causes) {
            String kind = cause.getClass().getSimpleName()
            if (kind == 'ExceededTimeout') {
                return [signal: 'timeout']
            }
            if (kind == 'Rejection') {
                return [signal: 'reject', by: cause.user?.id]
            }
            if (kind == 'RemovedNodeCause') {
                return [signal: 'lost']
            }
        }
        return [signal: 'cancel']
    } catch (SecurityException hidden) {
        return [signal: 'interrupted']
    }
}

/** Adds a line to the description of the build. */
def note(String line) {
    String before = currentBuild.description ?: ''
    if (line && !before.contains(line)) {
        currentBuild.description = before ? before + '\n' + line : line
    }
}

List bindings(Map options) {
    List bound = []
    String git = options.gitCredentials ?: env.SLIPWAY_GIT_CREDENTIALS
    String ssh = options.sshCredentials ?: env.SLIPWAY_SSH_CREDENTIALS
    String argocd = options.argocdCredentials ?: env.SLIPWAY_ARGOCD_CREDENTIALS
    if (git) {
        bound.add(usernamePassword(credentialsId: git, usernameVariable: 'SLIPWAY_GIT_USERNAME', passwordVariable: 'SLIPWAY_GIT_PASSWORD'))
    }
    if (ssh) {
        bound.add(sshUserPrivateKey(credentialsId: ssh, keyFileVariable: 'SLIPWAY_SSH_KEY_FILE',
            passphraseVariable: 'SLIPWAY_SSH_KEY_PASSPHRASE'))
    }
    List secrets = texts(options, argocd)
    for (int i = 0; i < secrets.size(); i++) {
        bound.add(string(credentialsId: secrets[i].id, variable: secrets[i].variable))
    }
    return bound
}

@NonCPS
List texts(Map options, String argocd) {
    List wanted = []
    if (options.gitToken) {
        wanted.add([variable: 'SLIPWAY_GIT_TOKEN', id: options.gitToken.toString()])
    }
    if (argocd) {
        wanted.add([variable: 'ARGOCD_AUTH_TOKEN', id: argocd])
    }
    for (secret in (options.secrets ?: [:])) {
        wanted.add([variable: secret.key.toString(), id: secret.value.toString()])
    }
    return wanted
}

/** The parameters that say how to get at servers and agents, for another step of the same pipeline. */
Map access(Map options) {
    return options.subMap(['agent', 'container', 'gitCredentials', 'gitToken', 'sshCredentials', 'argocdCredentials', 'secrets'])
}

@NonCPS
String command(String program, Map options, String output) {
    List words = ['exec', quote(program)]
    for (word in options.step.toString().split(' ')) {
        words.add(quote(word))
    }
    for (option in options) {
        if (!OWN.contains(option.key.toString())) {
            for (value in valuesOf(option.value)) {
                words.add(quote('--' + flag(option.key.toString()) + (value == true ? '' : '=' + value)))
            }
        }
    }
    return words.join(' ') + ' > ' + quote(output)
}

/** The same flags as environment, for steps that should take of them what they know. */
@NonCPS
List environment(Map options) {
    List variables = []
    for (option in options) {
        List values = valuesOf(option.value)
        if (!OWN.contains(option.key.toString()) && !values.isEmpty()) {
            variables.add('SLIPWAY_' + flag(option.key.toString()).replace('-', '_').toUpperCase() + '=' + values.join('\n'))
        }
    }
    return variables
}

@NonCPS
String flag(String name) {
    return name.replaceAll('([A-Z])', '-$1').toLowerCase()
}

@NonCPS
List valuesOf(Object value) {
    if (value == null) {
        return []
    }
    return value instanceof Collection ? value : [value]
}

@NonCPS
String quote(String text) {
    return "'" + text.replace("'", "'\\''") + "'"
}

@NonCPS
Map read(String step, int code, String text) {
    Map document = [:]
    try {
        document = text.trim().startsWith('{') ? plain(new JsonSlurper().parseText(text)) : [:]
    } catch (JsonException cut) {
        document = [:] // the step was killed while it wrote
    }
    Map failed = document.error ?: [:]
    return [
        step: document.step ?: step, exitCode: code, category: category(code), outcome: document.outcome,
        changed: document.outcome == 'changed', details: document.details ?: failed.details ?: [:],
        message: failed.message, hint: failed.hint,
    ]
}

/** What JsonSlurper makes cannot be saved with the build, so it is copied. */
@NonCPS
Object plain(Object value) {
    if (value instanceof Map) {
        Map copy = [:]
        for (entry in value) {
            copy[entry.key] = plain(entry.value)
        }
        return copy
    }
    if (value instanceof List) {
        List copy = []
        for (item in value) {
            copy.add(plain(item))
        }
        return copy
    }
    return value
}

@NonCPS
String category(int code) {
    if (code < 0) {
        return 'lost'
    }
    return [
        0: 'ok', 2: 'usage', 3: 'invalid', 4: 'conflict', 5: 'transient', 6: 'superseded', 7: 'unhealthy', 8: 'pending', 9: 'denied',
        10: 'rejected', 126: 'missing', 127: 'missing', 130: 'interrupted', 143: 'interrupted',
    ][code] ?: 'failure'
}

@NonCPS
String sentence(Map done) {
    String why = done.message ? ': ' + done.message + (done.hint ? '; ' + done.hint : '') : ''
    if (done.category == 'missing') {
        why = ': there is no such program here; use the container of the agent image that has it, or set SLIPWAY_BIN'
    }
    if (done.category == 'lost') {
        why = ': the agent is gone; it is safe to run this again'
    }
    if (done.category == 'interrupted') {
        why = ': it was stopped; it is safe to run this again'
    }
    return 'slipway ' + done.step + ': ' + done.category + ' (exit ' + done.exitCode + ')' + why
}

/** What the description of the build says about a step; nothing about most. */
@NonCPS
String summary(Map done) {
    if (done.details.state && done.details.state != 'pending') {
        return decision(done.details)
    }
    if (done.exitCode == 6) {
        return 'superseded by a newer build'
    }
    String what = [release: 'released', 'commit-push': 'released', revert: 'reverted'][done.step]
    if (!what || !done.details.revision) {
        return ''
    }
    List images = []
    for (place in (done.details.images ?: [])) {
        for (image in (place.images ?: [])) {
            String name = what == 'reverted' ? image.old : image.new
            images.add(name.substring(name.lastIndexOf('/') + 1))
        }
    }
    return what + (images.isEmpty() ? '' : ' ' + images.join(', ')) + ' (' + done.details.revision.take(8) + ')' +
        (done.exitCode == 0 ? '' : ': ' + done.category)
}

/** What has become of an approval; a reason that the record has is said as well. */
@NonCPS
String decision(Map record) {
    return record.state + (record.by ? ' by ' + record.by : '') + (record.via ? ' via ' + record.via : '') +
        (record.reason ? ': ' + record.reason : '')
}
