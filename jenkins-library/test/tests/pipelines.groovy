import harness.Build

Build run(Map settings = [:], String name) {
    return checked(prepare(settings).run(new File(System.getenv('SLIPWAY_TEST_LIBRARY'), "test/pipelines/$name")))
}

test('a declarative pipeline that is kept') {
    def b = run('declarative.jenkinsfile', answers: [[proceed: 'ann']])
    assert b.result == 'SUCCESS'
    assert tag().startsWith('5.1.0')
    assert b.console.toString() =~ /(?s)always: SUCCESS.*cleanup/
    assert b.inputs*.agent == [null]
}

test('a declarative pipeline that is rejected, with a parameter') {
    def b = run('declarative.jenkinsfile', answers: [[reject: 'ann']], params: [TAG: '5.2.0'])
    assert b.result == 'UNSTABLE'
    assert tag().startsWith('5.0.3')
    assert b.description.contains('shop-web:5.2.0')
    assert b.console.toString() =~ /(?s)always: UNSTABLE.*unstable.*cleanup/
}

test('a scripted pipeline') {
    assert run('scripted.jenkinsfile').result == 'SUCCESS'
    assert tag().startsWith('5.1.0')
}

test('a scripted pipeline that takes back what does not become healthy') {
    suite.servers.tell("rollout $world.app crash")
    def b = prepare()
    b.fate = { String script ->
        if (script.contains("'revert'")) {
            suite.servers.tell("rollout $world.app healthy")
        }
        return null
    }
    checked(b.run(new File(System.getenv('SLIPWAY_TEST_LIBRARY'), 'test/pipelines/scripted.jenkinsfile')))
    assert b.result == 'FAILURE'
    assert b.console.toString().contains('taken back: slipway argocd-sync: unhealthy')
    assert tag().startsWith('5.0.3')
    assert b.description.contains('reverted shop-web:5.1.0')
}

test('a step that Jenkins does not have') {
    assert build("readJSON(text: '{}')").console.toString().contains("No such DSL method 'readJSON'")
}

test('results only get worse') {
    assert build("unstable('a'); currentBuild.result = 'SUCCESS'").result == 'UNSTABLE'
    assert build("currentBuild.result = 'NOT_BUILT'; error('b')").result == 'NOT_BUILT'
    assert build("catchError(buildResult: 'UNSTABLE') { error('c') }\necho 'on'").result == 'UNSTABLE'
    assert build("warnError('w') { error('d') }").result == 'UNSTABLE'
}

test('what cannot be saved is found') {
    def b = prepare().run("def x = new groovy.json.JsonSlurper().parseText('{\"a\":1}')\necho 'a'")
    assert b.result == 'FAILURE'
    assert b.violations.any { it.contains('cannot be saved') }
}

test('an input without a timeout, and one that nobody expects, are found') {
    assert prepare(answers: [[proceed: 'ann']]).run("input('a')").violations.size() == 1
    assert prepare().run("timeout(1) { input('a') }").violations.size() == 1
}

test('a process of a step is as under Jenkins') {
    def b = build("""node('x') { sh '''
        [ -t 0 ] || [ -t 1 ] || echo 'no terminal'
        [ "\$(readlink /proc/self/fd/0)" = /dev/null ] && echo 'no input'
        [ "\$(readlink /proc/\$\$/fd/1)" = "\$(readlink /proc/\$\$/fd/2)" ] && echo 'one log'
        awk '/SigIgn/ { print (substr(\$2, 16, 1) ~ /[7f]/) ? "ignores hup, int and quit" : \$0 }' /proc/\$\$/status
    '''
    echo sh(script: 'echo captured; echo logged >&2', returnStdout: true).trim()
    echo "code \${sh(script: 'exit 7', returnStatus: true)}"
    sh 'exit 3'
    }""")
    def log = b.console.toString()
    ['no terminal', 'no input', 'one log', 'ignores hup, int and quit', 'captured', 'logged', 'code 7', 'ERROR: script returned exit code 3'].each { assert log.contains(it) }
}
