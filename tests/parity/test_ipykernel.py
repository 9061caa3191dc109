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
from tests.parity.cells import CELLS
from tests.parity.notebooks import RUNNABLE, document
from tests.parity.sides import Case, Sides

pytest.importorskip("ipykernel")
pytest.importorskip("nbclient")

Cell = dict[str, Any]

_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
# Where ours differ on purpose, or where a cell would show what is the kernel's own.
_OTHERWISE = frozenset({
    "floats that JSON has not", "a long list",  # nothing is cut short, as at E2B
    "raw writes", "NUL and escapes",  # bytes that are no text
    "underscore and In", "unicode", "a lone surrogate",
    "a namespace of its own", "in the standard library", "a module beside it", "a str that raises",
    "RecursionError", "KeyboardInterrupt", "GeneratorExit", "input()", "getpass", "stdin",
    "raising in a thread", "a warning", "a deprecation", "a syntax warning",  # their file names
    "%pwd and %cd", "%who", "%%capture", "%precision", "%xmode", "%config", "%matplotlib",
    "a cell magic that there is not", "a group", "threads that print",
    "a child that holds the output", "%env", "--env", "--cwd",
})  # fmt: skip


def _alone(case: Case) -> bool:
    """Whether it can be one of many cells of a notebook: it has no option, and leaves nothing."""
    return case.argv[0] == "-c" and case.ends in {"ok", "error"} and "xit" not in case.name


TOGETHER = [case for case in CELLS if _alone(case) and case.name not in _OTHERWISE]


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
            traceback = _ESCAPES.sub("", "\n".join(output["traceback"])).splitlines()
            outputs.append(
                (output["ename"], output["evalue"], [line.rstrip() for line in traceback])
            )
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
