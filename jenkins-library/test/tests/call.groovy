import groovy.json.JsonOutput

String steps(String body) { "node('base') { container('base') { $body } }" }

test('arguments arrive byte for byte, whatever is in them') {
    def hostile = [
        "it's", '"quoted"', '$(touch pwned)', '`touch pwned`', '$HOME', ';touch pwned', '& touch pwned', 'a\nb', ' spaces  ', '中文 ü',
        '\\', '\\\\n', '*', '', '-x', '!', "'; touch pwned; '", '\t', '#', '${PATH}', '%s',
    ]
    def b = build(env: probe(), params: [hostile: hostile], steps('slipway(step: "probe verb", message: params.hostile)'))
    assert b.result == 'SUCCESS'
    assert arguments == ['probe', 'verb'] + hostile.collect { "--message=$it".toString() }
    assert !new File(directory, 'build-0').listFiles().any { it.name == 'pwned' }
}

test('the same arguments in a naive script break it, so the test above can fail') {
    def b = build(env: probe(), params: [hostile: "it's"], steps('sh "exec $SLIPWAY_BIN --message=\'${params.hostile}\'"'))
    assert b.result == 'FAILURE'
}

test('parameters become flags of the same name') {
    def b = build(env: probe(), steps('''
        def n = 1
        slipway(step: 'probe', onTimeout: 'accept', 'on-reject': 'revert', argocdGrpcWeb: true, create: false, none: null,
            image: ['a', "b${n}"], path: [], order: 7, message: "m${n}")'''))
    assert b.result == 'SUCCESS'
    assert arguments == ['probe', '--on-timeout=accept', '--on-reject=revert', '--argocd-grpc-web', '--create=false', '--image=a', '--image=b1', '--order=7', '--message=m1']
}

test('what the library keeps to itself is no flag of any step') {
    def slipway = System.getenv('SLIPWAY_TEST_PROGRAMS') + '/slipway'
    def words = [slipway, '--help'].execute().text.readLines().collect { it =~ /^   ([a-z-]+) {2,}[a-z]/ }.findAll { it }.collect { it[0][1] }
    assert words.contains('set-image') && words.contains('release')
    def flags = words.collectMany { [slipway, it, '--help'].execute().text.readLines().collect { it =~ /^   --([a-z-]+)/ }.findAll { it }.collect { it[0][1] } } as Set
    assert flags.containsAll(['image', 'repo', 'app'])
    def own = (new File(suite.library, 'slipway.groovy').text =~ /(?s)OWN = \[(.*?)\]/)[0][1].findAll(/'(\w+)'/) { it[1] }
    assert own.size() > 5
    assert own.collect { it.replaceAll('([A-Z])', '-$1').toLowerCase() }.findAll { flags.contains(it) } == []
}

def error = { category -> JsonOutput.toJson([step: 'probe', error: [category: category, message: 'no such thing', hint: 'look there', retryable: false]]) }

[1: 'failure', 2: 'usage', 3: 'invalid', 4: 'conflict', 5: 'transient', 7: 'unhealthy', 8: 'pending', 9: 'denied', 42: 'failure'].each { code, category ->
    test("exit $code fails the build and says why") {
        def b = build(env: probe(error(category), code), steps('slipway(step: "probe"); echo "went on"'))
        assert b.result == 'FAILURE'
        assert b.console.toString().contains("ERROR: slipway probe: $category (exit $code): no such thing; look there")
        assert !b.console.toString().contains('went on')
    }
}

test('superseded ends the build as not built, and its description says so') {
    def b = build(env: probe(error('superseded'), 6), steps('slipway(step: "probe"); echo "went on"'))
    assert b.result == 'NOT_BUILT'
    assert b.description == 'superseded by a newer build'
    assert !b.console.toString().contains('went on')
}

test('rejected fails the build, and its description has the decision') {
    def answer = JsonOutput.toJson([step: 'await-approval', error: [category: 'rejected', message: 'release x: rejected by ann', hint: 'release another version',
        retryable: false, details: [state: 'reverted', by: 'ann', via: 'jenkins', reason: 'too slow']]])
    def b = build(env: probe(answer, 10), steps('slipway(step: "probe")'))
    assert b.result == 'FAILURE'
    assert b.description == 'reverted by ann via jenkins: too slow'
    assert b.console.toString().contains('ERROR: slipway await-approval: rejected (exit 10): release x: rejected by ann; release another version')
}

test('the result for a category can be chosen') {
    def unstable = build(env: probe(error('unhealthy'), 7), steps('def r = slipway(step: "probe", results: [unhealthy: "UNSTABLE"]); echo "went on: ${r.category} ${r.message}"'))
    assert unstable.result == 'UNSTABLE'
    assert unstable.console.toString().contains('went on: unhealthy no such thing')
    def success = build(env: probe(error('superseded'), 6), steps('slipway(step: "probe", results: [superseded: "SUCCESS"]); echo "went on"'))
    assert success.result == 'SUCCESS'
    assert success.console.toString().contains('went on')
    assert build(env: probe(error('invalid'), 3), steps('slipway(step: "probe", results: [superseded: "SUCCESS"])')).result == 'FAILURE'
}

test('retry after a failure can still make the build a success') {
    def b = build(env: probe(error('transient'), 5), steps('''
        def tries = 0
        retry(2) {
            tries++
            withEnv(tries == 2 ? ['EXIT=0'] : []) { slipway(step: 'probe') }
        }'''))
    assert b.result == 'SUCCESS'
    assert arguments == ['probe', 'probe']
}

test('a result that was cut short is a failure like any other') {
    assert build(env: probe('{"step":"pro', 143), steps('slipway(step: "probe")')).console.toString().contains('slipway probe: interrupted (exit 143): it was stopped; it is safe to run this again')
    assert build(env: probe('', 1), steps('slipway(step: "probe")')).console.toString().contains('slipway probe: failure (exit 1)')
}

test('a result is all plain values, however deep') {
    def b = build(env: probe('{"step":"probe","outcome":"changed","details":{"a":[{"b":1.5,"c":null,"d":[true,"中文"]}]}}'),
        steps('def r = slipway(step: "probe"); echo "${r.details.a[0].d[1]} ${r.details.a[0].b} ${r.changed} ${r.exitCode}"'))
    assert b.result == 'SUCCESS'
    assert b.console.toString().contains('中文 1.5 true 0')
}

test('outside of the container that has slipway, the error says where it is') {
    def b = build("node('base') { setImage(path: 'x', image: 'y') }")
    assert b.result == 'FAILURE'
    assert b.console.toString().contains('slipway version: missing (exit 127): there is no such program here; use the container of the agent image')
}

test('a step can name its agent and its container') {
    def named = build(env: probe(), 'slipway(step: "probe", agent: "base", container: "base")')
    assert named.result == 'SUCCESS'
    assert named.steps.findAll { it.name in ['node', 'container'] }*.arguments == [[label: 'base'], [name: 'base']]
    def inside = build(env: probe(), 'node("base") { slipway(step: "probe", container: "base") }')
    assert inside.steps.count { it.name == 'node' } == 1
    assert arguments == ['probe', 'probe']
}

test('without an agent there is no step') {
    def b = build("setImage(path: 'x', image: 'y')")
    assert b.result == 'FAILURE'
    assert b.console.toString().contains('Perhaps you forgot to surround the code with a step that provides this, such as: node')
}

test('the version is asked for once in a build') {
    def b = build(env: probe(), steps('slipway(step: "probe"); slipway(step: "probe")'))
    assert b.result == 'SUCCESS'
    assert b.scripts.count { it.contains("'version'") } == 1
    assert b.scripts[0].contains("'version' '--require=>=")
}

test('a slipway of another version than the library is for does nothing') {
    def other = new File(directory, 'other')
    other.mkdirs()
    suite.library.eachFile { new File(other, it.name).text = it.text.replaceAll(/VERSIONS = '.*'/, "VERSIONS = '>=99'") }
    def b = build(library: other, steps("setImage(path: 'x', image: 'y')"))
    assert b.result == 'FAILURE'
    assert b.console.toString() =~ /slipway version: usage \(exit 2\): .*>=99/
    assert b.scripts.size() == 1
}

test('every sh replaces its shell and has a label') {
    def b = build(env: probe(), steps('slipway(step: "probe")'))
    assert b.scripts.every { it.startsWith("exec '") && !it.contains('\n') }
    assert b.steps.findAll { it.name == 'sh' }.every { it.arguments.label.startsWith('slipway ') }
}

test('secrets go by the environment, and are nowhere else') {
    def program = new File(directory, 'tell')
    program.text = '#!/bin/sh\n[ "$1" = version ] && exit 0\necho "$SLIPWAY_GIT_USERNAME $SLIPWAY_GIT_PASSWORD $ARGOCD_AUTH_TOKEN $MINE" >&2\nprintf %s "$SLIPWAY_GIT_PASSWORD$ARGOCD_AUTH_TOKEN$MINE" | md5sum > sums\n'
    program.executable = true
    def b = build(env: [SLIPWAY_BIN: program.path], steps('''
        slipway(step: 'probe', gitCredentials: 'gitlab', argocdCredentials: 'argocd', secrets: [MINE: 'other'])
        echo readFile('sums')
        sh 'echo "after: [$SLIPWAY_GIT_PASSWORD$ARGOCD_AUTH_TOKEN$MINE]"' '''))
    def about = suite.servers.about
    assert b.result == 'SUCCESS'
    assert b.console.toString().contains('bot **** **** ****')
    assert b.console.toString().contains(java.security.MessageDigest.getInstance('MD5').digest((about.password + about.token + 'tell nobody').bytes).encodeHex().toString())
    assert b.console.toString().contains('after: []')
    assert b.warnings == []
}

test('credentials can be named once, in the environment') {
    def b = build(env: probe() + [SLIPWAY_GIT_CREDENTIALS: 'gitlab', SLIPWAY_ARGOCD_CREDENTIALS: 'argocd'], steps('slipway(step: "probe")'))
    assert b.steps.findAll { it.name == 'withCredentials' }.last().arguments.bindings*.credentialsId == ['gitlab', 'argocd']
}

test('credentials that do not exist are named') {
    def b = build(env: probe(), steps('slipway(step: "probe", gitCredentials: "nobody")'))
    assert b.result == 'FAILURE'
    assert b.console.toString().contains("Could not find credentials entry with ID 'nobody'")
}

test('a secret in a string of the pipeline is warned of, and found in a script') {
    def naive = prepare().run(steps('withCredentials([string(credentialsId: "other", variable: "T")]) { sh "echo ${T}" }'))
    assert naive.warnings.size() == 1
    assert naive.violations.size() == 1
    assert !naive.console.toString().contains('tell nobody')
}

test('stopped in a container, a step comes to its end before the build goes on') {
    def program = new File(directory, 'slow')
    program.text = '#!/bin/sh\n[ "$1" = version ] && exit 0\ntrap "sleep 1; touch $CLEAN; exit 143" TERM\nwhile :; do sleep 0.05; done\n'
    program.executable = true
    def env = [SLIPWAY_BIN: program.path, CLEAN: new File(directory, 'clean').path]
    def b = build(env: env, steps('try { timeout(time: 1, unit: "SECONDS") { slipway(step: "probe") } } finally { echo "clean: ${fileExists(env.CLEAN)}" }'))
    assert b.result == 'ABORTED'
    assert b.console.toString().contains('clean: true')
    assert b.stops[0].code == 143 && b.stops[0].millis < 3000
    new File(directory, 'clean').delete()
    // Without exec there is a shell in between, which dies first.
    def naive = build(env: env, steps('try { timeout(time: 1, unit: "SECONDS") { sh \'$SLIPWAY_BIN probe; true\' } } finally { echo "clean: ${fileExists(env.CLEAN)}" }'))
    assert naive.console.toString().contains('clean: false')
}

test('the rules for the old sandbox are kept') {
    assert harness.Rules.check(suite.library) == []
}

['@NonCPS def f() { sh(label: "x", script: "y") }': 'the step sh', 'def f() { readJSON(text: "{}") }': 'the step readJSON', 'def f(e) { e.causes }': 'causes',
 'def f() { new LinkedHashMap() }': 'new LinkedHashMap', 'def f(x) { x.each { echo "a" } }': 'the method each', 'def f(x) { x << 1 }': 'the operator <<',
 'import hudson.model.Job\ndef f() {}': 'import of hudson.model.Job', 'def f() { currentBuild.rawBuild }': 'the property rawBuild', 'def f(x) { for (y in x) { echo y } }': 'an iterator', 'class A {}\ndef f() {}': 'a class', 'def f(x) { x.execute() }': 'the method execute',
 'def f(x) { sh(label: "x", script: "echo ${x}") }': 'a GString', 'def f() { new File("x") }': 'new File', 'static f() { }': 'a static method',
 'def f() { sh "x" }': 'sh without a label', 'def g() { echo "" }\n@NonCPS def f() { g() }': 'g, which runs steps'].each { text, finding ->
    test("the rules find ${text.replace('\n', ' ')}") {
        assert harness.Rules.check('f.groovy', text, ['slipway'] as Set).any { it.contains(finding) }
    }
}

test('every step has a help that shows how it is called') {
    suite.library.listFiles().findAll { it.name.endsWith('.groovy') }.each { file ->
        def name = file.name - '.groovy'
        def help = new File(file.parentFile, name + '.txt')
        assert help.exists() && help.text =~ /\b$name[ (]/
    }
}
