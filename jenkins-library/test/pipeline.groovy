import harness.Build
import harness.Servers

// pipeline.groovy FILE [ANSWER...]: one build of a Jenkinsfile. Its environment has GIT_URL, APP and OVERLAY of a repository of its own,
// and the credentials gitlab (a user) and argocd (a token) are there.
def library = new File(System.getenv('SLIPWAY_TEST_LIBRARY'))
def servers = new Servers()
File directory = File.createTempDir('slipway-pipeline-', '')
def build
try {
    build = servers.build(new Build(
        library: new File(library, 'vars'), directory: directory, echo: System.out,
        answers: args.drop(1).collect { [(it): it == 'silence' ?: 'sam'] },
    ), servers.world()).run(new File(args[0]))
} finally {
    servers.close()
    directory.deleteDir()
}
System.exit(build.result == 'SUCCESS' && !build.violations ? 0 : 1)
