"""What `e2brun doctor` looks at: each thing that running code needs, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from e2brun.settings import Settings


class Status(StrEnum):
    """How a check went; only what keeps code from running is a failure."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at. `proves`: it is ok, and so code can run."""

    name: str
    status: Status
    found: str
    remedy: str = ""
    proves: bool = False


def examine(settings: Settings) -> Iterator[Check]:
    """Every check, in the order they are told, as each is done. Takes seconds; never raises."""
    from e2brun.sandbox import endpoint
    from e2brun.sandbox.local import health

    yield from health.examine(settings)
    yield from endpoint.examine(settings)
    yield health.proof(settings)
