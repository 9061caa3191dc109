from __future__ import annotations

import pytest

from tests.parity.comparing import compare
from tests.parity.program_files import FILES
from tests.parity.programs import PROGRAMS
from tests.parity.sides import Case, Sides


@pytest.mark.parametrize("case", [*PROGRAMS, *FILES], ids=lambda case: case.name)
def test_a_program_tells_the_same_on_both_backends(sides: Sides, case: Case) -> None:
    compare(sides, case)
