"""What our cells and notebooks show is what Jupyter's own kernel shows."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import clean_environment
from tests.parity.cells import CELLS, PACKAGES
from tests.parity.notebooks import RUNNABLE, document
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
        "raw writes", "threads that print",
    ),
    "no input and no escape codes": (
        "input()", "getpass", "stdin", "NUL and escapes", "unicode", "a lone surrogate",
        "progress on one line",
    ),
    "file names in warnings": (
        "a warning", "a deprecation", "a syntax warning", "raising in a thread",
    ),
    "would change the cells after it, or end them": (
        "%%capture", "%store", "%autoawait", "%precision", "%xmode", "%config", "%matplotlib",
        "%env", "RecursionError", "KeyboardInterrupt", "GeneratorExit",
        "a child that holds the output", "asyncio.run in a cell", "a task left behind",
    ),
}  # fmt: skip
_NOT_ASKED = {name for names in _OTHERWISE.values() for name in names}
_NOT_ASKED |= {case.name for case in PACKAGES}  # which the tests' own Python has not


def _alone(case: Case) -> bool:
    """Whether it can be one of many cells of a notebook: it has no option, and leaves nothing."""
    return case.argv[0] == "-c" and case.ends in {"ok", "error"} and "xit" not in case.name


TOGETHER = [case for case in CELLS if _alone(case) and case.name not in _NOT_ASKED]


@pytest.fixture(scope="module")
def executed(sides: Sides, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, Any]]:
    """By name: the notebook executed by us, and by a real kernel."""
    cells = [(case.argv[1], *(["raises-exception"] * (case.ends != "ok"))) for case in TOGETHER]
    many = Case("cells", ("--output", "out.ipynb", "n.ipynb"), {"n.ipynb": document(cells)})
    cases = [many, *RUNNABLE]
    places: dict[str, Path] = {}
    for number, case in enumerate(cases):
        place = tmp_path_factory.mktemp(f"kernel{number}") / "n.ipynb"
        place.write_text(str(case.files["n.ipynb"]))
        places[case.name] = place
    theirs = subprocess.Popen(
        [sys.executable, "-m", "tests.parity.kernel", *map(str, places.values())],
        env=clean_environment({"PYDEVD_DISABLE_FILE_VALIDATION": "1"}),
    )
    ours = {case.name: sides.local.run(case).files["out.ipynb"][1] for case in cases}
    assert theirs.wait(240) == 0
    return {
        name: (json.loads(ours[name]), json.loads(place.read_text()))
        for name, place in places.items()
    }


@pytest.mark.parametrize("number", range(len(TOGETHER)), ids=[case.name for case in TOGETHER])
def test_a_cell_shows_what_it_shows_in_jupyter(
    executed: dict[str, tuple[Any, Any]], number: int
) -> None:
    ours, theirs = (_shown(notebook["cells"][number]) for notebook in executed["cells"])
    assert ours == theirs


@pytest.mark.parametrize("name", [case.name for case in RUNNABLE])
def test_a_notebook_shows_what_it_shows_in_jupyter(
    executed: dict[str, tuple[Any, Any]], name: str
) -> None:
    ours, theirs = ([_shown(cell) for cell in notebook["cells"]] for notebook in executed[name])
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
