"""What our cells and notebooks show is what Jupyter's own kernel shows."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from itertools import islice
from typing import Any

import pytest

from tests.conftest import clean_environment
from tests.parity.cells import LAST, PACKAGES, TOGETHER, notebook_of
from tests.parity.notebooks import RUNNABLE
from tests.parity.sides import Case, Sides

pytest.importorskip("ipykernel")
pytest.importorskip("nbclient")

Cell = dict[str, Any]

_CELL_FILE = re.compile(r"<ipython-input-[^>]*>|\d+\.py")
# By why ours are not theirs.
_OTHERWISE = {
    "as E2B has it, not Jupyter": (
        "floats that JSON has not", "a long list", "a magic that there is not",
        "a cell magic that there is not", "a repr_html that raises", "a group",
    ),
    "a cell's place and names": (
        "underscore and In", "a namespace of its own", "a module beside it", "%pwd and %cd",
        "%who", "%pushd and %popd", "get_ipython", "a name of its own?", "a str that raises",
    ),
    "theirs are shown in Jupyter's pages, or nowhere": ("name?", "subprocess.run"),
    "theirs run on a terminal, ours on pipes": (
        "!cmd", "multiprocessing by spawn", "a variable in !cmd", "get_ipython().system",
        "raw writes", "threads that print", "sudo in !cmd",
    ),
    "no input and no escape codes": (
        "input()", "getpass", "stdin", "NUL and escapes", "unicode", "a lone surrogate",
        "progress on one line",
    ),
    "file names in warnings": (
        "a warning", "a deprecation", "a syntax warning", "raising in a thread",
    ),
}  # fmt: skip
_NOT_ASKED = {*LAST, *(name for names in _OTHERWISE.values() for name in names)}
_NOT_ASKED |= {case.name for case in PACKAGES}  # which the tests' own Python has not
ASKED = [case for case in TOGETHER if case.name not in _NOT_ASKED]


def _cells(case: Case) -> list[Cell]:
    found: list[Cell] = json.loads(case.files["n.ipynb"])["cells"]
    return found


# One notebook of all: a real kernel takes long to start.
_PARTS = {**{case.name: _cells(notebook_of([case])) for case in ASKED},
          **{f"the notebook: {case.name}": _cells(case) for case in RUNNABLE}}  # fmt: skip
Executed = dict[str, tuple[list[Cell], list[Cell]]]


@pytest.fixture(scope="module")
def executed(sides: Sides, tmp_path_factory: pytest.TempPathFactory) -> Executed:
    """By part: its cells executed by us, and by a real kernel."""
    many = notebook_of([])
    cells = [cell for part in _PARTS.values() for cell in part]
    whole = json.loads(many.files["n.ipynb"])
    whole["cells"] = [{**cell, "id": f"c{number}"} for number, cell in enumerate(cells)]
    text = json.dumps(whole)
    path = tmp_path_factory.mktemp("kernel") / "n.ipynb"
    path.write_text(text)
    theirs = subprocess.Popen(
        [sys.executable, "-m", "tests.parity.kernel", str(path)],
        env=clean_environment({"PYDEVD_DISABLE_FILE_VALIDATION": "1"}),
    )
    try:
        ours = sides.local.run(replace(many, files={"n.ipynb": text})).files["out.ipynb"][1]
        assert theirs.wait(240) == 0
    finally:
        theirs.kill()
        theirs.wait()
    both = [iter(json.loads(done)["cells"]) for done in (ours, path.read_bytes())]
    return {
        name: (list(islice(both[0], len(part))), list(islice(both[1], len(part))))
        for name, part in _PARTS.items()
    }


@pytest.mark.parametrize("name", _PARTS)
def test_a_cell_shows_what_it_shows_in_jupyter(executed: Executed, name: str) -> None:
    ours, theirs = ([_shown(cell) for cell in cells] for cells in executed[name])
    assert ours == theirs


def _shown(cell: Cell) -> dict[str, Any]:
    """Its number and outputs; a stream is one text, however it came."""
    outputs: list[Any] = []
    streams: dict[str, str] = {}
    for output in cell.get("outputs", ()):
        if output["output_type"] == "stream":
            streams[output["name"]] = streams.get(output["name"], "") + "".join(output["text"])
        elif output["output_type"] == "error":
            value = _CELL_FILE.sub("cell", output["evalue"])
            outputs.append((output["ename"], value))
        else:
            data = {mime: _joined(value) for mime, value in output["data"].items()}
            outputs.append((output["output_type"], output.get("execution_count"), data))
    return {"count": cell.get("execution_count"), "streams": streams, "outputs": outputs}


def _joined(value: object) -> object:
    return (
        "".join(value)
        if isinstance(value, list) and all(isinstance(v, str) for v in value)
        else value
    )
