"""The R kernel."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator

import pytest

from tests.server.kernels import AGENT, RunningKernel

RSCRIPT = shutil.which("Rscript")
pytestmark = pytest.mark.skipif(RSCRIPT is None, reason="R is not installed")


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningKernel]:
    argv = (str(RSCRIPT), "--no-init-file", "--no-site-file", str(AGENT / "kernels/r/kernel.R"))
    environment = {"OUTER": "outer", "LANG": "C.UTF-8"}
    with RunningKernel(argv, tmp_path_factory.mktemp("cwd"), environment) as running:
        running.run("kept <- 7")
        yield running
        assert running.hang_up() == 0  # it leaves when the host hangs up


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("1 + 1", "[1] 2"),
        ("x <- 5", None),
        ("invisible(7)", None),
        ("NULL", "NULL"),
        ("function(x) x", "function(x) x"),
        ("c(a = 1)", "a \n1 "),
        ('cat("\u00e9\\n"); nchar("\u00e9\u2028\U0001f600\\"\\\\")', "[1] 5"),
        ('"\u00e9\U0001f600"', '[1] "\u00e9\U0001f600"'),
        ('Sys.getenv("OUTER")', '[1] "outer"'),
        ('setClass("P", representation(a = "numeric")); new("P", a = 1)',
         'An object of class "P"\nSlot "a":\n[1] 1\n'),
        ("# nothing", None),
        ("", None),
    ],
)  # fmt: skip
def test_the_value_of_a_cell(kernel: RunningKernel, code: str, text: str | None) -> None:
    cell = kernel.run(code)
    assert (cell.error, cell.text) == (None, text)


def test_every_visible_value_is_a_result_and_the_last_the_main_one(kernel: RunningKernel) -> None:
    first, second = kernel.run("1\ny <- 2\ny").outcome.results
    assert first == {"text": "[1] 1", "extra": {}, "is_main_result": False}
    assert second == {"text": "[1] 2", "extra": {}, "is_main_result": True}


def test_a_data_frame_is_a_table_too(kernel: RunningKernel) -> None:
    (result,) = kernel.run('data.frame(a = 1:2, b = c("<", "y"))').outcome.results
    assert result.get("text") == "  a b\n1 1 <\n2 2 y"
    assert "<tr><td>1</td><td>1</td><td>&lt;</td></tr>" in str(result.get("html"))


@pytest.mark.parametrize(
    ("code", "error", "traceback"),
    [
        ('f <- function(n) stop("boom ", n)\ng <- function() f(3)\ng()', ("Error", "boom 3"),
         'Error in f(3) : boom 3\nTraceback:\n1. g()\n2. f(3)\n3. stop("boom ", n)'),
        ("nope", ("Error", "object 'nope' not found"), "Error: object 'nope' not found"),
        ("1 +\n )", ("SyntaxError", "cell:2:2: unexpected ')'\n1: 1 +\n2:  )\n    ^"), None),
        ('stop(structure(class = c("own", "error", "condition"), list(message = "m", '
         "call = NULL)))", ("own", "m"), None),
    ],
)  # fmt: skip
def test_an_error_is_told_without_our_frames(
    kernel: RunningKernel, code: str, error: tuple[str, str], traceback: str | None
) -> None:
    cell = kernel.run(code)
    assert cell.error == error
    assert cell.outcome.error is not None
    assert traceback in (None, cell.outcome.error.traceback)
    assert "withVisible" not in cell.outcome.error.traceback


def test_output_messages_and_warnings_have_their_streams(kernel: RunningKernel) -> None:
    cell = kernel.run('print("a"); message("m"); h <- function() warning("w"); h(); cat("b")')
    assert cell.stdout == '[1] "a"\nb'
    assert cell.stderr == "m\nWarning message:\nIn h() : w\n"


def test_the_environment_of_a_cell_is_its_own(kernel: RunningKernel) -> None:
    code = 'paste(Sys.getenv("FOO", unset = "none"), Sys.getenv("OUTER"))'
    both = {"FOO": 'b"\u00e9', "OUTER": "in"}
    assert kernel.run(code, both).text == '[1] "b\\"\u00e9 in"'
    assert kernel.run(code).text == '[1] "none outer"'


@pytest.mark.parametrize(
    ("code", "error"), [("q()", None), ('quit(status = 3); cat("no")', ("Exit", "3"))]
)
def test_quit_ends_the_cell_and_not_the_kernel(
    kernel: RunningKernel, code: str, error: tuple[str, str] | None
) -> None:
    cell = kernel.run(code)
    assert (cell.error, cell.stdout) == (error, "")
    assert kernel.run("kept").text == "[1] 7"


@pytest.mark.parametrize("code", ["repeat {}", "Sys.sleep(100)"])
def test_an_interrupt_ends_the_cell_and_keeps_the_state(kernel: RunningKernel, code: str) -> None:
    assert kernel.run(code, interrupt_after=0.3).error == ("KeyboardInterrupt", "")
    assert kernel.run("kept").text == "[1] 7"


def test_plots_are_pictures(kernel: RunningKernel) -> None:
    results = kernel.run("plot(1:3); lines(1:3)\nhist(c(1, 2, 2)); 1").outcome.results
    pictures = [base64.b64decode(str(result["png"])) for result in results if "png" in result]
    assert [picture[:4] for picture in pictures] == [b"\x89PNG", b"\x89PNG"]
    assert not any("png" in result for result in kernel.run("par(mar = 1:4)").outcome.results)


def test_names_that_a_cell_takes_stop_no_later_cell(kernel: RunningKernel) -> None:
    kernel.run("c <- paste <- print <- eval <- function(...) stop()")
    assert kernel.run("1").text == "[1] 1"
    kernel.run("rm(list = setdiff(ls(all.names = TRUE), 'kept'))")
    assert kernel.run("ls()").text == '[1] "kept"'
