import harness.Servers
import harness.Suite

// tests.groovy [PATTERN]: the tests whose file and name match.
def library = new File(System.getenv('SLIPWAY_TEST_LIBRARY'))
def servers = new Servers()
def suite
try {
    suite = new Suite(new File(library, 'vars'), servers, System.out).run(new File(library, 'test/tests'), args ? args[0] : '')
} finally {
    servers.close()
}
println "${suite.passed} passed, ${suite.failed.size()} failed"
System.exit(suite.failed || !suite.passed ? 1 : 0)
