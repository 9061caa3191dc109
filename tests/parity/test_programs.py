from __future__ import annotations

import shutil

import pytest

from tests.parity.comparing import compare
from tests.parity.program_files import FILES
from tests.parity.programs import PROGRAMS, TAKING_TURNS
from tests.parity.sides import Case, Sides


@pytest.mark.parametrize("case", [*PROGRAMS, *FILES], ids=lambda case: case.name)
def test_a_program_tells_the_same_on_both_backends(sides: Sides, case: Case) -> None:
    if case.argv and case.argv[0].endswith(".js") and shutil.which("node") is None:
        pytest.skip("node is not installed")
    compare(sides, case)


def test_lines_of_both_streams_come_in_their_order_on_both_backends(sides: Sides) -> None:
    local, e2b = compare(sides, TAKING_TURNS)
    assert local.document["logs"] == e2b.document["logs"] == ["0", "0", "1", "1", "2", "2"]
