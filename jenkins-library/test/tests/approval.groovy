import harness.Build

String release(String approval, String more = '') {
    return """
        def done = gitopsRelease(agent: 'base', container: 'base', repo: '${world.url}', path: '${world.path}', app: '${world.app}',
            image: 'registry.example.com/shop/shop-web:5.1.0', gitCredentials: 'gitlab', argocdCredentials: 'argocd',
            message: 'release it', approval: [$approval]$more)
        echo "state=\${done.details.state} by=\${done.details.by}" """
}

test('a person keeps the release') {
    def b = build(answers: [[proceed: 'ann']], release("window: '30m', submitter: 'ops'"))
    assert b.result == 'SUCCESS'
    assert b.console.toString().contains('state=accepted by=ann')
    assert tag().startsWith('5.1.0')
    assert b.description.contains('released shop-web:5.1.0') && b.description.contains('accepted by ann via jenkins')
    assert b.inputs.size() == 1
    assert b.inputs[0].submitter == 'ops' && b.inputs[0].ok == 'Keep'
    assert b.inputs[0].id ==~ /[A-Za-z0-9-]+/
    assert b.inputs[0].message.contains(world.path)
    def limit = b.steps.find { it.name == 'timeout' }.arguments
    assert limit.unit == 'SECONDS' && (1790..1800).contains(limit.time)
}

test('nobody holds an agent while a person is asked') {
    def b = build(answers: [[proceed: 'ann']], release("window: '30m'"))
    assert b.inputs*.agent == [null]
}

[true, false].each { sandboxed ->
    String where = sandboxed ? 'in the sandbox' : 'in a trusted library'

    test("$where, a person rejects the release, and it is taken back") {
        def b = build(sandboxed: sandboxed, answers: [[reject: 'ann']], release("window: '30m'"))
        assert b.result == 'FAILURE'
        assert tag().startsWith('5.0.3')
        assert commits() == 3
        assert b.console.toString() =~ /ERROR: slipway await-approval: rejected \(exit 10\): release /
        assert b.description.contains('reverted')
        assert !sandboxed == b.description.contains('by ann')
        assert b.console.toString().contains("$world.app: Synced and Healthy outcome=changed revision=${git('rev-parse', 'main')}")
    }

    test("$where, silence keeps the release") {
        def b = build(sandboxed: sandboxed, answers: [[silence: true]], release("window: '1s'"))
        assert b.result == 'SUCCESS'
        assert tag().startsWith('5.1.0')
        assert b.description.contains('accepted: no answer within 1s')
    }
}

test('silence takes the release back where that was asked for') {
    def b = build(answers: [[silence: true]], release("window: '1s', onTimeout: 'reject'"))
    assert b.result == 'FAILURE'
    assert tag().startsWith('5.0.3')
}

test('a rejected release can be unstable instead, and the pipeline goes on') {
    def b = build(answers: [[reject: 'ann']], release("window: '30m'", ", results: [rejected: 'UNSTABLE']"))
    assert b.result == 'UNSTABLE'
    assert b.console.toString().contains('state=reverted')
    assert tag().startsWith('5.0.3')
}

test('a build that is stopped decides nothing, and the next one meets the same window') {
    def b = build(sandboxed: false, answers: [[stop: 'ann']], release("window: '30m'"))
    assert b.result == 'ABORTED'
    assert record.state == 'pending'
    assert tag().startsWith('5.1.0')
    String deadline = record.deadline
    def again = build(answers: [[proceed: 'bob']], release("window: '30m'"))
    assert again.result == 'SUCCESS'
    assert record.deadline == deadline
    assert commits() == 2
}

test('in the sandbox nobody can tell a stop from a rejection, which is the safe side') {
    def b = build(answers: [[stop: 'ann']], release("window: '30m'"))
    assert b.result != 'SUCCESS'
    assert tag().startsWith('5.0.3')
}

['lost before', 'lost after', 'dead'].each { fate ->
    ['reject', 'proceed'].each { answer ->
        test("an agent that is $fate the hand-over does not lose a $answer") {
            int asked = 0
            Build b = prepare(answers: [[(answer): 'ann']])
            b.fate = { String script -> script.contains("'resolve'") && ++asked == 1 ? fate : null }
            checked(b.run(release("window: '30m'")))
            assert asked == 2
            assert b.result == (answer == 'reject' ? 'FAILURE' : 'SUCCESS')
            assert tag().startsWith(answer == 'reject' ? '5.0.3' : '5.1.0')
            assert b.inputs.size() == 1
            def times = b.scripts.findAll { it.contains("'resolve'") }.collect { (it =~ /--at=(\d+)/)[0][1] }
            assert times.size() == 2 && times.unique().size() == 1
        }
    }
}

test('where no agent stays, the build fails and the window stays open') {
    Build b = prepare(answers: [[reject: 'ann']])
    b.fate = { String script -> script.contains("'resolve'") ? 'lost before' : null }
    checked(b.run(release("window: '30m'")))
    assert b.result == 'ABORTED' || b.result == 'FAILURE'
    assert record.state == 'pending'
    assert b.scripts.count { it.contains("'resolve'") } == 3
}

test('a stop during the hand-over lets the decision through, and then stops the build') {
    Build b = prepare(sandboxed: false, answers: [[proceed: 'ann']])
    int asked = 0
    b.fate = { String script ->
        if (script.contains("'resolve'") && ++asked == 1) {
            b.stop('bob')
        }
        return null
    }
    checked(b.run(release("window: '30m'")))
    assert b.result == 'ABORTED'
    assert record.state == 'accepted'
}

test('an agent that is lost while the cluster follows the revert is replaced by another one') {
    int asked = 0
    Build b = prepare(answers: [[reject: 'ann']])
    b.fate = { String script ->
        if (script.contains("'resolve'")) {
            suite.servers.tell("rollout $world.app ${asked == 0 ? 'progressing' : 'healthy'}")
            return asked++ == 0 ? 'dead in 2000' : null
        }
        return null
    }
    checked(b.run(release("window: '30m'", ", results: [rejected: 'SUCCESS']")))
    assert asked == 2
    assert b.result == 'SUCCESS'
    assert tag().startsWith('5.0.3')
    assert commits() == 3
    assert b.console.toString() =~ /$world.app: Synced and Healthy outcome=\w+ revision=${git('rev-parse', 'main')}/
}

test('what is settled is not asked again') {
    build(answers: [[proceed: 'ann']], release("window: '30m'"))
    def b = build(release("window: '30m'"))
    assert b.result == 'SUCCESS'
    assert b.inputs == []
    assert b.console.toString().contains('state=accepted by=ann')
}

test('a window that has closed in the meantime is not asked about') {
    build(sandboxed: false, answers: [[stop: 'ann']], release("window: '1s'"))
    Thread.sleep(1000)
    def b = build(release("window: '1s'"))
    assert b.result == 'SUCCESS'
    assert b.inputs == []
    assert record.reason == 'no answer within 1s'
}

/** A program that says of an approval, one call after the other, what it is told: [exit code, state, seconds that are left]. */
Map<String, String> conversation(List<List> answers) {
    def program = new File(directory, 'talk')
    answers.eachWithIndex { answer, i ->
        new File(directory, "answer-$i").text = "echo '{\"step\":\"await-approval\",\"outcome\":\"changed\",\"details\":" +
            "{\"id\":\"x\",\"state\":\"${answer[1]}\",\"message\":\"keep?\",\"remainingSeconds\":${answer[2]}}}'\nexit ${answer[0]}\n"
    }
    program.text = "#!/bin/sh\n[ \"\$1\" = version ] && exit 0\ni=\$(cat '$directory/i' 2>/dev/null || echo 0)\necho \$((i + 1)) > '$directory/i'\n. '$directory'/answer-\$i\n"
    program.executable = true
    return [SLIPWAY_BIN: program.path]
}

test('where the clocks differ, silence is asked about for the time that is left') {
    def b = build(answers: [[silence: true], [silence: true]], env: conversation([[0, 'pending', 1], [8, 'pending', 2], [0, 'accepted', 0]]), "node('x') { awaitApproval() }")
    assert b.result == 'SUCCESS'
    assert b.steps.findAll { it.name == 'timeout' }*.arguments*.time == [1, 2]
}

test('what stays undecided fails the build as pending') {
    def b = build(answers: [[proceed: 'ann']], env: conversation([[0, 'pending', 10], [8, 'pending', 0]]), "node('x') { awaitApproval() }")
    assert b.result == 'FAILURE'
    assert b.console.toString().contains('slipway await-approval: pending (exit 8)')
}

test('a hand-over that has to be run again is, twice') {
    def answers = [[0, 'pending', 10], [5, 'pending', 9], [5, 'pending', 8], [0, 'accepted', 0]]
    def b = build(answers: [[proceed: 'ann']], env: conversation(answers), "node('x') { awaitApproval() }")
    assert b.result == 'SUCCESS'
    assert b.inputs.size() == 1
    def given = build(answers: [[proceed: 'ann']], env: conversation([[0, 'pending', 10], [5, '', 0], [5, '', 0], [5, '', 0]]), "node('x') { awaitApproval() }")
    new File(directory, 'i').delete()
    assert given.result == 'FAILURE'
}

test('a timeout around it all decides nothing') {
    def b = build(sandboxed: false, answers: [[silence: true]], "timeout(time: 4, unit: 'SECONDS') { ${release("window: '30m'")} }")
    assert b.result == 'ABORTED'
    assert record.state == 'pending'
    assert b.inputs.size() == 1
}

test('two builds that wait for the same release come to the same end') {
    build(sandboxed: false, answers: [[stop: 'ann']], release("window: '30m'"))
    def both = [prepare(answers: [[reject: 'ann', after: 300]]), prepare(answers: [[proceed: 'bob', after: 1500]])]
    both.collect { b -> Thread.start { b.run(release("window: '30m'")) } }*.join()
    both.each { checked(it) }
    assert both*.result == ['FAILURE', 'FAILURE']
    assert tag().startsWith('5.0.3')
    assert commits() == 3
}

test('a stage of its own, on the agent of the stage') {
    build(release('').replace(', approval: []', ''))
    String text = """
        pipeline {
            agent { node { label 'base' } }
            stages {
                stage('keep?') {
                    steps {
                        container('base') {
                            awaitApproval repo: '${world.url}', path: '${world.path}', revision: '${git('rev-parse', 'main')}', window: '30m', gitCredentials: 'gitlab'
                        }
                    }
                }
                stage('after') {
                    steps { echo 'after' }
                }
            }
        }"""
    def kept = build(answers: [[proceed: 'ann']], text)
    assert kept.result == 'SUCCESS'
    assert kept.console.toString().contains('after')
}

test('what would be asked can be seen without asking') {
    build(release('').replace(', approval: []', ''))
    def b = build("""awaitApproval agent: 'base', container: 'base', repo: '${world.url}', path: '${world.path}', revision: '${git('rev-parse', 'main')}',
        dryRun: true, gitCredentials: 'gitlab'""")
    assert b.result == 'SUCCESS'
    assert git('for-each-ref').readLines().size() == 1
}

test('without a library, three lines do') {
    build(release('').replace(', approval: []', ''))
    String text = """
        pipeline {
            agent { node { label 'base' } }
            environment {
                GIT = credentials('gitlab')
                SLIPWAY_GIT_USERNAME = "\${GIT_USR}"
                SLIPWAY_GIT_PASSWORD = "\${GIT_PSW}"
                SLIPWAY_REPO = '${world.url}'
                SLIPWAY_ID = 'shop'
            }
            stages {
                stage('keep?') {
                    steps {
                        container('base') {
                            sh 'exec slipway await-approval open --revision ${git('rev-parse', 'main')} --window 30m --on-reject revert'
                            catchError(buildResult: 'SUCCESS', stageResult: 'SUCCESS') {
                                timeout(time: 30, unit: 'MINUTES') { input(message: 'Keep the new version?', ok: 'Keep') }
                                sh 'exec slipway await-approval resolve --signal proceed'
                            }
                            sh 'exec slipway await-approval resolve --signal interrupted --at \$(date +%s000)'
                        }
                    }
                }
            }
        }"""
    def rejected = prepare(answers: [[reject: 'ann']]).run(text)
    assert rejected.result == 'FAILURE'
    assert rejected.console.toString().contains('script returned exit code 10')
    assert tag().startsWith('5.0.3')
}
