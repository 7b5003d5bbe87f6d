import harness.Build

String read(String file) { new File(System.getenv('SLIPWAY_TEST_LIBRARY'), "../examples/$file").getText('UTF-8') }

/** A Jenkinsfile with values changed as its reader changes them. */
String changed(String text, Map<String, String> more) {
    def values = ["'https://git.example.com/platform/gitops.git'": "'$world.url'", "'argocd.example.com'": "'$suite.servers.about.argocd'"] + more
    values.each { from, to ->
        assert text.contains(from)
        text = text.replace(from, to)
    }
    return text
}

/** The Jenkinsfile of an example: a file, or the block in a Pipeline of KubeSphere. */
String example(String file, Map<String, String> more = [:]) {
    def text = read(file)
    if (file.endsWith('.yaml')) {
        text = text.split(/(?m)^ +jenkinsfile: \|\n/)[1].readLines().collect { it.replaceFirst('^ {6}', '') }.join('\n')
    }
    return changed(text, more)
}

def files = [library: 'jenkins/library/Jenkinsfile', plain: 'jenkins/plain/Jenkinsfile', scripted: 'jenkins/scripted/Jenkinsfile']
/** What makes a window end soon, in the words of each example. */
def soon = { name -> name != 'plain' ? ["'30m'": "'1s'"] : ['--window 30m': '--window 1s', "time: 30, unit: 'MINUTES'": "time: 2, unit: 'SECONDS'"] }

(files + [kubesphere: 'kubesphere/pipelines/shop-web.yaml']).each { name, file ->
    test("$name: a release that is kept") {
        def b = build(params: [TAG: '5.1.0'], answers: [[proceed: 'ann']], example(file, ["'shop-prod'": "'$world.app'"]))
        assert b.result == 'SUCCESS'
        assert tag().startsWith('5.1.0')
        assert commits() == 2
        assert b.inputs*.agent == [null]
    }

    test("$name: a release that is rejected is taken back, in Git and in the cluster") {
        def b = build(params: [TAG: '5.1.0'], answers: [[reject: 'ann']], example(file, ["'shop-prod'": "'$world.app'"]))
        assert b.result == 'FAILURE'
        assert tag().startsWith('5.0.3')
        assert commits() == 3
        assert b.console.toString() =~ /$world.app: Synced and Healthy outcome=changed revision=${git('rev-parse', 'main')}/
    }

}

files.each { name, file ->
    test("$name: a release that nobody says anything about is kept") {
        def b = build(params: [TAG: '5.1.0'], answers: [[silence: true]], example(file, ["'shop-prod'": "'$world.app'"] + soon(name)))
        assert b.result == 'SUCCESS'
        assert tag().startsWith('5.1.0')
        assert commits() == 2
    }

    ['lost before', 'lost after', 'dead while'].each { fate ->
        test("$name: an agent that is $fate the rejection is written down is replaced by another one") {
            int asked = 0
            Build b = prepare(params: [TAG: '5.1.0'], answers: [[reject: 'ann']])
            b.fate = { String script -> script.contains('resolve') && ++asked == 1 ? fate - ' while' : null }
            checked(b.run(example(file, ["'shop-prod'": "'$world.app'"])))
            assert b.result in ['FAILURE', 'ABORTED']
            assert asked > 1
            assert tag().startsWith('5.0.3')
        }
    }

    test("$name: without a tag nothing is released") {
        def b = build(params: [TAG: ''], example(file, ["'shop-prod'": "'$world.app'"]))
        assert b.result == 'FAILURE'
        assert commits() == 1
    }
}

['library', 'scripted'].each { name ->
    test("$name: a build that is stopped decides nothing, and what was kept is not asked about again") {
        def text = example(files[name], ["'shop-prod'": "'$world.app'"])
        def stopped = build(sandboxed: false, params: [TAG: '5.1.0'], answers: [[stop: 'ann']], text)
        assert stopped.result == 'ABORTED'
        assert tag().startsWith('5.1.0')
        assert build(number: 2, params: [TAG: '5.1.0'], answers: [[proceed: 'ann']], text).result == 'SUCCESS'
        assert build(number: 3, params: [TAG: '5.1.0'], text).result == 'SUCCESS'
        assert commits() == 2
    }
}

files.each { name, file ->
    test("$name: two services release into one file at once") {
        def builds = ['web', 'worker'].collect { service ->
            [prepare(job: "shop/$service", params: [TAG: '5.1.0'], answers: [[proceed: 'ann']]),
             example(file, ["'shop-prod'": "'$world.app'", 'shop/shop-web': "shop/shop-$service"])]
        }
        builds.collect { b, text -> Thread.start { b.run(text) } }*.join()
        builds.each { b, text ->
            checked(b)
            assert b.result == 'SUCCESS'
        }
        assert commits() == 3
    }
}

test('kubesphere: the record says through what the answer came') {
    build(env: [SLIPWAY_VIA: 'kubesphere'], params: [TAG: '5.1.0'], answers: [[proceed: 'ann']],
        example('kubesphere/pipelines/shop-web.yaml', ["'shop-prod'": "'$world.app'"]))
    assert record.via == 'kubesphere'
}

test('plain: a rejection counts from when it was said, however late it is written down') {
    int asked = 0
    Build b = prepare(params: [TAG: '5.1.0'], answers: [[reject: 'ann']])
    b.fate = { String script ->
        if (script.contains('interrupted') && ++asked == 1) {
            Thread.sleep(6000)
        }
        return null
    }
    checked(b.run(example(files.plain, ["'shop-prod'": "'$world.app'", '--window 30m': '--window 5s'])))
    assert b.result == 'FAILURE'
    assert tag().startsWith('5.0.3')
}

test('plain: a build that is stopped takes the release back, as its sandbox cannot tell') {
    def b = build(params: [TAG: '5.1.0'], answers: [[stop: 'ann']], example(files.plain, ["'shop-prod'": "'$world.app'"]))
    assert b.result == 'FAILURE'
    assert tag().startsWith('5.0.3')
}

test('plain: what was kept stays, whatever a later build of the same is told') {
    def text = example(files.plain, ["'shop-prod'": "'$world.app'"])
    build(params: [TAG: '5.1.0'], answers: [[proceed: 'ann']], text)
    def b = build(number: 2, params: [TAG: '5.1.0'], answers: [[reject: 'bob']], text)
    assert b.result == 'SUCCESS'
    assert tag().startsWith('5.1.0')
    assert commits() == 2
}

test('scripted: a release that does not become healthy is taken back without asking') {
    suite.servers.tell("rollout $world.app crash")
    Build b = prepare(params: [TAG: '5.1.0'])
    b.fate = { String script ->
        if (script.contains("'revert'")) {
            suite.servers.tell("rollout $world.app healthy")
        }
        return null
    }
    checked(b.run(example(files.scripted, ["'shop-prod'": "'$world.app'"])))
    assert b.result == 'FAILURE'
    assert b.console.toString().contains('ERROR: taken back without asking')
    assert tag().startsWith('5.0.3')
    assert b.inputs == []
}

test('monorepo: the services that have a tag are released side by side, and one that is rejected takes back no other') {
    ['cart', 'catalog', 'web'].each { suite.servers.tell("app $it-$world.app $world.app services/$it/overlays/prod") }
    def b = build(params: [CART: '1.9.0', WEB: '2026.11.0'], answers: [[proceed: 'ann'], [reject: 'ann']],
        example('jenkins/monorepo/Jenkinsfile', ['{service}-prod"': "{service}-$world.app\""]))
    assert b.result == 'FAILURE'
    assert commits() == 4
    assert b.inputs.size() == 2
    assert !b.console.toString().contains('services/catalog')
    def tags = ['cart', 'web'].collect { git('show', "main:services/$it/overlays/prod/kustomization.yaml") =~ /newTag: '?(\S+?)'?\s/ }.collect { it[0][1] }
    assert tags in [['1.9.0', '2026.10.4'], ['1.8.2', '2026.11.0']]
}

test('migration: the right column is a pipeline, and the left one is Groovy') {
    def snippets = read('migration/README.md').findAll(/(?s)```groovy\n.*?\n```/).collect { it.readLines()[1..-2].join('\n') }
    def rows = snippets.collate(2)
    assert rows.size() > 4 && rows.every { it.size() == 2 }
    rows.each { Build.compile(it[0], 'before') }
    String after = rows.collect { it[1] }.join('\n')
    def b = build(env: [TAG: '5.1.0'], answers: [[reject: 'ann']],
        changed("node('gitops') { container('base') {\n$after\n} }", ["'shop-prod'": "'$world.app'"]))
    assert b.result == 'FAILURE'
    assert tag().startsWith('5.0.3')
    assert commits() == 3
    assert b.console.toString() =~ /$world.app: Synced and Healthy outcome=changed revision=${git('rev-parse', 'main')}/
}
