import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import jdk.jshell.DeclarationSnippet;
import jdk.jshell.EvalException;
import jdk.jshell.JShell;
import jdk.jshell.JShellException;
import jdk.jshell.Snippet;
import jdk.jshell.UnresolvedReferenceException;

/** Why a cell ended early. No name: it wanted to. */
final class Failure extends Exception {
    private static final int MOST_CAUSES = 20, MOST_CALLS = 50;
    final String name;
    final String value;
    final String traceback;

    Failure(String name, String value, String traceback) {
        super(null, null, false, false);
        this.name = name;
        this.value = value == null ? "" : value;
        this.traceback = traceback;
    }

    static Failure of(JShellException thrown, JShell shell, Snippet snippet) {
        if (thrown instanceof UnresolvedReferenceException) {
            DeclarationSnippet user = ((UnresolvedReferenceException) thrown).getSnippet();
            List<String> lacking = new ArrayList<>(shell.unresolvedDependencies(user).toList());
            shell.diagnostics(user).forEach(diag -> lacking.add(diag.getMessage(Locale.ROOT)));
            String value = "declared but not usable yet: " + String.join(", ", lacking);
            return new Failure("UnresolvedReferenceException", value, value);
        }
        String name = nameOf(thrown), message = thrown.getMessage();
        if (name.equals(CellExit.class.getName())) {
            boolean fine = message.equals("0");
            return new Failure(fine ? null : "Exit", message, "System.exit(" + message + ")");
        }
        return new Failure(name, message, trace(thrown));
    }

    private static String trace(JShellException thrown) {
        StringBuilder text = new StringBuilder();
        Throwable each = thrown;
        for (int i = 0; each != null && i < MOST_CAUSES; i++, each = each.getCause()) {
            text.append(i == 0 ? "" : "\nCaused by: ").append(nameOf(each));
            if (each.getMessage() != null) text.append(": ").append(each.getMessage());
            StackTraceElement[] calls = each.getStackTrace();
            for (int call = 0; call < Math.min(calls.length, MOST_CALLS); call++) {
                text.append("\n\tat ").append(calls[call].toString().replaceFirst("^\\.", ""));
            }
        }
        return text.toString();
    }

    private static String nameOf(Throwable thrown) {
        if (!(thrown instanceof EvalException)) return thrown.getClass().getName();
        // A class of a cell is one inside of a class of JShell's.
        String name = ((EvalException) thrown).getExceptionClassName();
        return name.replaceFirst("^REPL\\.[^.$]*\\$JShell\\$\\w+\\$", "");
    }

    static String shortened(String text, int most) {
        return text.length() <= most ? text : text.substring(0, most) + " ...";
    }
}
