package harness

import org.jenkinsci.plugins.workflow.steps.FlowInterruptedException
import org.jenkinsci.plugins.workflow.support.steps.ExecutorStepExecution

/**
 * The step sh, with real processes: a wrapper in the background that outlives its parent, keeps a log file fresh while the script
 * runs and leaves the exit code in a file. Who stops it sends SIGTERM, to all processes at once that carry the cookie (a container)
 * or to the children before their parents (a machine), and never kills.
 *
 * An agent may have a fate: to be "lost before" the script or "lost after" it, or "dead", where the wrapper is gone and Jenkins finds out
 * by the exit code -1; "dead in 500" is that after so many milliseconds.
 */
class Shell {
    private static final long PATIENCE = 20_000

    final Build build
    final Context context
    final String script
    private final File control
    private final String cookie = 'durable-' + UUID.randomUUID()
    private long shown

    Shell(Build build, String script) {
        this.build = build
        this.context = build.context()
        this.script = script
        control = new File(context.agent.temporary, cookie.substring(0, 16))
    }

    /** Returns [code, output]; what the script writes to stdout is in the log or, if it is captured, in the output. */
    Map run(boolean captured) {
        try {
            return follow(build.fate.call(script), captured)
        } finally {
            // The heart of the wrapper beats as long as this directory is there under its name.
            File past = new File(control.path + '.past')
            control.renameTo(past)
            past.deleteDir()
        }
    }

    private Map follow(String fate, boolean captured) {
        if (fate == 'lost before') {
            lose()
        }
        start(captured)
        if (fate?.startsWith('dead')) {
            build.elsewhere { Thread.sleep((fate - 'dead in ').isInteger() ? (fate - 'dead in ') as int : 0) }
            show()
            end(9)
            return [code: -1, output: '']
        }
        try {
            build.await { show(); done() ? true : null }
        } catch (FlowInterruptedException e) {
            stop()
            throw e
        }
        show()
        if (fate == 'lost after') {
            lose()
        }
        return [code: new File(control, 'result').text.trim() as int, output: captured ? new File(control, 'output').getText('UTF-8') : '']
    }

    private void lose() {
        context.agent.gone = true
        throw build.interruption(new ExecutorStepExecution.RemovedNodeCause())
    }

    private void start(boolean captured) {
        control.mkdirs()
        new File(control, 'script.sh').setText(script, 'UTF-8')
        String streams = captured ? "> '$control/output' 2> '$control/log'" : "> '$control/log' 2>&1"
        String command = script.startsWith('#!') ? "'$control/script.sh'" : "sh -xe '$control/script.sh'"
        String wrapper = "( { while [ -d '$control' -a ! -f '$control/result' ]; do touch '$control/log'; sleep 3; done } & " +
            "jsc=$cookie; JENKINS_SERVER_COOKIE=\$jsc $command $streams; " +
            "echo \$? > '$control/result.tmp'; mv '$control/result.tmp' '$control/result'; wait ) >&- 2>&- &"
        if (script.startsWith('#!')) {
            new File(control, 'script.sh').executable = true
        }
        def builder = new ProcessBuilder('nohup', 'sh', '-c', wrapper).directory(context.dir ?: context.agent.workspace)
        builder.redirectInput(new File('/dev/null')).redirectOutput(new File('/dev/null')).redirectError(new File('/dev/null'))
        builder.environment().clear()
        builder.environment().putAll(build.environment())
        builder.start().waitFor()
    }

    private boolean done() { new File(control, 'result').exists() }

    private void show() {
        def log = new File(control, 'log')
        if (log.exists() && log.length() > shown) {
            byte[] bytes = log.bytes
            build.console.append(new String(bytes, (int) shown, (int) (bytes.length - shown), 'UTF-8'))
            shown = bytes.length
        }
    }

    private void stop() {
        build.console.line('Sending interrupt signal to process')
        long from = System.currentTimeMillis()
        build.elsewhere {
            build.pods && context.container ? end(15) : endTree()
            while (!done() && System.currentTimeMillis() - from < PATIENCE) {
                Thread.sleep(10)
            }
        }
        show()
        if (!done()) {
            build.console.line('After 20s process did not stop')
        }
        build.stops << [script: script, millis: System.currentTimeMillis() - from, code: done() ? new File(control, 'result').text.trim() as int : null]
    }

    /** As a container is told. */
    private void end(int signal) {
        def pids = mine()
        if (pids) {
            (['kill', "-$signal".toString()] + pids*.toString()).execute().waitFor()
        }
    }

    /** As a machine is told: from the leaves to the root, one after the other, five seconds for each. */
    private void endTree() {
        def mine = mine() as Set
        def parents = mine.collectEntries { [it, parentOf(it)] }
        mine.findAll { !mine.contains(parents[it]) }.each { endWithChildren(it, parents) }
    }

    private void endWithChildren(int pid, Map parents) {
        parents.findAll { it.value == pid }.keySet().each { endWithChildren(it, parents) }
        ['kill', '-15', pid.toString()].execute().waitFor()
        long until = System.currentTimeMillis() + 5000
        while (mine().contains(pid) && System.currentTimeMillis() < until) {
            Thread.sleep(10)
        }
    }

    private List<Integer> mine() {
        new File('/proc').listFiles().findAll { it.name.isInteger() }.findAll { dir ->
            try {
                new File(dir, 'environ').text.contains("JENKINS_SERVER_COOKIE=$cookie")
            } catch (IOException gone) {
                false
            }
        }.collect { it.name as int }
    }

    private static int parentOf(int pid) {
        try {
            return new File("/proc/$pid/stat").text.replaceAll('^.*\\) . ', '').split(' ')[0] as int
        } catch (IOException gone) {
            return 0
        }
    }
}
