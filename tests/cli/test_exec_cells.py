"""Cells: `-c`, `--cell`, notebooks, and what they display."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Run
from tests.parity.notebooks import document

Script = Callable[..., Path]

nbformat: Any = importlib.import_module("nbformat")  # its functions have no types

_RICH = """
class Rich:
    def _repr_png_(self): return b"\\x89PNG picture"
    def _repr_svg_(self): return "<svg/>"
    def _repr_html_(self): return "<b>é</b>"
    def _repr_json_(self): return {"a": float("nan"), "b": [1, "\\u2028"]}
    def __repr__(self): return "Rich()"
display(Rich())
Rich()
"""


@pytest.mark.parametrize(
    ("code", "printed"),
    [("x = 1", ""), ("print('a'); 'b'", "a\nb\n"), ("'a\\nb'", "a\\nb\n"), ("exit()", "")],
)
def test_code_on_the_command_line_shows_its_value(local: Run, code: str, printed: str) -> None:
    ran = local("-c", code)
    assert (ran.code, ran.text) == (0, printed)


@pytest.mark.parametrize(
    ("code", "exit_code", "closing"),
    [
        ("import sys; sys.exit(5)", 5, "error (SystemExit) · "),
        ("raise SystemExit('bye')", 1, "error (SystemExit) · "),
        ("import os; os._exit(9)", 137, "killed: the interpreter died"),
    ],
)
def test_a_cell_that_ends_badly_says_how(
    local: Run, code: str, exit_code: int, closing: str
) -> None:
    ran = local("-c", code)
    assert ran.code == exit_code
    assert ran.err.splitlines()[-1].startswith(closing)


def test_the_traceback_of_a_cell_has_no_frame_of_ours(local: Run, script: Script) -> None:
    ran = local("--cell", script("def f():\n    raise ValueError('a\\nb')\n\n\nf()\n"))
    assert ran.code == 1
    lines = ran.err.splitlines()
    assert [line for line in lines if line.startswith(("Cell", "File"))] == [
        "Cell In[1], line 5",
        "Cell In[1], line 2, in f()",
    ]
    assert lines[-3:-1] == ["ValueError: a", "b"]


def test_a_file_run_as_a_cell_shows_its_last_value(local: Run, script: Script) -> None:
    assert local("--cell", script("x = 20\nx * 2 + 2\n")).text == "42\n"


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("input()", "with -i"),
        ("import socket; socket.getaddrinfo('example.org', 80)", "--network"),
        ("files = [open('/dev/null') for _ in range(300)]", "open files"),
    ],
)
def test_an_error_that_the_sandbox_caused_has_a_hint(local: Run, code: str, hint: str) -> None:
    ran = local("-c", code)
    assert ran.code == 1
    assert hint in ran.err.splitlines()[-2]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-c", "1", "prog.py"), "-c CODE runs that code"),
        (("-i", "-c", "1"), "-i cannot be used here"),
        (("-i", "-"), "-i cannot be used here"),
        (("--cell", "prog.py", "arg"), "cells take no arguments"),
        (("--cell", "x.sh"), "x.sh: only Python runs as a cell"),
        (("--on-result", "d", "prog.py"), "--on-result saves what cells display; add --cell"),
        (("--on-result", "prog.py", "-c", "1"), "--on-result prog.py: not a directory"),
        (("--on-result", "", "-c", "1"), "--on-result: the name is empty"),
        (("--output", "o.ipynb", "prog.py"), "--output is where an executed notebook goes"),
        (("--keep", "prog.py"), "--keep needs --on e2b"),
        ((), "nothing to run"),
    ],
)
def test_what_does_not_go_together_is_refused(
    local: Run, script: Script, words: tuple[str, ...], said: str
) -> None:
    script("print('ran')")
    script("echo ran", "x.sh")
    ran = local(*words)
    assert (ran.code, ran.out) == (2, b"")
    assert ran.err.startswith(f"e2brun: {said}")
    assert "Traceback" not in ran.err


def test_rich_results_are_saved_and_their_paths_told(
    local: Run, script: Script, tmp_path: Path
) -> None:
    ran = local("--cell", "--on-result", "out/deep", script(_RICH))
    assert (ran.code, ran.text) == (0, "Rich()\n")
    saved = [line.removeprefix("e2brun: saved ") for line in ran.err.splitlines()[:-1]]
    names = [f"result-00{n}.{kind}" for n in (1, 2) for kind in ("png", "svg", "html", "json")]
    assert saved == [f"out/deep/{name}" for name in names]
    out = tmp_path / "out/deep"
    assert (out / "result-001.png").read_bytes() == b"\x89PNG picture"
    assert (out / "result-001.svg").read_text() == "<svg/>"
    assert (out / "result-002.html").read_text() == "<b>é</b>"
    assert json.loads((out / "result-002.json").read_text()) == {"a": None, "b": [1, "\u2028"]}


def test_saving_results_again_overwrites_none(local: Run, script: Script, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/result-001.png").write_text("mine")
    ran = local("-q", "--cell", "--on-result", "out", script(_RICH))
    assert ran.err == ""
    assert (tmp_path / "out/result-001.png").read_text() == "mine"
    assert len(list((tmp_path / "out").iterdir())) == 9


@pytest.fixture
def notebook(tmp_path: Path) -> Callable[..., Path]:
    """Write a notebook of code cells, after one of text."""

    def write(*sources: str) -> Path:
        path = tmp_path / "book.ipynb"
        path.write_text(document(["# markdown", *sources]))
        return path

    return write


def test_the_time_limit_is_for_the_whole_notebook(
    local: Run, notebook: Callable[..., Path], tmp_path: Path
) -> None:
    sleep = "import time; time.sleep(2)"
    ran = local("--timeout", "3s", "--output", "done.ipynb", notebook(sleep, sleep, sleep))
    assert ran.code == 124
    assert ran.err.splitlines()[-1].startswith("timeout after 3 s · ")
    done = nbformat.read(tmp_path / "done.ipynb", as_version=4)
    nbformat.validate(done)
    # The second where the machine is quick; one alone never takes as long.
    told = [output.ename for cell in done.cells[1:] for output in cell.outputs]
    assert told == ["timeout"]


def test_a_notebook_may_overwrite_itself(local: Run, notebook: Callable[..., Path]) -> None:
    book = notebook("'value'")
    assert local("--output", book, book).code == 0
    assert nbformat.read(book, as_version=4).cells[1].outputs[0].data["text/plain"] == "'value'"


@pytest.mark.parametrize("output", ["no/where.ipynb", ".", ""])
def test_an_impossible_output_is_told_before_anything_runs(
    local: Run, notebook: Callable[..., Path], output: str
) -> None:
    ran = local("--output", output, notebook("print('ran')"))
    assert (ran.code, ran.out) == (2, b"")
    assert ran.err.startswith("e2brun: --output")


@pytest.mark.parametrize("as_json", [True, False])
def test_an_output_that_cannot_be_written_fails_a_run_that_went_well(
    local: Run, notebook: Callable[..., Path], as_json: bool
) -> None:
    ran = local(*["--json"] * as_json, "--output", "/dev/full", notebook("print('ran')"))
    assert ran.code == 125
    assert "e2brun: --output /dev/full: No space left on device\n" in ran.err
    assert "Traceback" not in ran.err
    if as_json:
        document = json.loads(ran.out)
        assert (document["outcome"], document["success"]) == ("ok", False)
        assert document["stdout"] == "ran\n"


def test_half_a_surrogate_pair_in_a_notebook_is_its_own_error(local: Run, script: Script) -> None:
    cell = r'{"cell_type": "code", "source": "print(len(\"\ud83d\"))", "outputs": []}'
    file = script(f'{{"nbformat": 4, "nbformat_minor": 4, "cells": [{cell}]}}', "odd.ipynb")
    ran = local("--output", "done.ipynb", file)
    assert ran.code in {0, 1}
    assert "e2brun/" not in ran.err


def test_a_source_that_cannot_be_decoded_is_a_syntax_error(local: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_bytes(b"print('\xe4')\n")
    (tmp_path / "odd.py").write_bytes(b"# coding: nope\n1\n")
    (tmp_path / "hex.py").write_bytes(b"# coding: hex\n1\n")
    for words in (
        ("bad.py",),
        *(("--cell", f"{n}.py") for n in ("bad", "odd", "hex")),
        ("-c", "'\udcff'"),
    ):
        ran = local("--json", *words)
        found = json.loads(ran.out)
        assert (ran.code, found["outcome"], found["exit_code"]) == (1, "error", 1), words
        assert found["error"]["name"] == "SyntaxError"
        assert any(
            word in found["error"]["value"] for word in ("utf-8", "Non-UTF-8", "nope", "hex")
        )


def test_options_after_a_notebooks_name_are_options(local: Run, tmp_path: Path) -> None:
    (tmp_path / "b.ipynb").write_text(document(["1 + 1"]))
    ran = local("-q", "b.ipynb", "--output", "out.ipynb", "--json", "--timeout=9s")
    assert json.loads(ran.out)["outcome"] == "ok"
    assert (tmp_path / "out.ipynb").exists()
    for words, said in (
        (("word",), "a notebook has no arguments: word"),
        (("--nope",), "No such option: --nope"),
    ):
        ran = local("b.ipynb", *words)
        assert ran.code == 2
        assert said in ran.err
