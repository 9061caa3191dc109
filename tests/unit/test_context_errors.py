"""What a cell that raises or leaves says of it."""

from __future__ import annotations

import sys

import pytest

from e2brun.sandbox.cell_end import cell_execution
from tests.unit.context_program import AGENT, Context, lasting_context, running_context

__all__ = ["lasting_context", "running_context"]  # the fixtures `lasting` and `context`


# Errors


def test_a_syntax_error_has_the_line_and_the_caret_of_the_cell(context: Context) -> None:
    error = context.run("x = 1\ny = = 2").error
    assert error.name == "SyntaxError"
    assert error.traceback == (
        "  Cell In[1], line 2\n    y = = 2\n        ^\nSyntaxError: invalid syntax\n"
    )
    assert context.run("1").outcome.execution_count == 2


@pytest.mark.parametrize(
    "code", ["x = '\ud800'", "x = '\0'", "(" * 3000, "-" * 10_000 + "1", "if 1:\nx", "return 1"]
)
def test_source_that_does_not_compile_is_an_error_like_any_other(
    lasting: Context, code: str
) -> None:
    error = lasting.run(code).error
    assert str(AGENT) not in error.traceback
    assert lasting.run("1").main["text"] == "1"


def test_of_two_errors_the_first_is_told(context: Context) -> None:
    shows = "class R:\n    def __repr__(self): raise ValueError('no repr')\ndisplay(R())"
    assert context.run(f"{shows}\n1/0").error.name == "ValueError"
    assert context.run("1/0").error.name == "ZeroDivisionError"


def test_a_traceback_shows_the_lines_of_every_cell_it_passes(context: Context) -> None:
    context.run("def f(x):\n    # a comment\n    return 1 / x")
    error = context.run("print('before')\nf(0)").error
    assert (error.name, error.value) == ("ZeroDivisionError", "division by zero")
    assert "Cell In[2], line 2\n" in error.traceback
    assert "Cell In[1], line 3, in f(x)\n" in error.traceback
    assert "----> 3     return 1 / x\n" in error.traceback
    assert str(AGENT) not in error.traceback
    source = context.run("import inspect\ninspect.getsource(f)").main["text"]
    assert source == "def f(x):\\n    # a comment\\n    return 1 / x\\n"


@pytest.mark.parametrize(
    ("code", "name", "parts"),
    [
        (
            "try:\n    1/0\nexcept Exception as e:\n    raise KeyError('k') from e",
            "KeyError",
            ["ZeroDivisionError", "direct cause", "KeyError: 'k'"],
        ),
        (
            "try:\n    1/0\nexcept Exception:\n    nowhere",
            "NameError",
            ["ZeroDivisionError", "During handling", "nowhere"],
        ),
        ("def f(): f()\nf()", "RecursionError", ["maximum recursion depth"]),
        ("class E(Exception):\n  def __str__(self): 1/0\nraise E", "ZeroDivisionError", []),
        ("raise ValueError('x' * 50_000_000)", "ValueError", ["characters left out"]),
        ("class E(BaseException): pass\nraise E('bare')", "E", ["E: bare"]),
        ("e = ValueError(1)\ne.__context__ = KeyError(2)\nraise e", "ValueError", ["KeyError: 2"]),
        ("def display_one():\n  display()\n  raise OSError(2, 'No')\ndisplay_one()",
         "FileNotFoundError", ["[Errno 2] No"]),
        ("exec('x = =')", "SyntaxError", ["<string>", "Cell In[", "line 1"]),
    ],
)  # fmt: skip
def test_errors_are_told_as_ipython_tells_them(
    lasting: Context, code: str, name: str, parts: list[str]
) -> None:
    error = lasting.run(code).error
    assert error.name == name
    assert [part for part in parts if part not in error.traceback] == []
    assert str(AGENT) not in error.traceback
    assert len(error.traceback) < 2_000_000
    assert lasting.run("1").main["text"] == "1"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups")
def test_an_exception_group_keeps_its_parts(lasting: Context) -> None:
    error = lasting.run("raise ExceptionGroup('all', [ValueError(1), KeyError('k')])").error
    assert error.name == "ExceptionGroup"
    assert "ValueError: 1" in error.traceback
    assert "KeyError: 'k'" in error.traceback


@pytest.mark.parametrize(
    ("code", "value", "exit_code"),
    [
        ("import sys; sys.exit()", "", 0),
        ("raise SystemExit(3)", "3", 3),
        ("exit(256 + 7)", "263", 7),
        ("quit()", "", 0),
        ("exit(4)", "4", 4),
        ("raise SystemExit(True)", "True", 1),
        ("def f(): raise SystemExit(9)\nf()", "9", 9),
        ("import sys; sys.exit(-1)", "-1", 255),
        ("import sys; sys.exit('bad luck')", "bad luck", 1),
        ("import sys, asyncio\nawait asyncio.sleep(0)\nsys.exit(4)", "4", 4),
    ],
)
def test_leaving_is_an_error_and_the_context_lives_on(
    lasting: Context, code: str, value: str, exit_code: int
) -> None:
    cell = lasting.run("kept = 1\n" + code)
    assert (cell.error.name, cell.error.value) == ("SystemExit", value)
    assert cell_execution(cell.error, (), 0).exit_code == exit_code
    assert cell.stderr == ""
    assert lasting.run("kept").main["text"] == "1"
