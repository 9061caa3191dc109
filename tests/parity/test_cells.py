from __future__ import annotations

import pytest

from tests.parity.cells import ALONE
from tests.parity.comparing import compare
from tests.parity.sides import Case, Sides


@pytest.mark.parametrize("case", ALONE, ids=lambda case: case.name)
def test_a_cell_tells_the_same_on_both_backends(sides: Sides, case: Case) -> None:
    compare(sides, case)
