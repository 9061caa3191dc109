from __future__ import annotations

import shutil

import pytest

from tests.parity.comparing import compare
from tests.parity.notebooks import NOTEBOOKS
from tests.parity.sides import Case, Sides


@pytest.mark.parametrize("case", NOTEBOOKS, ids=lambda case: case.name)
def test_a_notebook_tells_the_same_and_is_written_the_same(sides: Sides, case: Case) -> None:
    if case.name.startswith("javascript") and shutil.which("node") is None:
        pytest.skip("node is not installed")
    local, _ = compare(sides, case)
    assert "out.ipynb" in local.files
