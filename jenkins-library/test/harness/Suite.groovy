package harness

import org.codehaus.groovy.control.CompilerConfiguration

/** The tests of the directory tests, on one library: the real one or a mutant. */
class Suite {
    final File library
    final Servers servers
    final PrintStream out
    final List<String> failed = []
    int passed

    Suite(File library, Servers servers, PrintStream out) {
        this.library = library
        this.servers = servers
        this.out = out
    }

    /** Runs the tests whose file and name match, at most until one has failed if told so. */
    Suite run(File tests, String pattern, boolean once = false) {
        for (file in tests.listFiles().findAll { it.name.endsWith('.groovy') }.sort()) {
            TestScript script = (TestScript) scriptOf(file).newInstance()
            script.belong(this)
            script.run()
            for (test in script.tests.findAll { name, body -> "$file.name: $name" =~ pattern }) {
                one("${file.name - '.groovy'}: $test.key", test.value, script)
                if (once && failed) {
                    return this
                }
            }
        }
        return this
    }

    private static final Map<File, Class> SCRIPTS = [:]

    private static Class scriptOf(File file) {
        return SCRIPTS.computeIfAbsent(file) {
            new GroovyClassLoader(Suite.classLoader, new CompilerConfiguration(scriptBaseClass: TestScript.name)).parseClass(file)
        }
    }

    private void one(String name, Closure body, TestScript script) {
        long from = System.currentTimeMillis()
        File directory = File.createTempDir('slipway-library-', '')
        try {
            script.begin(directory)
            body.call()
            passed++
            out.println("ok   $name (${System.currentTimeMillis() - from} ms)")
        } catch (Throwable e) {
            failed << name
            out.println("FAIL $name\n" + e.toString().readLines().take(9).collect { "     ${it.take(200)}" }.join('\n'))
            script.last?.each { out.println(it.console.toString().readLines().collect { "     | $it" }.join('\n')) }
            if (!(e instanceof AssertionError)) {
                e.stackTrace.findAll { it.fileName?.endsWith('.groovy') }.take(8).each { out.println("     at $it") }
            }
        } finally {
            directory.deleteDir()
        }
    }
}
