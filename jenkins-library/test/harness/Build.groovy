package harness

import com.cloudbees.groovy.cps.NonCPS
import hudson.AbortException
import java.util.concurrent.locks.ReentrantLock
import jenkins.model.CauseOfInterruption
import org.codehaus.groovy.control.CompilerConfiguration
import org.codehaus.groovy.control.customizers.ImportCustomizer
import org.jenkinsci.plugins.scriptsecurity.sandbox.RejectedAccessException
import org.jenkinsci.plugins.workflow.libs.Library
import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException

/** One build of one job: it runs a Jenkinsfile with the library, and remembers what a test may want to know. */
class Build {
    static final List<String> RESULTS = ['SUCCESS', 'UNSTABLE', 'FAILURE', 'NOT_BUILT', 'ABORTED'] // from good to bad

    // What the test decides.
    File library
    File directory
    String job = 'shop/web'
    int number = 1
    Map<String, Object> params = [:]
    Map<String, String> env = [:]
    /** Credentials by id: a String is a secret text, a List a user with a password, a File a private key. */
    Map<String, Object> credentials = [:]
    /** Whether nobody may look behind the curtain, as in every library that is not a global one. */
    boolean sandboxed = true
    /** Whether agents are pods, whose programs are in the container base only, or machines. */
    boolean pods = true
    /** The directory with the program slipway. */
    File programs
    /** What people do when they are asked: [proceed: WHO], [reject: WHO], [stop: WHO] or [silence: true], with after: MILLISECONDS. */
    List<Map> answers = []
    /** Called with the text of each sh; returns null, or what becomes of the agent: see Shell. */
    Closure<String> fate = { null }

    /** Where the log goes, too. */
    void setEcho(Appendable to) { console.echo = to }

    // What has become of it.
    String result
    String description
    String displayName
    Throwable failure
    final Console console = new Console()
    final List<Map> steps = [].asSynchronized()
    final List<Map> inputs = [].asSynchronized()
    final List<Map> stops = [].asSynchronized()
    final List<String> warnings = [].asSynchronized()
    /** What must never happen, whatever the pipeline makes of it. */
    final List<String> violations = [].asSynchronized()

    final Map<String, Object> variables = [:].asSynchronized()
    private final Map<String, Script> vars = [:]
    final ThreadLocal<Context> here = new ThreadLocal<>()
    private final ReentrantLock turn = new ReentrantLock(true)
    volatile int aborts
    volatile String abortedBy
    private int agents
    private final Steps table = new Steps(this)

    /** Runs a Jenkinsfile and returns the build. */
    Build run(String text, String name = 'Jenkinsfile') {
        programs = programs ?: new File(System.getenv('SLIPWAY_TEST_PROGRAMS'))
        env = [
            JOB_NAME: job, BUILD_NUMBER: "$number", BUILD_ID: "$number", BUILD_TAG: "jenkins-${job.replace('/', '-')}-$number",
            JENKINS_URL: 'http://jenkins.example/', JOB_URL: "http://jenkins.example/job/$job/", BUILD_URL: "http://jenkins.example/job/$job/$number/",
        ].collectEntries { k, v -> [k, v.toString()] } + env
        here.set(new Context())
        turn.lock()
        try {
            for (file in library.listFiles().findAll { it.name.endsWith('.groovy') }) {
                vars[file.name - '.groovy'] = instance(compile(file.text, file.path))
            }
            instance(compile(text, name)).run()
        } catch (Throwable e) {
            failed(e)
        } finally {
            turn.unlock()
        }
        result = result ?: 'SUCCESS'
        console.line("Finished: $result")
        return this
    }

    Build run(File file) { run(file.getText('UTF-8'), file.name) }

    void failed(Throwable e) {
        failure = failure ?: e
        if (e instanceof FlowInterruptedException) {
            worsen(e.result)
            e.reasons().each { console.line(it.shortDescription) }
        } else {
            worsen('FAILURE')
            console.line(e instanceof AbortException ? "ERROR: $e.message" : "$e")
        }
    }

    void worsen(String to) {
        if (!RESULTS.contains(to)) {
            throw new IllegalArgumentException("no result $to")
        }
        if (result == null || RESULTS.indexOf(to) > RESULTS.indexOf(result)) {
            result = to
        }
    }

    void stop(String who) {
        abortedBy = who
        aborts++
    }

    // Scripts

    private static final Map<String, Class> COMPILED = [:].asSynchronized()

    static Class compile(String text, String name) {
        return COMPILED.computeIfAbsent(name + '\n' + text) {
            def configuration = new CompilerConfiguration(scriptBaseClass: PipelineScript.name)
            def imports = new ImportCustomizer()
            imports.addImports(NonCPS.name, Library.name)
            configuration.addCompilationCustomizers(imports, new Held())
            new GroovyClassLoader(Build.classLoader, configuration).parseClass(text, new File(name).name.replaceAll('[^A-Za-z0-9.]', '_'))
        }
    }

    private Script instance(Class type) {
        PipelineScript script = (PipelineScript) type.newInstance()
        script.jenkins = this
        return script
    }

    Object invoke(String name, Object[] arguments) {
        if (vars.containsKey(name)) {
            return serializable(vars[name].invokeMethod('call', plainText(arguments as List, name) as Object[]), "the result of $name")
        }
        return table.invoke(name, arguments)
    }

    Object property(String name) {
        switch (name) {
            case 'env': return new Environment(build: this)
            case 'params': return params
            case 'currentBuild': return new Current(build: this)
            case 'scm': return [:]
        }
        if (vars.containsKey(name)) {
            return vars[name]
        }
        if (variables.containsKey(name)) {
            return variables[name]
        }
        String value = environment()[name]
        if (value == null) {
            throw new MissingPropertyException("No such property: $name for class: groovy.lang.Binding")
        }
        return value
    }

    Object held(Object value) {
        return value instanceof Script || value instanceof Closure || value instanceof Environment || value instanceof Current ?
            value : serializable(value, 'a variable')
    }

    private Object serializable(Object value, String what) {
        try {
            new ObjectOutputStream(new ByteArrayOutputStream()).writeObject(value)
        } catch (NotSerializableException e) {
            violations << "$what cannot be saved with the build: $e.message".toString()
            throw e
        }
        return value
    }

    /** Jenkins makes text of GStrings, and warns of secrets in them. */
    Object plainText(Object value, String step) {
        if (value instanceof GString) {
            if (value.values.any { part -> console.secrets.any { part.toString().contains(it) } }) {
                warnings << "A secret was passed to \"$step\" using Groovy String interpolation, which is insecure.".toString()
                console.line("Warning: ${warnings.last()}")
            }
            return value.toString()
        }
        if (value instanceof Map) {
            return value.collectEntries { k, v -> [k.toString(), plainText(v, step)] }
        }
        return value instanceof List ? value.collect { plainText(it, step) } : value
    }

    // Where and when

    Context context() { here.get() }

    Map<String, String> environment() {
        Context c = context()
        Map<String, String> all = new LinkedHashMap<>(env)
        if (c.stage) {
            all.STAGE_NAME = c.stage
        }
        if (c.agent) {
            all.putAll([WORKSPACE: c.agent.workspace.path, NODE_NAME: c.agent.name, HOME: new File(directory, 'home').path])
            boolean found = !pods || c.container == 'base'
            all.PATH = (found ? "$programs:" : '') + '/usr/local/bin:/usr/bin:/bin'
        }
        all.putAll(c.env)
        return all.collectEntries { name, value -> [name, value.toString()] }
    }

    Context.Agent newAgent(String label) {
        int number = ++agents
        def agent = new Context.Agent(name: "$label-$number", workspace: new File(directory, "agents/$label-$number/workspace"))
        [agent.workspace, agent.temporary, new File(directory, 'home')]*.mkdirs()
        return agent
    }

    Object within(Closure change, Closure body) {
        Context before = context()
        Context inner = before.child()
        change.call(inner)
        here.set(inner)
        try {
            return body.call()
        } finally {
            before.abortsSeen = inner.abortsSeen
            here.set(before)
        }
    }

    /** Waits until done says so; other branches have their turn meanwhile, and who waits may be interrupted. */
    Object await(Closure done) {
        while (true) {
            def value = done.call()
            if (value != null) {
                return value
            }
            interruptions()
            elsewhere { Thread.sleep(10) }
        }
    }

    Object elsewhere(Closure body) {
        turn.unlock()
        try {
            return body.call()
        } finally {
            turn.lock()
        }
    }

    Object together(Closure body) {
        turn.lock()
        try {
            return body.call()
        } finally {
            turn.unlock()
        }
    }

    void interruptions() {
        Context c = context()
        if (aborts > c.abortsSeen) {
            c.abortsSeen = aborts
            throw interruption(new CauseOfInterruption.UserInterruption(user: abortedBy))
        }
        def over = c.deadlines.find { !it.fired && System.currentTimeMillis() >= it.at }
        if (over) {
            over.fired = true
            throw interruption(new org.jenkinsci.plugins.workflow.steps.TimeoutStepExecution.ExceededTimeout())
        }
    }

    FlowInterruptedException interruption(CauseOfInterruption cause) {
        return new FlowInterruptedException('ABORTED', sandboxed, cause)
    }

    /** The text of all scripts that were run. */
    List<String> getScripts() { steps.findAll { it.name == 'sh' }.collect { it.arguments.script.toString() } }

    static class Environment {
        Build build
        Object getProperty(String name) { name == 'build' ? this.@build : this.@build.environment()[name] }
        void setProperty(String name, Object value) {
            if (name == 'build') {
                this.@build = (Build) value
            } else {
                this.@build.env[name] = value.toString()
            }
        }
    }

    static class Current {
        Build build
        String getResult() { build.result }
        void setResult(String value) { build.worsen(value) }
        String getCurrentResult() { build.result ?: 'SUCCESS' }
        String getDescription() { build.description }
        void setDescription(String value) { build.description = value }
        int getNumber() { build.number }
        String getDisplayName() { build.displayName ?: "#$build.number" }
        void setDisplayName(String value) { build.displayName = value }
        Object getRawBuild() {
            throw new RejectedAccessException('method org.jenkinsci.plugins.workflow.support.steps.build.RunWrapper getRawBuild')
        }
    }
}
