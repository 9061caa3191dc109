import java.lang.reflect.Method;
import java.util.Map;
import jdk.jshell.JShell;
import jdk.jshell.execution.LocalExecutionControl;
import jdk.jshell.spi.ExecutionControl;
import jdk.jshell.spi.ExecutionControlProvider;
import jdk.jshell.spi.ExecutionEnv;

/** JShell's own way to run snippets in this JVM, in classes whose System.exit is ours. */
final class Engine implements ExecutionControlProvider {
    @Override
    public String name() {
        return "e2brun";
    }

    @Override
    public ExecutionControl generate(ExecutionEnv env, Map<String, String> parameters) {
        return new LocalExecutionControl(new Classes()) {
            @Override
            protected String invoke(Method snippet) throws Exception {
                return super.invoke(CellGate.before(snippet));
            }
        };
    }
}
