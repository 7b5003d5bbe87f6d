package harness

import hudson.AbortException
import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException
import org.jenkinsci.plugins.workflow.support.steps.input.Rejection

/** The steps of Jenkins that pipelines here use, each as far as they use it. */
class Steps {
    /** What a lone argument means. */
    private static final Map<String, String> FIRST = [
        sh: 'script', echo: 'message', error: 'message', unstable: 'message', stage: 'name', node: 'label', container: 'name', dir: 'path',
        withEnv: 'overrides', withCredentials: 'bindings', readFile: 'file', fileExists: 'file', input: 'message', timeout: 'time',
        retry: 'count', sleep: 'time', lock: 'resource', milestone: 'ordinal', library: 'identifier', archiveArtifacts: 'artifacts',
        junit: 'testResults', stash: 'name', unstash: 'name', git: 'url', checkout: 'scm', warnError: 'message', properties: 'properties',
    ]
    private static final Map<String, Integer> SECONDS = [SECONDS: 1, MINUTES: 60, HOURS: 3600, DAYS: 86400]

    final Build build
    private final Map<String, Map<String, byte[]>> stashes = [:]

    Steps(Build build) { this.build = build }

    Object invoke(String name, Object[] given) {
        List arguments = given as List
        Closure body = arguments && arguments.last() instanceof Closure ? arguments.pop() : null
        Map named = [:]
        if (arguments && arguments[0] instanceof Map && name != 'parallel' && name != 'checkout') {
            named = build.plainText(arguments[0], name)
        } else if (arguments) {
            named = [(FIRST[name] ?: 'it'): name == 'parallel' ? arguments[0] : build.plainText(arguments[0], name)]
        }
        def method = Steps.metaClass.methods.find { it.name == "_$name" }
        if (!method) {
            throw new NoSuchMethodError("No such DSL method '$name' found among steps")
        }
        build.steps << [name: name, arguments: named, agent: build.context().agent?.name]
        build.interruptions()
        return body == null ? this."_$name"(named) : this."_$name"(named, body)
    }

    private Context.Agent agent() {
        def agent = build.context().agent
        if (!agent) {
            throw new AbortException('Required context class hudson.FilePath is missing\nPerhaps you forgot to surround the code with a step that provides this, such as: node')
        }
        if (agent.gone) {
            throw new IOException("agent $agent.name is gone")
        }
        return agent
    }

    private File file(String path) {
        agent()
        return path.startsWith('/') ? new File(path) : new File(build.context().dir ?: agent().workspace, path)
    }

    // Processes and files

    def _sh(Map a) {
        agent()
        if (a.returnStatus && a.returnStdout) {
            throw new IllegalArgumentException('You may not select both returnStdout and returnStatus.')
        }
        if (a.label?.size() > 100) {
            throw new IllegalArgumentException('Label size exceeds maximum of 100 characters.')
        }
        build.console.secrets.findAll { a.script.contains(it) }.each { build.violations << "a secret is in the text of a script: $a.script".toString() }
        Map ended = new Shell(build, a.script).run(a.returnStdout ?: false)
        if (a.returnStatus) {
            return ended.code
        }
        if (ended.code != 0) {
            build.console.append(ended.output)
            throw new AbortException("script returned exit code $ended.code")
        }
        return a.returnStdout ? ended.output : null
    }

    def _pwd(Map a) { a.tmp ? agent().temporary.path : file('.').canonicalPath }
    def _isUnix(Map a) { true }
    def _fileExists(Map a) { file(a.file).exists() }
    /** Agents may have any charset of their own. */
    def _readFile(Map a) { file(a.file).getText(a.encoding ?: 'US-ASCII') }

    def _deleteDir(Map a) { file('.').listFiles().each { it.directory ? it.deleteDir() : it.delete() } }

    def _writeFile(Map a) {
        file(a.file).parentFile.mkdirs()
        file(a.file).setText(a.text, 'UTF-8')
    }

    def _archiveArtifacts(Map a) { agent() }
    def _junit(Map a) { agent() }

    def _stash(Map a) {
        File base = file('.')
        Map files = [:]
        base.eachFileRecurse { f ->
            String path = base.toPath().relativize(f.toPath())
            if (f.file && (!a.includes || a.includes.split(',').any { path.matches(it.trim().replace('.', '\\.').replaceAll('\\*+/?', '.*')) })) {
                files[path] = f.bytes
            }
        }
        stashes[a.name] = files
    }

    def _unstash(Map a) {
        if (!stashes[a.name]) {
            throw new AbortException("No such saved stash ‘$a.name’")
        }
        stashes[a.name].each { path, bytes ->
            file(path).parentFile.mkdirs()
            file(path).bytes = bytes
        }
    }

    def _checkout(Map a) { agent() }

    def _git(Map a) {
        def user = a.credentialsId ? build.credentials[a.credentialsId] : null
        String url = user ? a.url.replace('://', "://${user[0]}:${user[1]}@") : a.url
        def process = ['git', '-c', 'init.defaultBranch=main', 'clone', '-q', '--branch', a.branch ?: 'master', url, file('.').path].execute()
        if (process.waitFor() != 0) {
            throw new AbortException("git: $process.err.text")
        }
        ['git', '-C', file('.').path, 'remote', 'set-url', 'origin', a.url].execute().waitFor()
    }

    // Blocks

    def _node(Map a = [:], Closure body) {
        def agent = build.newAgent((a.label ?: 'any').toString())
        build.console.line("Running on $agent.name in $agent.workspace")
        return build.within({ c -> c.agent = agent; c.dir = null; c.container = null }, body)
    }

    def _container(Map a, Closure body) {
        agent()
        return build.within({ c -> c.container = a.name }, body)
    }

    def _stage(Map a, Closure body) { build.within({ c -> c.stage = a.name }, body) }
    def _script(Map a = [:], Closure body) { body.call() }
    def _timestamps(Map a = [:], Closure body) { body.call() }
    def _lock(Map a, Closure body) { body.call() }
    def _milestone(Map a) { }
    def _properties(Map a) { }
    def _library(Map a) { }
    def _modernSCM(Map a) { a }

    def _dir(Map a, Closure body) {
        File dir = file(a.path)
        dir.mkdirs()
        return build.within({ c -> c.dir = dir }, body)
    }

    def _withEnv(Map a, Closure body) {
        Map added = a.overrides.collectEntries { it.split('=', 2) as List }
        return build.within({ c -> c.env.putAll(added) }, body)
    }

    def _timeout(Map a, Closure body) {
        long at = System.currentTimeMillis() + (a.time as long) * SECONDS[a.unit ?: 'MINUTES'] * 1000
        return build.within({ c -> c.deadlines << new Context.Deadline(at: at) }, body)
    }

    def _parallel(Map a) {
        Map branches = a.it.findAll { k, v -> v instanceof Closure }
        Context from = build.context()
        def ends = [:].asSynchronized()
        def threads = branches.collect { name, body ->
            Thread.start {
                build.here.set(from.child())
                build.together {
                    try {
                        build.within({ c -> c.stage = name }, body)
                        ends[name] = null
                    } catch (Throwable e) {
                        build.console.line("Failed in branch $name")
                        ends[name] = e
                    }
                }
            }
        }
        build.elsewhere { threads*.join() }
        from.abortsSeen = build.aborts
        def failures = branches.keySet().collect { ends[it] }.findAll { it }
        failures.findAll { it instanceof FlowInterruptedException }.each { build.worsen(it.result) }
        if (failures) {
            throw failures[0]
        }
    }

    def _retry(Map a, Closure body) {
        for (int left = (a.count as int) - 1; ; left--) {
            try {
                return body.call()
            } catch (FlowInterruptedException e) {
                throw e
            } catch (Exception e) {
                if (left <= 0) {
                    throw e
                }
                build.console.line("ERROR: $e.message\nRetrying")
            }
        }
    }

    def _catchError(Map a = [:], Closure body) {
        try {
            body.call()
        } catch (FlowInterruptedException e) {
            if (a.catchInterruptions == false) {
                throw e
            }
            build.worsen(a.buildResult ?: e.result)
        } catch (Exception e) {
            build.console.line("ERROR: ${a.message ?: ''} $e.message")
            build.worsen(a.buildResult ?: 'FAILURE')
        }
    }

    def _warnError(Map a, Closure body) { _catchError([buildResult: 'UNSTABLE', message: a.message], body) }

    /** The whole of a Declarative Jenkinsfile. */
    def _pipeline(Map a = [:], Closure body) { new Section(build, (Script) body.thisObject).read(body).run() }

    // Words

    def _echo(Map a) { build.console.line(a.message) }
    def _error(Map a) { throw new AbortException(a.message) }

    def _unstable(Map a) {
        build.console.line("WARNING: $a.message")
        build.worsen('UNSTABLE')
    }

    def _sleep(Map a) {
        long until = System.currentTimeMillis() + (a.time as long) * SECONDS[a.unit ?: 'SECONDS'] * 1000
        build.await { System.currentTimeMillis() >= until ?: null }
    }

    def _input(Map a) {
        build.console.line("$a.message\nProceed or Abort")
        build.inputs << a + [agent: build.context().agent?.name]
        if (!build.answers) {
            build.violations << "nobody was to be asked: $a.message".toString()
            throw new AbortException('nobody answers')
        }
        if (!build.context().deadlines) {
            build.violations << 'an input without a timeout waits for ever'
        }
        Map answer = build.answers.remove(0)
        if (answer.silence) {
            return build.await { null }
        }
        long at = System.currentTimeMillis() + (answer.after ?: 0)
        build.await { System.currentTimeMillis() >= at ?: null }
        if (answer.stop) {
            build.stop(answer.stop)
            build.interruptions()
        }
        if (answer.reject) {
            build.console.line("Rejected by $answer.reject")
            throw build.interruption(new Rejection(id: answer.reject))
        }
        build.console.line("Approved by $answer.proceed")
        return a.submitterParameter ? answer.proceed : null
    }

    // Credentials

    def _string(Map a) { [type: 'string'] + a }
    def _usernamePassword(Map a) { [type: 'usernamePassword'] + a }
    def _sshUserPrivateKey(Map a) { [type: 'sshUserPrivateKey'] + a }
    def _file(Map a) { [type: 'file'] + a }

    def _withCredentials(Map a, Closure body) {
        Map bound = [:]
        a.bindings.each { bound.putAll(bind(it)) }
        return build.within({ c -> c.env.putAll(bound) }, body)
    }

    Map<String, String> bind(Map binding) {
        def stored = build.credentials[binding.credentialsId]
        Class type = [string: String, usernamePassword: List, sshUserPrivateKey: File, file: File][binding.type]
        if (!type.isInstance(stored)) {
            throw new AbortException("Could not find credentials entry with ID '$binding.credentialsId'")
        }
        switch (binding.type) {
            case 'string':
                build.console.secrets << stored
                return [(binding.variable): stored]
            case 'usernamePassword':
                build.console.secrets << stored[1]
                return [(binding.usernameVariable): stored[0], (binding.passwordVariable): stored[1]]
            case 'sshUserPrivateKey':
                return [(binding.keyFileVariable): stored.path, (binding.passphraseVariable ?: 'UNUSED'): '']
            default:
                return [(binding.variable): stored.path]
        }
    }
}
