import harness.Servers
import harness.Suite

// mutants.groovy [PATTERN]: each line breaks the library in one place, and names the tests of which one must fail, and must not without.
// With a pattern that fits none it says whether each still fits the library.
def mutants = [
    // [what, file, text, its replacement, tests]
    ['quotes are not quoted', 'slipway', '''text.replace("'", "'\\\\''")''', 'text', 'byte for byte'],
    ['values are not quoted', 'slipway', '''return "'" + text.replace("'", "'\\\\''") + "'"''', 'return text', 'byte for byte'],
    ['double quotes', 'slipway', '''return "'" + text.replace("'", "'\\\\''") + "'"''', '''return '"' + text.replace('"', '\\\\"') + '"\'''', 'byte for byte'],
    ['a flag and its value are two words', 'slipway', """'' : '=' + value))""", """'' : ' ' + value))""", 'byte for byte|flags of the same name'],
    ['true is a value', 'slipway', "(value == true ? '' : '=' + value)", "'=' + value", 'flags of the same name'],
    ['names are not made flags', 'slipway', ".replaceAll('([A-Z])', '-\$1').toLowerCase()", '', 'flags of the same name'],
    ['null is a value', 'slipway', "if (value == null) {\n        return []", "if (value == null) {\n        return ['null']", 'flags of the same name'],
    ['the result of JsonSlurper is kept', 'slipway', 'plain(new JsonSlurper().parseText(text))', 'new JsonSlurper().parseText(text)', 'plain values'],
    ['lists are kept as they are', 'slipway', 'copy.add(plain(item))', 'copy.add(item)', 'plain values'],
    ['maps in lists are kept as they are', 'slipway', 'copy[entry.key] = plain(entry.value)', 'copy[entry.key] = entry.value', 'plain values'],
    ['the result has the charset of the agent', 'slipway', "readFile(file: output, encoding: 'UTF-8')", 'readFile(output)', 'plain values'],
    ['no exec', 'slipway', "['exec', quote(program)]", '[quote(program)]', 'replaces its shell|comes to its end'],
    ['the status is not returned', 'slipway', ', returnStatus: true', '', 'step by step|fails the build and says why'],
    ['every code is fine', 'slipway', 'if (done.exitCode == 0) {\n        return done', 'if (done.exitCode >= 0) {\n        return done', 'exit 1 fails'],
    ['a rejection is fine', 'slipway', 'if (done.exitCode == 0) {\n        return done', 'if (done.exitCode == 0 || done.exitCode == 10) {\n        return done', 'rejected fails the build'],
    ['rejected has another code', 'slipway', "10: 'rejected'", "11: 'rejected'", 'rejected fails the build'],
    ['superseded is a failure', 'slipway', "[superseded: 'NOT_BUILT']", "[:]", 'superseded ends'],
    ['results are not listened to', 'slipway', '(results ?: [:])', '[:]', 'can be chosen'],
    ['unstable ends the build', 'slipway', 'unstable(sentence(done))\n        return done', 'unstable(sentence(done))', 'can be chosen'],
    ['the result is set before error', 'slipway', "if (result != 'FAILURE') {", 'if (true) {', 'retry after a failure'],
    ['the password is an argument', 'slipway', "withCredentials(bindings(options)) {", "withCredentials(bindings(options)) {\n        script = script + ' ' + env.SLIPWAY_GIT_PASSWORD", 'nowhere else'],
    ['the token is not bound', 'slipway', 'if (argocd) {', 'if (false) {', 'nowhere else|can be named once'],
    ['the password has another name', 'slipway', "'SLIPWAY_GIT_PASSWORD'", "'GIT_PASS'", 'nowhere else|step by step'],
    ['more secrets are forgotten', 'slipway', '(options.secrets ?: [:])', '[:]', 'nowhere else'],
    ['the version is asked for each time', 'slipway', 'checked = true', 'checked = false', 'once in a build'],
    ['any version will do', 'slipway', 'if (version.exitCode != 0) {', 'if (false) {', 'another version'],
    ['causes are not guarded', 'slipway', 'catch (SecurityException hidden)', 'catch (IllegalStateException hidden)', 'the rules|in the sandbox, a person'],
    ['a rejection counts as a stop', 'slipway', "kind == 'Rejection'", "kind == 'Reject'", 'in a trusted library, a person'],
    ['a stop counts as a rejection', 'slipway', "return [signal: 'cancel']", "return [signal: 'reject']", 'stopped decides nothing'],
    ['a hidden cause is a stop', 'slipway', "return [signal: 'interrupted']", "return [signal: 'cancel']", 'in the sandbox, '],
    ['a timeout counts as a rejection', 'slipway', "return [signal: 'timeout']", "return [signal: 'reject']", 'in a trusted library, silence'],
    ['the hand-over is tried once', 'slipway', 'int left = 2', 'int left = 0', 'lost before the hand-over'],
    ['a dead agent is a result', 'slipway', "['transient', 'lost'].contains", "['transient'].contains", 'dead the hand-over'],
    ['a stop is forgotten', 'slipway', 'if (stop != null) {', 'if (false) {', 'stop during the hand-over'],
    ['the description is overwritten', 'slipway', "before ? before + '\\n' + line : line", 'line', 'a person keeps|parallel branches'],
    ['the agent is not asked for', 'slipway', 'if (!options.agent) {', 'if (true) {', 'name its agent'],
    ['the question is asked on an agent', 'awaitApproval', 'record = ask(options, record.details)', 'record = slipway.onAgent(options) { return ask(options, record.details) }', 'holds an agent'],
    ['the question has no timeout', 'awaitApproval', "timeout(time: record.remainingSeconds, unit: 'SECONDS') {", 'if (true) {', 'silence keeps|a person keeps'],
    ['the timeout is in minutes', 'awaitApproval', "unit: 'SECONDS'", "unit: 'MINUTES'", 'a person keeps'],
    ['the time of the answer is that of the hand-over', 'awaitApproval', ", at: at]", ", at: System.currentTimeMillis()]", 'does not lose'],
    ['a dry run of the question asks', 'awaitApproval', ' && !record.details.dryRun', '', 'would be asked'],
    ['a stop goes on', 'awaitApproval', "if (facts.signal == 'cancel') {\n        throw stopped", "if (false) {\n        throw stopped", 'stopped decides nothing'],
    ['another timeout is silence', 'awaitApproval', "facts.signal == 'timeout' && !over || ", '', 'timeout around'],
    ['who may answer is forgotten', 'awaitApproval', 'question.submitter = options.submitter', '', 'a person keeps'],
    ['who has answered is forgotten', 'awaitApproval', "[signal: 'proceed', by: input(question)]", "[signal: input(question) ? 'proceed' : 'proceed']", 'a person keeps'],
    ['the repository is not handed over', 'awaitApproval', 'withEnv(slipway.environment(options)) {', 'withEnv([]) {', 'a stage of its own'],
    ['what is rejected stays', 'gitopsRelease', "onReject: 'revert'", "onReject: 'keep'", 'a person rejects'],
    ['a rejected release is a success', 'awaitApproval', 'return slipway.judge(record, options.results)', 'return record', 'a person rejects'],
    ['the choice of results is lost', 'gitopsRelease', '[results: options.results]', '[:]', 'can be unstable'],
    ['the cluster does not follow', 'gitopsRelease', "options + [record: null]", "options + [app: null]", 'a person rejects'],
    ['transient is a result', 'slipway', "['transient', 'lost'].contains", "['lost'].contains", 'run again is, twice'],
    ['undecided is asked for ever', 'awaitApproval', "while (record.details.remainingSeconds", "while (record.details.state == 'pending'", 'stays undecided'],
    ['undecided is asked once', 'awaitApproval', "while (record.details.remainingSeconds", "if (record.details.remainingSeconds", 'where the clocks differ'],
    ['a dry run asks', 'gitopsRelease', ' || released.details.dryRun', '', 'a dry run'],
    ['another step', 'setImage', "'set-image'", "'validate'", 'step by step'],
    ['flags are dropped', 'commitPush', ' + options', '', 'step by step'],
]

def library = new File(System.getenv('SLIPWAY_TEST_LIBRARY'))
def wanted = mutants.findAll { it[0] =~ (args ? args[0] : '') }
def quiet = new PrintStream(new ByteArrayOutputStream())
mutants.each { what, file, text, replacement, tests ->
    assert new File(library, "vars/${file}.groovy").text.count(text) == 1: "$what: $file does not have it once: $text"
}
if (!wanted) {
    println "${mutants.size()} mutants fit the library"
    return
}
def servers = new Servers()
int survived = 0
def sound = [:]
try {
    wanted.each { what, file, text, replacement, tests ->
        File copy = File.createTempDir('slipway-mutant-', '')
        new File(library, 'vars').eachFile { new File(copy, it.name).bytes = it.bytes }
        def target = new File(copy, "${file}.groovy")
        target.text = target.text.replace(text, replacement)
        def suite = new Suite(copy, servers, quiet).run(new File(library, 'test/tests'), tests, true)
        suite.failed.each { name ->
            String only = name.replaceFirst(/^(\w+): (.*)$/) { all, script, test -> '^' + script + '.groovy: ' + java.util.regex.Pattern.quote(test) + '$' }
            boolean passes = sound.computeIfAbsent(name) { new Suite(new File(library, 'vars'), servers, System.out).run(new File(library, 'test/tests'), only).passed == 1 }
            assert passes: "without a mutant, too: $name"
        }
        println suite.failed ? "caught   $what: ${suite.failed[0]}" : "SURVIVED $what (${suite.passed} tests passed)"
        survived += suite.failed ? 0 : 1
        copy.deleteDir()
    }
} finally {
    servers.close()
}
println "${wanted.size() - survived} of ${wanted.size()} mutants caught"
System.exit(survived ? 1 : 0)
