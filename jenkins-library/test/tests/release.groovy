import harness.Build

/** A Jenkinsfile with the steps of a release, one stage each; the first lines stand for what an administrator sets. */
String stages(String tag, String more = '') {
    return """
        pipeline {
            agent { node { label 'base' } }
            environment {
                SLIPWAY_REPO = '${world.url}'
                SLIPWAY_PATH = '${world.path}'
                SLIPWAY_GIT_CREDENTIALS = 'gitlab'
                SLIPWAY_ARGOCD_CREDENTIALS = 'argocd'
            }
            stages {
                stage('image') {
                    steps {
                        container('base') {
                            slipway step: 'checkout', dir: 'gitops'
                            setImage dir: 'gitops', image: "registry.example.com/shop/shop-web:${tag}"
                        }
                    }
                }
                stage('validate') {
                    steps { container('base') { validateManifests dir: 'gitops' } }
                }
                stage('publish') {
                    steps { container('base') { commitPush dir: 'gitops' } }
                }
                stage('sync') {
                    steps { container('base') { argocdSync app: '${world.app}' } }
                }
                $more
            }
            post {
                success { echo 'post: success' }
                failure { echo 'post: failure' }
                aborted { echo 'post: aborted' }
                notBuilt { echo 'post: not built' }
            }
        }"""
}

test('step by step, an image comes into the cluster') {
    def b = build(stages('5.1.0'))
    assert b.result == 'SUCCESS'
    assert tag() == '5.1.0 # released by shop/web'
    assert commits() == 2
    assert b.description == "released shop-web:5.1.0 (${git('rev-parse', '--short=8', 'main')})"
    assert b.console.toString().contains('post: success')
    assert git('log', '-1', '--format=%B', 'main').contains('Slipway-Job: shop/web')
}

test('the same build once more changes nothing') {
    build(stages('5.1.0'))
    def b = build(stages('5.1.0'))
    assert b.result == 'SUCCESS'
    assert commits() == 2
    assert b.description == "released (${git('rev-parse', '--short=8', 'main')})"
}

test('a build that a newer one has overtaken is not built') {
    assert build(number: 8, stages('5.2.0')).result == 'SUCCESS'
    def b = build(number: 7, stages('5.1.0'))
    assert b.result == 'NOT_BUILT'
    assert b.description.startsWith('superseded')
    assert b.console.toString().contains('post: not built')
    assert tag().startsWith('5.2.0')
}

test('manifests that are wrong are not published') {
    def b = build(stages('5.1.0').replace("stage('validate') {", '''stage('break') {
        steps { sh "echo 'patches: [{path: memroy.yaml}]' >> gitops/${SLIPWAY_PATH}/kustomization.yaml" }
    }
    stage('validate') {'''))
    assert b.result == 'FAILURE'
    assert b.console.toString().contains('slipway validate: invalid (exit 3): findings: 1')
    assert b.console.toString().contains('memroy.yaml')
    assert commits() == 1
}

test('a release that does not become healthy fails the build and says why') {
    suite.servers.tell("rollout $world.app crash")
    def b = build(stages('5.1.0'))
    assert b.result == 'FAILURE'
    assert b.console.toString().contains('panic: no database')
    assert b.console.toString() =~ /slipway argocd-sync: unhealthy \(exit 7\): .*Degraded/
}

test('a release is taken back by its commit') {
    build(stages('5.1.0'))
    String commit = git('rev-parse', 'main')
    def b = build("""node('base') { container('base') {
        def back = revertRelease(repo: '${world.url}', commit: '$commit', gitCredentials: 'gitlab')
        argocdSync(app: '${world.app}', revision: back.details.revision, argocdCredentials: 'argocd')
    } }""")
    assert b.result == 'SUCCESS'
    assert tag().startsWith('5.0.3')
    assert b.description == "reverted shop-web:5.1.0 (${git('rev-parse', '--short=8', 'main')})"
}

test('all at once, and twice') {
    String text = """gitopsRelease(agent: 'base', container: 'base', repo: '${world.url}', path: '${world.path}', app: '${world.app}',
        image: ['registry.example.com/shop/shop-web:5.1.0', 'registry.example.com/shop/shop-worker:5.1.0'],
        gitCredentials: 'gitlab', argocdCredentials: 'argocd')"""
    def first = build(text)
    assert first.result == 'SUCCESS'
    assert first.description == "released shop-web:5.1.0, shop-worker:5.1.0 (${git('rev-parse', '--short=8', 'main')})"
    assert build(text).result == 'SUCCESS'
    assert commits() == 2
}

test('a dry run writes nothing, and nobody is asked') {
    def b = build("""gitopsRelease(agent: 'base', container: 'base', repo: '${world.url}', path: '${world.path}', app: '${world.app}',
        image: 'registry.example.com/shop/shop-web:5.1.0', gitCredentials: 'gitlab', argocdCredentials: 'argocd', dryRun: true, approval: [window: '30m'])""")
    assert b.result == 'SUCCESS'
    assert b.description == null
    assert commits() == 1
}

test('two builds at once both land') {
    def builds = ['web', 'worker'].collect { service ->
        [prepare(job: "shop/$service"), stages('5.1.0').replace('shop-web:', "shop-$service:")]
    }
    builds.collect { b, text -> Thread.start { b.run(text) } }*.join()
    builds.each { b, text ->
        checked(b)
        assert b.result == 'SUCCESS'
    }
    assert commits() == 3
}

test('services of one repository are released in parallel branches') {
    def b = build("""
        def release(service) {
            gitopsRelease(agent: 'base', container: 'base', repo: '${world.url}', path: '${world.path}', app: '${world.app}', job: service,
                image: 'registry.example.com/shop/shop-' + service + ':5.1.0', gitCredentials: 'gitlab', argocdCredentials: 'argocd')
        }
        parallel(web: { release('web') }, worker: { release('worker') })""")
    assert b.result == 'SUCCESS'
    assert commits() == 3
    assert b.description.contains('shop-web:5.1.0') && b.description.contains('shop-worker:5.1.0')
}

['pods', 'machines'].each { agents ->
    test("stopped while it waits for health, a step on $agents ends within three seconds, and the next build completes the release") {
        suite.servers.tell("rollout $world.app progressing")
        Build b = prepare(pods: agents == 'pods')
        String text = stages('5.1.0')
        b.fate = { String script ->
            if (script.contains('argocd-sync')) {
                Thread.start { Thread.sleep(1500); b.stop('ann') }
            }
            return null
        }
        checked(b.run(text))
        assert b.result == 'ABORTED'
        assert b.stops.size() == 1 && b.stops[0].code == 143 && b.stops[0].millis < 3000
        assert b.console.toString().contains('post: aborted')
        suite.servers.tell("rollout $world.app healthy")
        def again = build(number: 2, text.replace('5.1.0', '5.1.1'))
        assert again.result == 'SUCCESS'
        assert tag().startsWith('5.1.1')
    }
}
