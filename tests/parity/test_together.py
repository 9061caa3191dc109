"""One notebook of all that can be cells of one: both backends tell the same of it, and show what
Jupyter's own kernel shows."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from itertools import islice
from typing import Any

import pytest

from tests.conftest import clean_environment
from tests.parity.cells import ASKED, TOGETHER
from tests.parity.comparing import differences, whole
from tests.parity.notebooks import RUNNABLE, notebook
from tests.parity.sides import Case, Seen, Sides

Cell = dict[str, Any]

_CELL_FILE = re.compile(r"/tmp/ipykernel_\d+/")
_COLOUR = re.compile(r"\x1b\[[\d;]*m")
# In their tracebacks are files of the kernel's Python, or of the kernel.
_FRAMES_OF_OTHERS = {"in the standard library", "SyntaxError at run time", "input()", "getpass"}


def _cells(case: Case) -> list[Cell]:
    """Of a notebook, or that one cell."""
    if case.argv[0] == "-c":
        tags = ["raises-exception"] * (case.ends != "ok")
        case = notebook(case.name, (case.argv[1], *tags))
    found: list[Cell] = json.loads(case.files["n.ipynb"])["cells"]
    return found


_FAIL = {case.name: case.ends == "error" for case in TOGETHER}
# A real kernel is asked about the first of them: their numbers are shown.
_OF_JUPYTERS = {case.name: _cells(case) for case in [*ASKED, *RUNNABLE]}
_PARTS = {**_OF_JUPYTERS, **{case.name: _cells(case) for case in TOGETHER if case not in ASKED}}


def _document(parts: dict[str, list[Cell]]) -> str:
    whole = json.loads(notebook("all").files["n.ipynb"])
    cells = [cell for part in parts.values() for cell in part]
    return json.dumps({**whole, "cells": [{**c, "id": f"c{n}"} for n, c in enumerate(cells)]})


def _by_part(written: bytes, parts: dict[str, list[Cell]]) -> dict[str, list[Cell]]:
    cells = iter(json.loads(written)["cells"])
    return {name: list(islice(cells, len(part))) for name, part in parts.items()}


@pytest.fixture(scope="module")
def together(sides: Sides) -> tuple[Seen, Seen]:
    words = ("--timeout", "250", "--output", "out.ipynb", "n.ipynb")
    return sides.run(Case("all", words, {"n.ipynb": _document(_PARTS)}), "--json")


@pytest.fixture(scope="module")
def executed(together: tuple[Seen, Seen]) -> tuple[dict[str, list[Cell]], dict[str, list[Cell]]]:
    """The cells of each part, by the embedded sandbox and on E2B."""
    local, e2b = (_by_part(seen.files["out.ipynb"][1], _PARTS) for seen in together)
    return local, e2b


@pytest.fixture(scope="module")
def jupyters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Cell]]:
    """Those of a real kernel."""
    for name in ("ipykernel", "nbclient"):
        pytest.importorskip(name)
    path = tmp_path_factory.mktemp("kernel") / "n.ipynb"
    path.write_text(_document(_OF_JUPYTERS))
    command = [sys.executable, "-m", "tests.parity.kernel", str(path)]
    environment = clean_environment({"PYDEVD_DISABLE_FILE_VALIDATION": "1"})
    subprocess.run(command, env=environment, timeout=240, check=True)
    return _by_part(path.read_bytes(), _OF_JUPYTERS)


def test_cells_of_one_notebook_tell_the_same(together: tuple[Seen, Seen]) -> None:
    local, e2b = (whole(seen) for seen in together)
    assert local["outcome"] == "ok"
    assert set(differences(local, e2b)) <= {"~files"}  # where what two pipes say has an order


@pytest.mark.parametrize("name", _PARTS)
def test_a_cell_among_others_is_written_the_same(
    executed: tuple[dict[str, list[Cell]], dict[str, list[Cell]]], name: str
) -> None:
    local, e2b = ([_ordered(cell) for cell in side[name]] for side in executed)
    assert local == e2b
    if name in _FAIL:
        [cell] = local
        failed = any(output["output_type"] == "error" for output in cell["outputs"])
        assert failed == _FAIL[name]


def _ordered(cell: Cell) -> Cell:
    """With each stream as one text."""
    others = [out for out in cell.get("outputs", ()) if out["output_type"] != "stream"]
    return {**cell, "outputs": others, "streams": _streams(cell)}


def _streams(cell: Cell) -> dict[str, str]:
    """Each as one text, however it came."""
    said: dict[str, str] = {}
    for output in cell.get("outputs", ()):
        if output["output_type"] == "stream":
            said[output["name"]] = said.get(output["name"], "") + "".join(output["text"])
    return said


@pytest.mark.parametrize("name", _OF_JUPYTERS)
def test_a_cell_shows_what_it_shows_in_jupyter(
    executed: tuple[dict[str, list[Cell]], object], jupyters: dict[str, list[Cell]], name: str
) -> None:
    traced = name not in _FRAMES_OF_OTHERS
    both = executed[0], jupyters
    ours, theirs = ([_shown(cell, traced=traced) for cell in side[name]] for side in both)
    assert ours == theirs


def _shown(cell: Cell, *, traced: bool) -> dict[str, Any]:
    """Its number and outputs, with tracebacks where they are asked for."""
    outputs: list[Any] = []
    for output in cell.get("outputs", ()):
        if output["output_type"] == "error":
            told = _COLOUR.sub("", "\n".join(output["traceback"])).split("\n") if traced else ()
            lines = [line for line in told if line.strip()]
            outputs.append((output["ename"], output["evalue"], lines))
        elif output["output_type"] != "stream":
            data = {mime: _joined(value) for mime, value in output["data"].items()}
            outputs.append((output["output_type"], output.get("execution_count"), data))
    streams = {name: _CELL_FILE.sub("", text) for name, text in _streams(cell).items()}
    return {"count": cell.get("execution_count"), "streams": streams, "outputs": outputs}


def _joined(value: object) -> object:
    is_text = isinstance(value, list) and all(isinstance(part, str) for part in value)
    return "".join(value) if is_text else value  # type: ignore[arg-type]
