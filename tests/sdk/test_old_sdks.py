"""Programs pin their SDK: older ones under `serve --https`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.sdk.old_sdks import NotHere, Tried, javascript, python


@pytest.mark.slow
@pytest.mark.parametrize(
    ("work", "version"),
    [
        pytest.param(python, "1.5.2", marks=pytest.mark.in_turn(day=0)),
        pytest.param(javascript, "1.5.1", marks=pytest.mark.in_turn(day=1)),
    ],
)
def test_a_program_that_pins_an_older_sdk_runs(
    tmp_path: Path, work: Callable[[str, Path], Tried], version: str
) -> None:
    pytest.importorskip("cryptography")
    try:
        tried = work(version, tmp_path)
    except NotHere as why:
        pytest.skip(f"cannot be installed here: {why}")
    assert tried.works, tried.told
