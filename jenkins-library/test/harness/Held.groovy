package harness

import org.codehaus.groovy.ast.ClassNode
import org.codehaus.groovy.ast.MethodNode
import org.codehaus.groovy.ast.expr.ArgumentListExpression
import org.codehaus.groovy.ast.expr.BinaryExpression
import org.codehaus.groovy.ast.expr.ClosureExpression
import org.codehaus.groovy.ast.expr.DeclarationExpression
import org.codehaus.groovy.ast.expr.EmptyExpression
import org.codehaus.groovy.ast.expr.MethodCallExpression
import org.codehaus.groovy.ast.expr.VariableExpression
import org.codehaus.groovy.classgen.GeneratorContext
import org.codehaus.groovy.classgen.VariableScopeVisitor
import org.codehaus.groovy.ast.ClassCodeVisitorSupport
import org.codehaus.groovy.control.CompilePhase
import org.codehaus.groovy.control.SourceUnit
import org.codehaus.groovy.control.customizers.CompilationCustomizer
import org.codehaus.groovy.syntax.Types

/**
 * Jenkins saves a build at every step, with all local variables of all methods that are under way but those marked NonCPS. Here
 * each value is tried when it is assigned.
 */
class Held extends CompilationCustomizer {
    Held() { super(CompilePhase.CANONICALIZATION) }

    @Override
    void call(SourceUnit source, GeneratorContext context, ClassNode owner) {
        def visitor = new ClassCodeVisitorSupport() {
            @Override
            protected SourceUnit getSourceUnit() { source }

            @Override
            void visitMethod(MethodNode method) {
                if (!method.annotations.any { it.classNode.nameWithoutPackage == 'NonCPS' }) {
                    super.visitMethod(method)
                }
            }

            @Override
            void visitDeclarationExpression(DeclarationExpression declaration) {
                super.visitDeclarationExpression(declaration)
                check(declaration)
            }

            @Override
            void visitBinaryExpression(BinaryExpression assignment) {
                super.visitBinaryExpression(assignment)
                if (assignment.operation.type == Types.EQUAL) {
                    check(assignment)
                }
            }

            private void check(BinaryExpression assignment) {
                def value = assignment.rightExpression
                if (!(value instanceof EmptyExpression) && !(value instanceof ClosureExpression)) {
                    def call = new MethodCallExpression(VariableExpression.THIS_EXPRESSION, 'held', new ArgumentListExpression(value))
                    call.sourcePosition = value
                    assignment.rightExpression = call
                }
            }
        }
        visitor.visitClass(owner)
        new VariableScopeVisitor(source).visitClass(owner)
    }
}
