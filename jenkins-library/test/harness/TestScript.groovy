package harness

import groovy.json.JsonSlurper

/** What a file of tests may say. */
abstract class TestScript extends Script {
    Suite suite
    final Map<String, Closure> tests = [:]
    File directory
    Map<String, String> place
    List<Build> last

    void belong(Suite suite) { this.suite = suite }

    void test(String name, Closure body) { tests[name] = body }

    void begin(File directory) {
        this.directory = directory
        place = null
        last = []
    }

    /** The repository and the application of this test. */
    Map<String, String> getWorld() {
        if (place == null) {
            place = suite.servers.world()
        }
        return place
    }

    /** A build that has yet to run. */
    Build prepare(Map settings = [:]) {
        def build = suite.servers.build(new Build([
            library: suite.library, directory: new File(directory, "build-${last.size()}"),
        ] + settings + [credentials: [other: 'tell nobody']]), world)
        last << build
        return build
    }

    /** Runs a Jenkinsfile; what never may happen has not happened. */
    Build build(Map settings = [:], String text) { checked(prepare(settings).run(text)) }

    Build checked(Build done) {
        assert done.violations == []
        assert done.console.secrets.every { !done.console.toString().contains(it) }
        return done
    }

    /** A program instead of slipway that writes its arguments down, and says and exits as it is told by ANSWER and EXIT. */
    Map<String, String> probe(String answer = '{"step":"probe","outcome":"unchanged","details":{}}', int exit = 0) {
        def program = new File(directory, 'probe')
        program.text = '#!/bin/sh\n[ "$1" = version ] && exit 0\nfor a in "$@"; do printf "%s\\0" "$a"; done >> "$ARGUMENTS"\nprintf %s "$ANSWER"\nexit $EXIT\n'
        program.executable = true
        return [SLIPWAY_BIN: program.path, ARGUMENTS: new File(directory, 'arguments').path, ANSWER: answer, EXIT: "$exit".toString()]
    }

    /** What the probe was called with since the test began. */
    List<String> getArguments() {
        def file = new File(directory, 'arguments')
        return file.exists() ? file.getText('UTF-8').split('\0', -1).toList().dropRight(1) : []
    }

    /** What is known of the approval of the first release, as whoever opens it once more is told. */
    Map getRecord() {
        def commit = git('rev-list', '--reverse', 'main').readLines()[1]
        def about = suite.servers.about
        def build = last.last()
        def open = new ProcessBuilder(new File(build.programs, 'slipway').path, 'await-approval', 'open', '--repo', world.url, '--path', world.path, '--revision', commit)
        open.environment().putAll(build.env + [SLIPWAY_GIT_USERNAME: about.username, SLIPWAY_GIT_PASSWORD: about.password])
        return new JsonSlurper().parseText(open.start().text).details
    }

    /** Runs git in the repository of the test. */
    String git(String... arguments) {
        def process = (['git', '-C', world.dir] + arguments.toList()).execute()
        def text = process.text
        assert process.waitFor() == 0: process.err.text
        return text.trim()
    }

    /** The image of the application shop-web that is on the branch. */
    String tag() {
        def lines = git('show', "main:$world.path/kustomization.yaml").readLines()
        return lines[lines.findIndexOf { it.contains('shop/shop-web') } + 1].split(': ')[1]
    }

    int commits() { git('rev-list', '--count', 'main') as int }
}
