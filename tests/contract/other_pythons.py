"""The Pythons of this machine beside the one that runs us."""

from __future__ import annotations

from contextlib import suppress

import pytest

from e2brun.errors import UsageError
from e2brun.sandbox.local.interpreter import current_interpreter
from e2brun.sandbox.local.pythons import find_interpreter


def other_pythons() -> list[str]:
    """Their versions, `3.8` first; the test that asks is skipped where there is none."""
    found: list[str] = []
    for version in (f"3.{minor}" for minor in range(8, 20)):
        with suppress(UsageError):
            if find_interpreter(version) != current_interpreter():
                found.append(version)
    if not found:
        pytest.skip("this machine has no other Python")
    return found
