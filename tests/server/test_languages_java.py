"""The Java kernel."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2brun.sandbox.local.host import java, languages
from tests.server.kernels import RunningKernel

needs_java = pytest.mark.skipif(shutil.which("javac") is None, reason="no JDK is installed")


def opened(*path: str) -> int:
    classes = java.Classes(*path)
    classes.make()
    return classes.open()


@pytest.fixture(scope="module")
def classes() -> Iterator[int]:
    """Compiled once: the descriptor of what a sandbox is given."""
    descriptor = opened()
    yield descriptor
    os.close(descriptor)


@pytest.fixture(scope="module")
def kernel(classes: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningKernel]:
    """It must leave in the end, when the host hangs up, whatever its cells have started."""
    language = languages.find("java")
    assert language is not None
    jar = tmp_path_factory.mktemp("java") / "kernel.jar"
    jar.write_bytes(Path(f"/proc/self/fd/{classes}").read_bytes())
    argv = [str(jar) if word == "/proc/self/fd/5" else word for word in language.argv[:-4]]
    environment = {"OUTER": "outer"}
    with RunningKernel(argv, tmp_path_factory.mktemp("cwd"), environment) as running:
        running.run("int kept = 7;")
        yield running
        running.run("new Thread(() -> { while (true) {} }).start();")
        assert running.hang_up() == 0


@needs_java
@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("1 + 1", "2"),
        ('String s = "a\\"b\\n\\\\"; s', 'a"b\n\\'),
        ("'c'", "c"),
        ("int x = 5;\nx * 2;", "10"),
        ("int x = 6;", None),
        ("null", None),
        ('"\u00e9\u2028\U0001f600"', "\u00e9\u2028\U0001f600"),
        ("new int[] {1, 2}", "int[2] { 1, 2 }"),
        ("List.of(1, 2).stream().map(i -> i * 2).collect(Collectors.toList())", "[2, 4]"),
        ("record P(int a, String b) {}\nnew P(1, \"z\")", 'P[a=1, b=z]'),
        ("int f(int n) { return g(n); }\nint g(int n) { return n + 1; }\nf(1)", "2"),
        ("import java.time.*;\nLocalDate.of(2020, 1, 2)", "2020-01-02"),
        ('System.out.printf("%d", 1)', None),
        ('System.getProperty("OUTER")', "outer"),
        ("// nothing", None),
        ("", None),
    ],
)  # fmt: skip
def test_the_value_of_a_cell(kernel: RunningKernel, code: str, text: str | None) -> None:
    cell = kernel.run(code)
    assert (cell.error, cell.text) == (None, text)


@needs_java
@pytest.mark.parametrize(
    ("code", "error", "traceback"),
    [
        ("\nint y = ;", ("CompilationException", "illegal start of expression"),
         ":2: error: illegal start of expression\nint y = ;\n        ^"),
        ("1; missing(2)", ("CompilationException", "cannot find symbol\n  symbol:   method "
         "missing(int)"), ":1: error: cannot find symbol\n1; missing(2)\n   ^"),
        ("if (kept > 3", ("CompilationException", "reached end of file while parsing"), ":1:"),
        ("Missing m = null;", ("CompilationException", "cannot find symbol\n  symbol:   class "
         "Missing"), ""),
        ("1 / (kept - kept)", ("java.lang.ArithmeticException", "/ by zero"), "\n\tat (#"),
        ('throw new RuntimeException("a", new Exception("b"))',
         ("java.lang.RuntimeException", "a"), "Caused by: java.lang.Exception: b"),
        ('class Own extends Exception { Own() { super("m"); } }\nthrow new Own();',
         ("Own", "m"), "Own: m\n\tat "),
        ("int deep(int n) { return deep(n + 1); }\ndeep(0)",
         ("java.lang.StackOverflowError", ""), "deep"),
    ],
)  # fmt: skip
def test_an_error_is_told(
    kernel: RunningKernel, code: str, error: tuple[str, str], traceback: str
) -> None:
    cell = kernel.run(code)
    assert cell.error == error
    assert cell.outcome.error is not None
    assert traceback in cell.outcome.error.traceback
    assert "Kernel" not in cell.outcome.error.traceback


@needs_java
def test_output_is_written_before_the_end(kernel: RunningKernel) -> None:
    cell = kernel.run('System.out.println("a".repeat(1_000_000)); System.err.println("e");')
    assert (len(cell.stdout), cell.stderr, cell.text) == (1_000_001, "e\n", None)


@needs_java
def test_the_environment_of_a_cell_is_its_own(kernel: RunningKernel) -> None:
    both = 'System.getProperty("FOO", "none") + " " + System.getenv("FOO")'
    assert kernel.run(both, {"FOO": "bar"}).text == "bar bar"
    assert kernel.run(both).text == "none null"
    assert kernel.run('System.getProperty("OUTER")', {"OUTER": "in"}).text == "in"
    assert kernel.run('System.getProperty("OUTER")').text == "outer"


@needs_java
@pytest.mark.parametrize(
    ("code", "error"),
    [("System.exit(0)", None), ('System.exit(3); System.out.println("no")', ("Exit", "3"))],
)
def test_exit_ends_the_cell_and_not_the_kernel(
    kernel: RunningKernel, code: str, error: tuple[str, str] | None
) -> None:
    cell = kernel.run(code)
    assert (cell.error, cell.stdout) == (error, "")
    assert kernel.run("kept").text == "7"


@needs_java
@pytest.mark.parametrize("code", ["while (true) {}", "Thread.sleep(100_000);"])
def test_an_interrupt_ends_the_cell_and_keeps_the_state(kernel: RunningKernel, code: str) -> None:
    assert kernel.run(code, interrupt_after=0.3).error == ("KeyboardInterrupt", "")
    assert kernel.run("kept").text == "7"


@needs_java
def test_a_cell_does_not_wait_for_the_threads_it_has_started(kernel: RunningKernel) -> None:
    kernel.run("void rest() { try { Thread.sleep(60_000); } catch (InterruptedException e) {} }")
    kernel.run(
        "void leave() { Thread t = new Thread(() -> rest()); t.setDaemon(true); t.start(); }"
    )
    for _ in range(20):  # JShell alone waits for one in 60
        assert kernel.run("leave()").error is None


@needs_java
def test_programs_of_a_cell_inherit_no_descriptor_of_ours(kernel: RunningKernel) -> None:
    cell = kernel.run('new ProcessBuilder("ls", "/proc/self/fd").inheritIO().start().waitFor();')
    assert cell.stdout.split() == ["0", "1", "2", "3"]


@needs_java
def test_nobody_can_change_the_classes(classes: int) -> None:
    try:
        writable = os.open(f"/proc/self/fd/{classes}", os.O_RDWR)
    except PermissionError:  # which only root is spared
        return
    with pytest.raises(PermissionError):
        os.write(writable, b"x")
    with pytest.raises(PermissionError):
        os.ftruncate(writable, 0)
    with pytest.raises(PermissionError):
        fcntl.fcntl(writable, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
    os.close(writable)


def test_without_java_it_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(java.JavaMissing, match="apt-get install default-jdk-headless"):
        opened(str(tmp_path))


def test_a_java_that_is_not_enough_is_named(tmp_path: Path) -> None:
    bad = tmp_path / "java"
    bad.write_text("#!/bin/sh\necho Error: Module jdk.compiler not found; exit 1\n")
    bad.chmod(0o755)
    with pytest.raises(java.JavaMissing, match=r"jdk-headless \(.*jdk\.compiler not found\)"):
        opened(str(tmp_path))
