"""Notebooks through `e2brun exec` in the embedded sandbox. That they are the same through E2B's
protocol, and what is written is, says tests/parity."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.conftest import Ran, Run
from tests.sdk.serving import Serving, served

Json = dict[str, Any]
Cell = str | tuple[str, str]  # source, or source and its tag
Book = Callable[..., Path]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with served(tmp_path_factory.mktemp("service")) as serving:
        yield serving


@pytest.fixture
def execute(e2brun: Run) -> Run:
    """Run `e2brun exec --on local WORDS...`."""
    return lambda *words: e2brun("exec", "--on", "local", *words)


@pytest.fixture
def book(tmp_path: Path) -> Book:
    """Write a notebook."""

    def write(*cells: Cell, language: str = "python", name: str = "book.ipynb") -> Path:
        kernel = {"name": language, "display_name": language, "language": language}
        made: list[Json] = []
        for number, cell in enumerate(cells):
            source, tag = (cell, "") if isinstance(cell, str) else cell
            old = {"output_type": "stream", "name": "stdout", "text": ["old\n"]}
            made.append(
                {
                    "cell_type": "code", "id": f"c{number}", "source": source, "outputs": [old],
                    "execution_count": 9, "metadata": {"tags": [tag]} if tag else {},
                }
            )  # fmt: skip
        document = {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": kernel}}
        path = tmp_path / name
        path.write_text(json.dumps({**document, "cells": made}))
        return path

    return write


@pytest.fixture
def done(tmp_path: Path) -> Callable[[], list[Json]]:
    """The cells of the executed notebook, which nbformat must find valid."""

    def read() -> list[Json]:
        text = (tmp_path / "done.ipynb").read_text()
        nbformat.validate(nbformat.reads(text, as_version=4))
        cells: list[Json] = json.loads(text)["cells"]
        return cells

    return read


Done = Callable[[], list[Json]]


def shown(cell: Json) -> list[object]:
    """What a cell's outputs say, without their wrapping."""
    found: list[object] = []
    for output in cell["outputs"]:
        match output["output_type"]:
            case "stream":
                found.append("".join(output["text"]))
            case "error":
                found.append((output["ename"], output["evalue"]))
            case _:
                found.append(output["data"])
    return found


def text(plain: str) -> Json:
    return {"text/plain": plain}


def test_cleared_output_leaves_the_last_state(execute: Run, book: Book, done: Done) -> None:
    cells = (
        "from IPython.display import clear_output\nfor i in range(30):\n"
        "    clear_output(wait=True); print(i); display(i)",
        "for i in range(30):\n    print(i); display(i); clear_output()",
        "print('kept'); clear_output(wait=True)",
    )
    ran = execute("--output", "done.ipynb", book(*cells))
    assert [shown(cell) for cell in done()] == [["29\n", text("29")], [], ["kept\n"]]
    assert ran.out == b"29\n29\nkept\n"


def test_a_cell_alone_leaves_the_last_state_too(execute: Run) -> None:
    code = (
        "from IPython.display import *\nfor i in range(9):\n    print(i); clear_output(wait=True)"
    )
    more = "\nprint('end'); display(1); In[1][:4], get_ipython().execution_count"
    assert execute("-c", code).out == b"8\n"
    assert execute("-c", code + more).out == b"end\n1\n('from', 2)\n"


def test_what_waits_to_be_cleared_is_there_when_the_time_is_up(execute: Run, book: Book) -> None:
    code = "from IPython.display import *\nimport time\nfor i in range(9):\n    clear_output()\n"
    ran = execute("--cell-timeout", "2s", book(code + "    print(i)\ntime.sleep(60)"))
    assert (ran.code, ran.out) == (124, b"8\n")


def test_what_is_printed_stands_where_it_was_printed(execute: Run, book: Book, done: Done) -> None:
    code = "for i in range(50):\n    print(i)\n    display(-i)"
    execute("--output", "done.ipynb", book(code))
    (cell,) = done()
    assert shown(cell) == [one for i in range(50) for one in (f"{i}\n", text(str(-i)))]


def test_nothing_of_ours_is_seen_by_the_first_cell(execute: Run, book: Book, done: Done) -> None:
    code = "[n for n in dir() if 'e2b' in n or n in {'Connection', 'json'}], len(In), _i, _, _ih[0]"
    ran = execute("--json", "--output", "done.ipynb", book(code, "__file__"))
    (first, second) = done()
    assert shown(first) == [text("([], 2, '', '', '')")]
    assert shown(second) == [("NameError", "name '__file__' is not defined")]
    assert "Cell In[2], line 1" in json.loads(ran.out)["error"]["traceback"]
    assert b"vnd.e2brun" not in ran.out


def test_the_data_of_figures_are_read_only_where_somebody_sees_them(
    e2brun: Run, book: Book, tmp_path: Path
) -> None:
    notebook = book("print(get_ipython().outlets.charts)")
    for options, charts in (((), "False"), (("--on-result", tmp_path / "results"), "True")):
        ran = e2brun("exec", "-q", "--on", "local", *options, notebook)
        assert ran.text.strip() == charts
    whole = json.loads(e2brun("exec", "--json", "--on", "local", notebook).text)
    assert whole["stdout"].strip() == "True"


def test_an_error_ends_the_run_where_it_happened(execute: Run, book: Book, done: Done) -> None:
    ran = execute("--output", "done.ipynb", book("print('a')", "print('b'); 1/0", "print('c')"))
    assert (ran.code, ran.text) == (1, "a\nb\n")
    one, two, three = done()
    assert shown(two) == ["b\n", ("ZeroDivisionError", "division by zero")]
    assert (two["execution_count"], three["execution_count"], three["outputs"]) == (2, None, [])
    assert shown(one) == ["a\n"]


@pytest.mark.parametrize("words", [(), ("--allow-errors",)])
def test_errors_that_are_allowed_are_written_down_and_cells_tagged_so_are_skipped(
    execute: Run, book: Book, done: Done, words: tuple[str, ...]
) -> None:
    cell = "1/0" if words else ("1/0", "raises-exception")
    path = book(cell, ("print('no')", "skip-execution"), "print('b')")
    ran = execute(*words, "--output", "done.ipynb", path)
    assert (ran.code, ran.text) == (0, "b\n")
    assert "ZeroDivisionError: division by zero" in ran.err
    failed, skipped, last = done()
    assert shown(failed) == [("ZeroDivisionError", "division by zero")]
    assert (shown(skipped), skipped["execution_count"]) == (["old\n"], 9)
    assert (shown(last), last["execution_count"]) == (["b\n"], 2)


@pytest.mark.parametrize(
    ("code", "exit_code", "value"), [("exit()", 0, ""), ("raise SystemExit('bye')", 1, "bye")]
)
def test_leaving_ends_the_run(
    execute: Run, book: Book, done: Done, code: str, exit_code: int, value: str
) -> None:
    ran = execute(
        "--allow-errors", "--json", "--output", "done.ipynb", book("print(1)", code, "print(2)")
    )
    document = json.loads(ran.out)
    assert (ran.code, document["stdout"]) == (exit_code, "1\n")
    assert document["success"] is (exit_code == 0)
    if exit_code:
        assert (document["error"]["name"], document["error"]["value"]) == ("SystemExit", value)
    _, left, never = done()
    assert shown(left) == [("SystemExit", value)]
    assert (never["execution_count"], never["outputs"]) == (None, [])


def test_parameters_are_set_anew(execute: Run, book: Book, done: Done, tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text("a = 1\nb = ['x', 2.5]\n")
    path = book(("a = b = c = d = None", "parameters"), "print(a, b, c, repr(d))")
    words = ("--params", "p.toml", "-p", "a=7", "--param", "c=True", "-r", "d=7")
    ran = execute(*words, "--output", "done.ipynb", path)
    assert (ran.code, ran.text) == (0, "7 ['x', 2.5] True '7'\n")
    again = execute("-p", "a=8", "--output", "done.ipynb", tmp_path / "done.ipynb")
    assert (again.code, again.text) == (0, "8 None None None\n")
    assert [cell["execution_count"] for cell in done()] == [1, 2, 3]


def test_a_time_limit_may_be_of_each_cell(execute: Run, book: Book, done: Done) -> None:
    path = book("import time; time.sleep(0.4)", "time.sleep(0.4)", "print(1); time.sleep(60)", "2")
    ran = execute("--cell-timeout", "1s", "--output", "done.ipynb", path)
    assert ran.code == 124
    assert ran.err.splitlines()[-1].startswith("timeout after 1 s (cell 3) · ")
    *_, stopped, never = done()
    assert shown(stopped) == ["1\n", ("timeout", "time limit 1 s (cell 3)")]
    assert (stopped["execution_count"], never["execution_count"]) == (3, None)


def test_an_interpreter_that_ends_ends_the_run(execute: Run, book: Book, done: Done) -> None:
    path = book("print('a')", "import os; os._exit(0)", "print('b')")
    ran = execute("--allow-errors", "--output", "done.ipynb", path)
    assert (ran.code, ran.text) == (137, "a\n")
    assert [cell["execution_count"] for cell in done()] == [1, 2, None]


@pytest.mark.parametrize(
    ("language", "before", "code"),
    [
        ("bash", "x=1", "echo $x; pwd"),
        ("javascript", "let x = 1", "console.log(x); console.log(process.cwd())"),
        (
            "java",
            "int x = 1;",
            'System.out.println(x); System.out.println(new java.io.File("").getAbsolutePath());',
        ),
    ],
)
def test_other_kernels_keep_their_state_from_cell_to_cell_and_begin_where_they_are_told_to(
    execute: Run, book: Book, done: Done, language: str, before: str, code: str
) -> None:
    path = book((before, "parameters"), code, language=language)
    ran = execute("-p", "x=5", "--cwd", "/data/x", "--output", "done.ipynb", path)
    if ran.code == 125 and "install" in ran.err:
        pytest.skip(ran.err)
    assert (ran.code, ran.text) == (0, "5\n/data/x\n")
    assert "".join(map(str, shown(done()[-1]))) == "5\n/data/x\n"
    assert [cell["execution_count"] for cell in done()] == [1, 2, 3]


def test_hostile_results_leave_a_valid_notebook(execute: Run, book: Book, done: Done) -> None:
    code = (
        "from IPython.display import publish_display_data as show\n"
        "notes = 1, [], {'op': []}, {'id': {}}, {'metadata': 3}, {'text': [1]}, {'op': 'clear'}\n"
        "for note in notes:\n    show({'text/plain': 'x', 'application/vnd.e2brun+json': note})\n"
        "show({'text/plain': 'y', 'a/b': float('nan'), 'c': 1})"
    )
    ran = execute("--json", "--output", "done.ipynb", book(code))
    assert ran.code == 0, ran.err
    assert shown(done()[0]) == [text("y")]


def test_a_sandbox_that_lives_on_is_left_as_it_was(
    e2brun: Run, book: Book, done: Done, service: Serving
) -> None:
    def run(*words: str | Path) -> Ran:
        return e2brun("exec", "--on", "e2b", *words, env=service.environment)

    path = book("'a'", "x = 5; x")
    kept = run("--keep", path).err.split("kept: ")[1].split()[0]
    assert run("--sandbox", kept, "--output", "done.ipynb", path).code == 0
    assert shown(done()[0]) == [text("'a'")]
    assert [cell["execution_count"] for cell in done()] == [1, 2]
    document = json.loads(run("--sandbox", kept, "--json", "-c", "[x]").out)
    shown_last = {"text": "[5]", "json": [5], "extra": {}, "is_main_result": True}
    assert document["results"] == [shown_last]


BROKEN = {
    "no JSON": (b"{", "not valid JSON"),
    "another kernel": (
        b'{"nbformat": 4, "cells": [{"cell_type": "code", "source": "1"}],'
        b' "metadata": {"kernelspec": {"name": "julia"}}}',
        "no kernel for 'julia'",
    ),
    "too large": (b'{"nbformat": 4, "outputs": "%s"}' % (b"x" * 100_000_000), "more than 64 MiB"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_notebook_is_refused_in_one_line(e2brun: Run, tmp_path: Path, kind: str) -> None:
    content, said = BROKEN[kind]
    (tmp_path / "bad.ipynb").write_bytes(content)
    (tmp_path / "done.ipynb").write_text("mine")
    ran = e2brun("exec", "--on", "local", "--output", "done.ipynb", "bad.ipynb")
    assert (ran.code, ran.out, len(ran.err.splitlines())) == (2, b"", 1)
    assert f"bad.ipynb: {said}" in ran.err.replace("not a notebook: ", "").replace(
        "cell 1 is of ", ""
    )
    assert (tmp_path / "done.ipynb").read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-p", "z=1"), "no parameter 'z' (known: x"),
        (("--params", "none.toml"), "none.toml: No such file"),
        (("--cell-timeout", "never"), "--cell-timeout: 'never' is not a duration"),
    ],
)
def test_bad_parameters_are_refused_in_one_line(
    e2brun: Run, book: Book, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    (tmp_path / "done.ipynb").write_text("mine")
    path = book(("x = 1", "parameters"), "print(x)")
    ran = e2brun("exec", "--on", "local", *words, "--output", "done.ipynb", path)
    assert (ran.code, ran.out, len(ran.err.splitlines())) == (2, b"", 1)
    assert said in ran.err
    assert (tmp_path / "done.ipynb").read_text() == "mine"


@pytest.mark.parametrize(
    "words",
    [("-p", "x=1"), ("-r", "x=1"), ("--params", "p.toml"), ("--allow-errors",),
     ("--cell-timeout", "1s")],
)  # fmt: skip
def test_what_is_for_notebooks_is_refused_for_programs(
    e2brun: Run, script: Callable[..., Path], words: tuple[str, ...]
) -> None:
    ran = e2brun("exec", "--on", "local", *words, script("print(1)"))
    assert (ran.code, ran.out) == (2, b"")
    assert f"{words[0]} is for notebooks" in ran.err


def test_the_old_notebook_stays_when_the_new_one_cannot_be_written(
    e2brun: Run, book: Book, tmp_path: Path
) -> None:
    ran = e2brun("exec", "--on", "local", "--output", "done.ipynb", book("'a'"))
    before = (tmp_path / "done.ipynb").stat()
    (tmp_path / "done.ipynb").chmod(0o640)
    (tmp_path / "link.ipynb").symlink_to("done.ipynb")
    ran = e2brun("exec", "--on", "local", "--output", "link.ipynb", tmp_path / "book.ipynb")
    assert ran.code == 0
    assert (tmp_path / "link.ipynb").is_symlink()
    after = (tmp_path / "done.ipynb").stat()
    assert (after.st_mode & 0o777, after.st_ino != before.st_ino) == (0o640, True)
    assert not list(tmp_path.glob(".*"))
