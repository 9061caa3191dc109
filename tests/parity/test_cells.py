from __future__ import annotations

import json
from typing import Any

import pytest

from tests.parity.cells import ALONE, TOGETHER, notebook_of
from tests.parity.comparing import compare, differences, whole
from tests.parity.sides import Case, Seen, Sides


@pytest.mark.parametrize("case", ALONE, ids=lambda case: case.name)
def test_a_cell_tells_the_same_on_both_backends(sides: Sides, case: Case) -> None:
    compare(sides, case)


@pytest.fixture(scope="module")
def together(sides: Sides) -> tuple[Seen, Seen]:
    return sides.run(notebook_of(TOGETHER), "--json")


def test_cells_of_one_notebook_tell_the_same(together: tuple[Seen, Seen]) -> None:
    local, e2b = (whole(seen) for seen in together)
    assert local["outcome"] == "ok"
    assert set(differences(local, e2b)) <= {"~files"}  # where what two pipes say has an order


@pytest.mark.parametrize("number", range(len(TOGETHER)), ids=[case.name for case in TOGETHER])
def test_a_cell_among_others_is_written_the_same(together: tuple[Seen, Seen], number: int) -> None:
    local, e2b = (json.loads(seen.files["out.ipynb"][1])["cells"][number] for seen in together)
    assert _ordered(local) == _ordered(e2b)
    failed = any(output["output_type"] == "error" for output in local["outputs"])
    assert failed == (TOGETHER[number].ends == "error")


def _ordered(cell: dict[str, Any]) -> dict[str, Any]:
    """With each stream as one text."""
    streams: dict[str, str] = {}
    others: list[Any] = []
    for output in cell["outputs"]:
        if output["output_type"] == "stream":
            streams[output["name"]] = streams.get(output["name"], "") + "".join(output["text"])
        else:
            others.append(output)
    return {**cell, "outputs": others, "streams": streams}
