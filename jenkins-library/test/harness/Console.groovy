package harness

/** The log of a build, in which Jenkins hides the values of bound credentials. */
class Console {
    private final StringBuffer text = new StringBuffer()
    final Set<String> secrets = [] as Set
    Appendable echo

    void line(Object said) { append(said + '\n') }

    void append(String said) {
        String masked = secrets.sort { -it.length() }.inject(said) { s, secret -> s.replace(secret, '****') }
        text.append(masked)
        echo?.append(masked)
    }

    @Override
    String toString() { text.toString() }
}
