package harness

/** The base of Jenkinsfiles and of the library's scripts: what they do not define themselves is Jenkins's. */
abstract class PipelineScript extends Script {
    Build jenkins

    @Override
    Object invokeMethod(String name, Object args) {
        Object[] arguments = args instanceof Object[] ? (Object[]) args : [args] as Object[]
        if (ownMethod(name)) {
            return getMetaClass().invokeMethod(this, name, arguments)
        }
        return jenkins.invoke(name, arguments)
    }

    @Override
    Object getProperty(String name) {
        if (name == 'jenkins') {
            return jenkins
        }
        def field = ownField(name)
        return field ? field.get(this) : jenkins.property(name)
    }

    @Override
    void setProperty(String name, Object value) {
        def field = ownField(name)
        if (name == 'jenkins') {
            jenkins = (Build) value
        } else if (field) {
            field.set(this, value)
        } else {
            jenkins.variables[name] = held(value)
        }
    }

    /** Every value that a script holds on to must survive a restart of Jenkins: see Held. */
    Object held(Object value) {
        return jenkins.held(value)
    }

    @Override
    void println(Object text) { jenkins.invoke('echo', [String.valueOf(text)] as Object[]) }

    @Override
    void print(Object text) { println(text) }

    private boolean ownMethod(String name) {
        return getClass().declaredMethods.any { it.name == name && !it.synthetic && name != 'run' && name != 'main' }
    }

    private ownField(String name) {
        def field = getClass().declaredFields.find { it.name == name && !it.synthetic }
        field?.accessible = true
        return field
    }
}
