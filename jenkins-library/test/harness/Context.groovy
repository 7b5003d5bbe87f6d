package harness

/** Where a step runs: what its blocks have said, innermost last. Each block has one of its own. */
class Context {
    Agent agent
    String container
    File dir
    Map<String, String> env = [:]
    List<Deadline> deadlines = []
    String stage
    int abortsSeen

    Context child() {
        return new Context(agent: agent, container: container, dir: dir, stage: stage, abortsSeen: abortsSeen,
            env: new LinkedHashMap<>(env), deadlines: new ArrayList<>(deadlines))
    }

    static class Deadline {
        long at
        boolean fired
    }

    /** A pod, or a machine where killing is different. */
    static class Agent {
        String name
        File workspace
        boolean gone

        File getTemporary() { new File(workspace.path + '@tmp') }
    }
}
