package harness

/**
 * The part of Declarative Pipeline that pipelines here use: what may stand in pipeline and stage, one directive a line. It is read
 * first, and run afterwards.
 */
class Section {
    final Build build
    final Script script
    String name
    Map agent
    Closure environment
    Closure steps
    Closure post
    Closure condition
    Map question
    List<Section> stages = []
    List<Section> branches = []
    List<Closure> options = []
    boolean skipUnstable

    Section(Build build, Script script) {
        this.build = build
        this.script = script
    }

    Section read(Closure body) {
        follow(body, this)
        return this
    }

    static void follow(Closure body, Object delegate) {
        Closure copy = (Closure) body.clone()
        copy.delegate = delegate
        copy.resolveStrategy = Closure.DELEGATE_ONLY
        copy.call()
    }

    void agent(Object none) { agent = [:] }
    void agent(String which) { agent = which == 'none' ? [none: true] : [label: 'any'] }

    void agent(Closure body) {
        def found = new Words(script: script)
        follow(body, found)
        agent = [label: found.label ?: 'any', container: found.defaultContainer]
    }

    void environment(Closure body) { environment = body }
    void steps(Closure body) { steps = body }
    void post(Closure body) { post = body }
    void when(Closure body) { condition = body }
    void stages(Closure body) { follow(body, this) }
    void parallel(Closure body) { branches = new Section(build, script).read(body).stages }
    void stage(String name, Closure body) { stages << new Section(build, script).read(body).called(name) }
    void tools(Closure body) { }
    void triggers(Closure body) { }
    void failFast(boolean yes) { }

    Section called(String name) {
        this.name = name
        return this
    }

    void input(Closure body) {
        def found = new Words(script: script)
        follow(body, found)
        question = found.said
    }

    void parameters(Closure body) {
        def found = new Words(script: script)
        follow(body, found)
        found.lists.each { p -> build.params.putIfAbsent(p.name, p.defaultValue ?: p.choices?.getAt(0) ?: '') }
    }

    void options(Closure body) {
        def found = new Words(script: script)
        follow(body, found)
        skipUnstable = found.said.containsKey('skipStagesAfterUnstable')
        if (found.lists.any { it.unit }) {
            def limit = found.lists.find { it.unit }
            options << { Closure inner -> build.invoke('timeout', [limit, inner] as Object[]) }
        }
    }

    def propertyMissing(String property) { property in ['any', 'none'] ? property : script.getProperty(property) }

    // Running

    void run() {
        Closure all = { inAgent { inEnvironment { withPost { content() } } } }
        Closure wrapped = options.inject(all) { inner, option -> { -> option.call(inner) } }
        name ? build.invoke('stage', [name, { if (wanted()) { ask(); wrapped.call() } }] as Object[]) : wrapped.call()
    }

    private void content() {
        if (steps) {
            follow(steps, script)
        }
        if (branches) {
            build.invoke('parallel', [branches.collectEntries { b -> [b.name, { b.run() }] }] as Object[])
        }
        for (stage in stages) {
            if (skipUnstable && build.result == 'UNSTABLE') {
                build.console.line("Stage \"$stage.name\" skipped due to earlier failure(s)")
            } else {
                stage.run()
            }
        }
    }

    private boolean wanted() {
        if (!condition) {
            return true
        }
        def found = new When(section: this)
        follow(condition, found)
        return found.met.every()
    }

    private void ask() {
        if (question) {
            build.invoke('input', [question] as Object[])
        }
    }

    private void inAgent(Closure body) {
        if (!agent || agent.none) {
            body.call()
        } else {
            Closure inner = agent.container ? { build.invoke('container', [agent.container, body] as Object[]) } : body
            build.invoke('node', [agent.label, inner] as Object[])
        }
    }

    private void inEnvironment(Closure body) {
        build.within({ c -> if (environment) { follow(environment, new Variables(build: build, script: script, context: c)) } }, body)
    }

    private void withPost(Closure body) {
        String before = build.result
        try {
            body.call()
        } catch (Throwable e) {
            build.failed(e)
            after(before)
            throw e
        }
        after(before)
    }

    private void after(String before) {
        if (post) {
            String result = build.result ?: 'SUCCESS'
            def found = new Words(script: script)
            follow(post, found)
            def names = ['always', 'changed', [ABORTED: 'aborted', FAILURE: 'failure', SUCCESS: 'success', UNSTABLE: 'unstable', NOT_BUILT: 'notBuilt'][result]]
            if (result != 'SUCCESS') {
                names << 'unsuccessful'
            }
            (names + 'cleanup').each { condition ->
                if (found.blocks[condition]) {
                    follow(found.blocks[condition], script)
                }
            }
        }
    }
}

/** Takes every word for a directive. */
class Words {
    Script script
    Map said = [:]
    Map<String, Closure> blocks = [:]
    List<Map> lists = []

    def methodMissing(String name, Object arguments) {
        Object[] given = (Object[]) arguments
        def last = given ? given.last() : true
        said[name] = last
        if (last instanceof Closure) {
            blocks[name] = last
            if (name in ['node', 'kubernetes']) {
                Section.follow(last, this)
            }
        }
        if (last instanceof Map) {
            lists << last
        }
    }

    def propertyMissing(String name) { said.containsKey(name) ? said[name] : name in ['label', 'defaultContainer'] ? null : script.getProperty(name) }
}

class When {
    Section section
    List<Boolean> met = []

    void expression(Closure body) {
        Closure copy = (Closure) body.clone()
        copy.delegate = section.script
        copy.resolveStrategy = Closure.DELEGATE_ONLY
        met << (copy.call() as boolean)
    }

    void branch(String name) { met << (section.build.environment().BRANCH_NAME == name) }
    void beforeAgent(boolean yes) { }
    void not(Closure body) { met << !inner(body).every() }
    void anyOf(Closure body) { met << inner(body).any() }
    void allOf(Closure body) { met << inner(body).every() }

    private List<Boolean> inner(Closure body) {
        def found = new When(section: section)
        Section.follow(body, found)
        return found.met
    }
}

class Variables {
    Build build
    Script script
    Context context

    void setProperty(String name, Object value) {
        if (name in ['build', 'script', 'context']) {
            this.@"$name" = value
        } else if (value instanceof Map) {
            bind(name, value.id)
        } else {
            context.env[name] = value.toString()
        }
    }

    def getProperty(String name) {
        name in ['build', 'script', 'context'] ? this.@"$name" : this.@context.env[name] ?: this.@script.getProperty(name)
    }

    def credentials(String id) { [id: id] }

    /** A variable of the build's environment is text, and can always be saved. */
    def held(Object value) { value }

    private void bind(String name, String id) {
        boolean user = this.@build.credentials[id] instanceof List
        def bound = new Steps(this.@build).bind(user ?
            [type: 'usernamePassword', credentialsId: id, usernameVariable: name + '_USR', passwordVariable: name + '_PSW'] :
            [type: 'string', credentialsId: id, variable: name])
        this.@context.env.putAll(bound)
        if (user) {
            this.@context.env[name] = bound.values().join(':')
        }
    }
}
