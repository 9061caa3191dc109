// `java KernelJava.java CELLS_FD FRAMES_FD`: run cells in one JShell, which keeps their state.
// Cells: a 4-byte big-endian length, then a JSON object {"code", "env"}. Frames: one ASCII JSON
// object a line: started, result*, error at most once, end. The cells run in this JVM: a second
// one would cost a second and the memory of a JVM.

import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.io.StringWriter;
import java.io.PrintWriter;
import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.net.MalformedURLException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import jdk.jshell.DeclarationSnippet;
import jdk.jshell.Diag;
import jdk.jshell.EvalException;
import jdk.jshell.JShell;
import jdk.jshell.JShellException;
import jdk.jshell.Snippet;
import jdk.jshell.Snippet.Status;
import jdk.jshell.Snippet.SubKind;
import jdk.jshell.SnippetEvent;
import jdk.jshell.SourceCodeAnalysis.CompletionInfo;
import jdk.jshell.UnresolvedReferenceException;
import jdk.jshell.execution.LoaderDelegate;
import jdk.jshell.execution.LocalExecutionControl;
import jdk.jshell.spi.ExecutionControl;
import jdk.jshell.spi.ExecutionControlProvider;
import jdk.jshell.spi.ExecutionEnv;
import sun.misc.Signal;

public final class KernelJava {
    private static final long PATIENCE_MILLIS = 50; // between attempts to stop a cell
    private static final String IMPORTS =
        "import java.io.*; import java.math.*; import java.net.*; import java.nio.file.*;"
        + "import java.util.*; import java.util.concurrent.*; import java.util.function.*;"
        + "import java.util.regex.*; import java.util.stream.*;";

    private final DataInputStream cells;
    private final OutputStream frames;
    private final JShell shell;
    private int count;
    private Thread stopping;
    private volatile boolean running;
    private volatile boolean interrupted;

    private KernelJava(DataInputStream cells, OutputStream frames) {
        this.cells = cells;
        this.frames = frames;
        shell = JShell.builder().executionEngine(new Engine(), Map.of()).in(System.in)
            .out(System.out).err(System.err).build();
        String rest = IMPORTS;
        while (!rest.isEmpty()) {
            CompletionInfo next = shell.sourceCodeAnalysis().analyzeCompletion(rest);
            shell.eval(next.source());
            rest = next.remaining();
        }
    }

    public static void main(String[] arguments) {
        try {
            DataInputStream cells = new DataInputStream(new FileInputStream(place(arguments[0])));
            OutputStream frames = new FileOutputStream(place(arguments[1]));
            System.setOut(new Printer(FileDescriptor.out, place("1")));
            System.setErr(new Printer(FileDescriptor.err, place("2")));
            Environment.becomeProperties();
            Locale.setDefault(Locale.ROOT);
            KernelJava kernel = new KernelJava(cells, frames);
            Signal.handle(new Signal("INT"), signal -> kernel.interrupt());
            kernel.serve();
        } catch (IOException | RuntimeException error) {
            if (!(error instanceof EOFException)) error.printStackTrace();
        }
        Runtime.getRuntime().halt(0); // the host is gone; threads and hooks of cells go with it
    }

    private static String place(String descriptor) {
        return "/proc/self/fd/" + descriptor;
    }

    private void serve() throws IOException {
        while (true) {
            byte[] body = new byte[cells.readInt()];
            cells.readFully(body);
            Map<?, ?> cell = (Map<?, ?>) new Json(body).value();
            send("started", Map.of("execution_count", ++count));
            Environment before = Environment.of((Map<?, ?>) cell.get("env"));
            interrupted = false;
            running = true;
            try {
                run((String) cell.get("code"));
            } catch (Failure failure) {
                fail(failure);
            } catch (RuntimeException | Error problem) { // of JShell or javac: no state is lost
                fail(new Failure(problem.getClass().getName(), problem.getMessage(), ""));
            } finally {
                running = false;
                before.restore();
            }
            System.out.flush();
            System.err.flush();
            send("end", Map.of());
        }
    }

    private void run(String code) throws IOException, Failure {
        String rest = code;
        SnippetEvent last = null;
        List<Snippet> defined = new ArrayList<>();
        while (!rest.isBlank()) {
            CompletionInfo next = shell.sourceCodeAnalysis().analyzeCompletion(rest);
            boolean whole = next.completeness().isComplete();
            String source = whole ? next.source() : rest;
            int start = code.length() - rest.length();
            rest = whole ? next.remaining() : "";
            if (interrupted) break;
            last = null;
            for (SnippetEvent event : shell.eval(source)) {
                if (event.causeSnippet() != null) continue; // an old one, now complete or not
                check(event, new Place(code, start, count));
                last = event;
                defined.add(event.snippet());
            }
        }
        if (interrupted) throw new Failure("KeyboardInterrupt", "", "");
        for (Snippet snippet : defined) {
            if (shell.status(snippet) == Status.RECOVERABLE_NOT_DEFINED) throw unresolved(snippet);
        }
        if (last != null) show(last);
    }

    private void check(SnippetEvent event, Place place) throws Failure {
        if (interrupted) throw new Failure("KeyboardInterrupt", "", "");
        if (event.status() == Status.REJECTED) {
            List<Diag> errors = shell.diagnostics(event.snippet()).filter(Diag::isError).toList();
            throw place.compileFailure(errors);
        }
        if (event.exception() != null) throw Failure.of(event.exception(), shell, event.snippet());
    }

    private Failure unresolved(Snippet snippet) {
        String missing = snippet instanceof DeclarationSnippet
            ? String.join(", ", shell.unresolvedDependencies((DeclarationSnippet) snippet).toList())
            : "something";
        String value = "cannot find symbol: " + missing;
        return new Failure("CompilationException", value, value + "\n" + snippet.source().strip());
    }

    private void show(SnippetEvent event) throws IOException {
        SubKind kind = event.snippet().subKind();
        String value = event.value();
        boolean expression = kind == SubKind.TEMP_VAR_EXPRESSION_SUBKIND
            || kind == SubKind.VAR_VALUE_SUBKIND
            || kind == SubKind.OTHER_EXPRESSION_SUBKIND;
        if (!expression || value == null || value.isEmpty() || value.equals("null")) return;
        if (value.length() > 1 && value.startsWith("\"") && value.endsWith("\"")) {
            value = value.substring(1, value.length() - 1);
        }
        if (value.length() > 5_000_000) value = "<result left out: it is too large>";
        Map<String, Object> result = new LinkedHashMap<>();
        result.put("text", value);
        result.put("is_main_result", true);
        send("result", result);
    }

    private void fail(Failure failure) throws IOException {
        if (failure.name == null) return;
        Map<String, Object> error = new LinkedHashMap<>();
        error.put("name", Failure.shortened(failure.name, 1000));
        error.put("value", Failure.shortened(failure.value, 100_000));
        error.put("traceback", Failure.shortened(failure.traceback, 500_000));
        send("error", error);
    }

    // A cell may not listen: it is told again until it ends, or the host ends all of us.
    private synchronized void interrupt() {
        interrupted = running;
        if (!running || stopping != null && stopping.isAlive()) return;
        int cell = count;
        stopping = new Thread(() -> {
            while (running && cell == count) {
                shell.stop();
                try {
                    Thread.sleep(PATIENCE_MILLIS);
                } catch (InterruptedException ignored) {
                    return;
                }
            }
        }, "interrupt");
        stopping.setDaemon(true);
        stopping.start();
    }

    private void send(String type, Map<String, ?> fields) throws IOException {
        StringBuilder line = new StringBuilder("{\"type\":").append(Json.quoted(type));
        fields.forEach((name, value) -> {
            line.append(',').append(Json.quoted(name)).append(':');
            line.append(value instanceof String ? Json.quoted((String) value) : value.toString());
        });
        frames.write(line.append("}\n").toString().getBytes(StandardCharsets.US_ASCII));
    }
}

/** Why a cell ended early. No name: it wanted to. */
final class Failure extends Exception {
    private static final int MOST_CAUSES = 20;
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
        if (name.equals(Exit.class.getName())) {
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
            for (StackTraceElement element : each.getStackTrace()) {
                text.append("\n\tat ").append(element.toString());
            }
        }
        return text.toString();
    }

    private static String nameOf(Throwable thrown) {
        if (!(thrown instanceof EvalException)) return thrown.getClass().getName();
        // A class of a cell is one inside of a class of JShell's.
        return ((EvalException) thrown).getExceptionClassName().replaceFirst("^REPL\\.[^.$]*\\$JShell\\$\\w+\\$", "");
    }

    static String shortened(String text, int most) {
        return text.length() <= most ? text : text.substring(0, most) + " ...";
    }
}

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
        String value = errors.isEmpty() ? "" : errors.get(0).getMessage(Locale.ROOT);
        return new Failure("CompilationException", value, text.toString());
    }

    private void describe(Diag error, StringBuilder text) {
        int at = Math.max(0, Math.min(code.length(), start + (int) error.getPosition()));
        int from = code.lastIndexOf('\n', at - 1) + 1;
        int to = code.indexOf('\n', at) < 0 ? code.length() : code.indexOf('\n', at);
        long line = code.substring(0, at).chars().filter(letter -> letter == '\n').count() + 1;
        String message = error.getMessage(Locale.ROOT);
        text.append("cell-").append(cell).append(':').append(line).append(": error: ");
        text.append(message.lines().findFirst().orElse(""));
        if (to - from < 2000) {
            text.append('\n').append(code, from, to);
            text.append('\n').append(" ".repeat(at - from)).append('^');
        }
        message.lines().skip(1).forEach(more -> text.append('\n').append(more));
    }
}

/** What System.exit throws in a cell: it ends the cell and not the kernel. */
class Exit extends ThreadDeath {
    private final int status;

    private Exit(int status) {
        this.status = status;
    }

    @Override
    public String getMessage() {
        return String.valueOf(status);
    }

    public static void exit(int status) {
        throw new Exit(status);
    }
}
