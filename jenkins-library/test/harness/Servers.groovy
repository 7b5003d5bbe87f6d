package harness

import groovy.json.JsonSlurper

/** The Git server and the Argo CD of slipway's own tests, in a process that ends with this one. */
class Servers implements Closeable {
    private final Process process
    private final BufferedReader answers
    final Map<String, String> about
    private int worlds

    Servers() {
        process = [System.getenv('SLIPWAY_TEST_SERVERS'), '-files', System.getenv('SLIPWAY_TEST_FILES'), '-password', 'pa$$ "word\'"'].execute()
        process.consumeProcessErrorStream(System.err)
        answers = new BufferedReader(new InputStreamReader(process.inputStream))
        about = read()
    }

    /** A repository and an application of its own. */
    Map<String, String> world() { tell("world w${++worlds}") }

    /** Gives a build the way to the servers, and to the repository and the application of a world. */
    Build build(Build build, Map<String, String> world) {
        build.credentials = [gitlab: [about.username, about.password], argocd: about.token] + build.credentials
        build.env = [
            ARGOCD_SERVER: about.argocd, SLIPWAY_ARGOCD_PLAINTEXT: 'true', SLIPWAY_SETTLE: '0s', SLIPWAY_DEGRADED_GRACE: '1s',
            GIT_URL: world.url, APP: world.app, OVERLAY: world.path,
        ] + build.env
        return build
    }

    synchronized Map<String, String> tell(String line) {
        process.outputStream << line + '\n'
        process.outputStream.flush()
        def answer = read()
        if (answer.error) {
            throw new IllegalStateException(answer.error)
        }
        return answer
    }

    private Map<String, String> read() { (Map<String, String>) new JsonSlurper().parseText(answers.readLine()) }

    @Override
    void close() {
        process.outputStream.close()
        process.waitFor()
    }
}
