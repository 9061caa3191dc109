// `java Kernel CELLS_FD FRAMES_FD [STDOUT_FD STDERR_FD]`: run cells in one JShell, which keeps
// their state.
// Cells: a 4-byte big-endian length, then a JSON object {"code", "env"}. Frames: one ASCII JSON
// object a line: started, result*, error at most once, end. The cells run in this JVM: a second
// one would cost a second and the memory of a JVM.

import java.io.DataInputStream;
import java.io.EOFException;
import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.reflect.Constructor;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import jdk.jshell.DeclarationSnippet;
import jdk.jshell.Diag;
import jdk.jshell.ExpressionSnippet;
import jdk.jshell.JShell;
import jdk.jshell.Snippet.Status;
import jdk.jshell.Snippet.SubKind;
import jdk.jshell.Snippet;
import jdk.jshell.SnippetEvent;
import jdk.jshell.SourceCodeAnalysis.CompletionInfo;
import jdk.jshell.VarSnippet;
import sun.misc.Signal;

public final class Kernel {
    private static final long PATIENCE_MILLIS = 50; // between attempts to stop a cell
    private static final String IMPORTS =
        "import java.io.*; import java.math.*; import java.net.*; import java.nio.file.*;"
        + "import java.util.*; import java.util.concurrent.*; import java.util.function.*;"
        + "import java.util.regex.*; import java.util.stream.*;";

    private static final Set<SubKind> VALUES = Set.of(SubKind.TEMP_VAR_EXPRESSION_SUBKIND,
        SubKind.VAR_VALUE_SUBKIND, SubKind.OTHER_EXPRESSION_SUBKIND);
    private static final int MAX_TEXT = 5_000_000;

    private final DataInputStream cells;
    private final OutputStream frames;
    private final JShell shell;
    private int count;
    private Thread stopping;
    private volatile boolean running;
    private volatile boolean interrupted;

    private Kernel(DataInputStream cells, OutputStream frames) {
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
            InputStream cells = new FileInputStream(numbered(arguments[0]));
            OutputStream frames = new FileOutputStream(numbered(arguments[1]));
            boolean apart = arguments.length > 2; // other descriptors of the same pipes
            FileDescriptor[] pieces = {FileDescriptor.out, FileDescriptor.err};
            for (int i = 0; apart && i < 2; i++) pieces[i] = numbered(arguments[2 + i]);
            System.setOut(new Printer(pieces[0], FileDescriptor.out));
            System.setErr(new Printer(pieces[1], FileDescriptor.err));
            Environment.becomeProperties();
            Locale.setDefault(Locale.ROOT);
            Kernel kernel = new Kernel(new DataInputStream(cells), frames);
            Signal.handle(new Signal("INT"), signal -> kernel.interrupt());
            kernel.serve();
        } catch (IOException | RuntimeException error) {
            if (!(error instanceof EOFException)) error.printStackTrace();
        }
        Runtime.getRuntime().halt(0); // the host is gone; threads and hooks of cells go with it
    }

    // A sandbox's pipes are the host's: /proc/self/fd/N could not be opened. Needs --add-opens
    // java.base/java.io=ALL-UNNAMED.
    private static FileDescriptor numbered(String number) {
        try {
            Constructor<?> make = FileDescriptor.class.getDeclaredConstructor(int.class);
            make.setAccessible(true);
            return (FileDescriptor) make.newInstance(Integer.parseInt(number));
        } catch (ReflectiveOperationException error) {
            throw new IllegalStateException(error);
        }
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
        Snippet snippet = event.snippet();
        String value = event.value();
        boolean empty = value == null || value.isEmpty() || value.equals("null");
        if (empty || !VALUES.contains(snippet.subKind())) return;
        String type = snippet instanceof VarSnippet ? ((VarSnippet) snippet).typeName() : "";
        if (snippet instanceof ExpressionSnippet) type = ((ExpressionSnippet) snippet).typeName();
        if (type.equals("PrintStream")) return; // of System.out.printf: nobody means to see it
        value = unquoted(value, type.equals("char") || type.equals("Character") ? '\'' : '"');
        if (value.length() > MAX_TEXT) value = "<result left out: it is too large>";
        Map<String, Object> result = new LinkedHashMap<>();
        result.put("text", value);
        result.put("is_main_result", true);
        send("result", result);
    }

    // As it would be printed: JShell shows text as a literal.
    private static String unquoted(String value, char quote) {
        int end = value.length() - 1;
        if (end < 1 || value.charAt(0) != quote || value.charAt(end) != quote) return value;
        String inner = value.substring(1, end);
        try {
            return inner.translateEscapes();
        } catch (IllegalArgumentException error) {
            return inner;
        }
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
