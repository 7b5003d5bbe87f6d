package harness

import org.codehaus.groovy.ast.ASTNode
import org.codehaus.groovy.ast.ClassCodeVisitorSupport
import org.codehaus.groovy.ast.MethodNode
import org.codehaus.groovy.ast.expr.BinaryExpression
import org.codehaus.groovy.ast.expr.ClosureExpression
import org.codehaus.groovy.ast.expr.ConstructorCallExpression
import org.codehaus.groovy.ast.expr.GStringExpression
import org.codehaus.groovy.ast.expr.MethodCallExpression
import org.codehaus.groovy.ast.expr.MethodPointerExpression
import org.codehaus.groovy.ast.expr.PropertyExpression
import org.codehaus.groovy.ast.expr.SpreadExpression
import org.codehaus.groovy.ast.expr.TupleExpression
import org.codehaus.groovy.ast.expr.VariableExpression
import org.codehaus.groovy.ast.stmt.ForStatement
import org.codehaus.groovy.ast.stmt.TryCatchStatement
import org.codehaus.groovy.control.CompilationUnit
import org.codehaus.groovy.control.Phases
import org.codehaus.groovy.control.SourceUnit
import org.codehaus.groovy.syntax.Types

/**
 * Reads the library's scripts and finds what Jenkins would refuse: what is not on the allow list of script-security 1.76, steps whose
 * plugins KubeSphere's Jenkins does not have, and what goes wrong when a method can be interrupted and saved at every step.
 */
class Rules {
    static final Set<String> IMPORTS = [
        'groovy.json.JsonException', 'groovy.json.JsonSlurper', 'groovy.transform.Field',
        'org.jenkinsci.plugins.workflow.steps.FlowInterruptedException',
    ]
    static final Set<String> CONSTRUCTORS = ['JsonSlurper']
    /** Of String, List, Map, Class, Object and System, all on the allow list, whatever the receiver. */
    static final Set<String> METHODS = [
        'add', 'contains', 'currentTimeMillis', 'getClass', 'getSimpleName', 'isEmpty', 'join', 'lastIndexOf', 'parseText', 'replace',
        'replaceAll', 'size', 'split', 'startsWith', 'subMap', 'substring', 'take', 'toLowerCase', 'toString', 'toUpperCase', 'trim',
    ]
    static final Set<String> STEPS = [
        'container', 'echo', 'error', 'fileExists', 'input', 'node', 'pwd', 'readFile', 'sh', 'sshUserPrivateKey', 'string', 'timeout',
        'unstable', 'usernamePassword', 'withCredentials', 'withEnv',
    ]
    static final Set<String> PROPERTIES = ['rawBuild', 'metaClass', 'class', 'binding', 'owner', 'delegate']

    /** Returns a line for each finding in the scripts of a directory. */
    static List<String> check(File library) {
        Set<String> vars = library.listFiles()*.name.findAll { it.endsWith('.groovy') }.collect { it - '.groovy' } as Set
        return library.listFiles().findAll { it.name.endsWith('.groovy') }.sort().collectMany { check(it.name, it.text, vars) }
    }

    static List<String> check(String name, String text, Set<String> vars) {
        def unit = new CompilationUnit()
        unit.addSource(name, text)
        unit.compile(Phases.CONVERSION)
        def visitor = new Visitor(name: name, vars: vars)
        unit.AST.modules.each { module ->
            module.imports.each { if (!IMPORTS.contains(it.className)) { visitor.found(it, "import of $it.className") } }
            (module.starImports + module.staticImports.values() + module.staticStarImports.values()).each { visitor.found(it, 'such an import') }
            if (module.classes.size() > 1) {
                visitor.found(module.classes.last(), 'a class')
            }
            visitor.own = module.methods.collectEntries { [it.name, plain(it)] }
            module.classes.each { visitor.visitClass(it) }
        }
        return visitor.findings
    }

    static boolean plain(MethodNode method) { method.annotations.any { it.classNode.nameWithoutPackage == 'NonCPS' } }

    static class Visitor extends ClassCodeVisitorSupport {
        String name
        Set<String> vars
        Map<String, Boolean> own
        final List<String> findings = []
        private boolean plain
        private int guarded

        @Override
        protected SourceUnit getSourceUnit() { null }

        void found(ASTNode node, String what) { findings << "$name:$node.lineNumber: $what".toString() }

        @Override
        void visitMethod(MethodNode method) {
            if (method.lineNumber < 0) {
                return // the compiler's own
            }
            plain = Rules.plain(method)
            if (method.static) {
                found(method, 'a static method')
            }
            super.visitMethod(method)
            plain = false
        }

        @Override
        void visitMethodCallExpression(MethodCallExpression call) {
            String method = call.methodAsString
            if (method == null) {
                found(call, 'a method whose name is not known')
            } else if (call.implicitThis) {
                implicit(call, method)
            } else {
                explicit(call, method)
            }
            super.visitMethodCallExpression(call)
        }

        private void implicit(MethodCallExpression call, String method) {
            if (own.containsKey(method)) {
                if (plain && !own[method]) {
                    found(call, "$method, which runs steps, from a method that is NonCPS")
                }
            } else if (plain) {
                found(call, "the step $method in a method that is NonCPS")
            } else if (!STEPS.contains(method) && !vars.contains(method) && !isParameter(call)) {
                found(call, "the step $method, which an old Jenkins may not have")
            }
            if (method == 'sh' && !call.arguments.text.contains('label:')) {
                found(call, 'sh without a label')
            }
        }

        private static boolean isParameter(MethodCallExpression call) { call.methodAsString == 'body' }

        private void explicit(MethodCallExpression call, String method) {
            def receiver = call.objectExpression
            boolean library = receiver instanceof VariableExpression && vars.contains(receiver.name)
            if (!library && !METHODS.contains(method)) {
                found(call, "the method $method, which the sandbox may not allow")
            }
            if (!library && call.arguments instanceof TupleExpression && call.arguments.expressions.any { it instanceof ClosureExpression }) {
                found(call, "a closure for $method, which may not run steps")
            }
            if (call.spreadSafe) {
                found(call, 'a call of *.')
            }
        }

        @Override
        void visitPropertyExpression(PropertyExpression expression) {
            String property = expression.propertyAsString
            if (PROPERTIES.contains(property)) {
                found(expression, "the property $property")
            }
            if (property == 'causes' && !guarded) {
                found(expression, 'causes without a catch for SecurityException')
            }
            super.visitPropertyExpression(expression)
        }

        @Override
        void visitTryCatchFinally(TryCatchStatement statement) {
            boolean guards = statement.catchStatements.any { it.exceptionType.nameWithoutPackage == 'SecurityException' }
            guarded += guards ? 1 : 0
            super.visitTryCatchFinally(statement)
            guarded -= guards ? 1 : 0
        }

        @Override
        void visitConstructorCallExpression(ConstructorCallExpression call) {
            if (!call.specialCall && !CONSTRUCTORS.contains(call.type.nameWithoutPackage)) {
                found(call, "new $call.type.nameWithoutPackage")
            }
            if (!plain && !call.specialCall) {
                found(call, "new $call.type.nameWithoutPackage in a method that can be saved")
            }
            super.visitConstructorCallExpression(call)
        }

        @Override
        void visitBinaryExpression(BinaryExpression expression) {
            if (expression.operation.type in [Types.LEFT_SHIFT, Types.FIND_REGEX, Types.MATCH_REGEX, Types.KEYWORD_IN]) {
                found(expression, "the operator $expression.operation.text")
            }
            super.visitBinaryExpression(expression)
        }

        @Override
        void visitGStringExpression(GStringExpression expression) {
            found(expression, 'a GString: Jenkins looks for secrets in them, and they are not String')
            super.visitGStringExpression(expression)
        }

        @Override
        void visitMethodPointerExpression(MethodPointerExpression expression) { found(expression, 'a method pointer') }

        @Override
        void visitSpreadExpression(SpreadExpression expression) { found(expression, 'a spread') }

        @Override
        void visitForLoop(ForStatement loop) {
            if (!plain && loop.variable != ForStatement.FOR_LOOP_DUMMY) {
                found(loop, 'an iterator in a method that can be saved')
            }
            super.visitForLoop(loop)
        }

        @Override
        void visitClosureExpression(ClosureExpression expression) {
            if (plain) {
                found(expression, 'a closure in a method that is NonCPS')
            }
            super.visitClosureExpression(expression)
        }
    }
}
