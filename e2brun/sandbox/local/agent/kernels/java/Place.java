import java.util.List;
import java.util.Locale;
import jdk.jshell.Diag;

/** Where a snippet stands in its cell. */
final class Place {
    private final String code;
    private final int start;
    private final int cell;

    Place(String code, int start, int cell) {
        this.code = code;
        this.start = start;
        this.cell = cell;
    }

    Failure compileFailure(List<Diag> errors) {
        StringBuilder text = new StringBuilder();
        for (Diag error : errors) {
            if (text.length() > 0) text.append('\n');
            describe(error, text);
        }
        String value = errors.isEmpty() ? "" : message(errors.get(0));
        return new Failure("CompilationException", value, text.toString());
    }

    private static String message(Diag error) {
        return error.getMessage(Locale.ROOT).replaceFirst("\\n *location: class $", "");
    }

    private void describe(Diag error, StringBuilder text) {
        int at = Math.max(0, Math.min(code.length(), start + (int) error.getPosition()));
        int from = code.lastIndexOf('\n', at - 1) + 1;
        int to = code.indexOf('\n', at) < 0 ? code.length() : code.indexOf('\n', at);
        long line = code.substring(0, at).chars().filter(letter -> letter == '\n').count() + 1;
        String message = message(error);
        text.append("cell-").append(cell).append(':').append(line).append(": error: ");
        text.append(message.lines().findFirst().orElse(""));
        if (to - from < 2000) {
            text.append('\n').append(code, from, to);
            text.append('\n').append(" ".repeat(at - from)).append('^');
        }
        message.lines().skip(1).forEach(more -> text.append('\n').append(more));
    }
}
