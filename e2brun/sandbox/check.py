"""One thing that running code needs, looked at: how it stands, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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
