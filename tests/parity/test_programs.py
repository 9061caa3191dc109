from __future__ import annotations

import shutil

import pytest

from tests.parity.comparing import compare, differences, whole
from tests.parity.program_files import FILES
from tests.parity.programs import PROGRAMS, TAKING_TURNS, program
from tests.parity.sides import Case, Sides


@pytest.mark.parametrize("case", [*PROGRAMS, *FILES], ids=lambda case: case.name)
def test_a_program_tells_the_same_on_both_backends(sides: Sides, case: Case) -> None:
    if case.argv and case.argv[0].endswith(".js") and shutil.which("node") is None:
        pytest.skip("node is not installed")
    compare(sides, case)


def test_lines_of_both_streams_come_in_their_order_on_both_backends(sides: Sides) -> None:
    local, e2b = compare(sides, TAKING_TURNS)
    assert local.document["logs"] == e2b.document["logs"] == ["0", "0", "1", "1", "2", "2"]


@pytest.mark.in_turn(day=0)  # twelve Pythons are looked for
def test_the_python_a_script_requires_is_looked_at_on_both_backends(sides: Sides) -> None:
    code = "# /// script\n# requires-python = '>=3.99'\n# ///\nprint('ran')"
    local, e2b = sides.run(program("another Python", code), "--json")
    assert "requires Python >=3.99" in local.document["error"]["value"]
    assert local.code == 2
    assert [*differences(whole(local), whole(e2b))] == ["template"]  # here none was started
