from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.conftest import clean_environment
from tests.parity.primitives import PRIMITIVES
from tests.parity.sides import Sides

Told = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def told(sides: Sides) -> Told:
    """By backend, by name."""

    def run(on: str) -> Any:
        ran = subprocess.run(
            [sys.executable, "-m", "tests.parity.primitives", on],
            env=clean_environment(sides.service.environment if on == "e2b" else {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            timeout=240,
            check=True,
        )
        return json.loads(ran.stdout)

    with ThreadPoolExecutor(2) as threads:
        return dict(zip(("local", "e2b"), threads.map(run, ("local", "e2b")), strict=True))


@pytest.mark.parametrize("name", PRIMITIVES)
def test_the_primitive_gives_the_same_on_both_backends(told: Told, name: str) -> None:
    local, e2b = told["local"][name], told["e2b"][name]
    assert not isinstance(local, str), local
    assert local == e2b
