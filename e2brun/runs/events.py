"""What a pipeline run tells while it runs: the terminal and the store subscribe."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from e2brun.runs.record import CaseRecord


class RunStarted(NamedTuple):
    """`cases` are the ids of those that are to run, in order."""

    cases: tuple[str, ...]


class CaseStarted(NamedTuple):
    """A case is under way."""

    case: str


class StepStarted(NamedTuple):
    """One of its steps began, by its name."""

    case: str
    step: str


class SandboxStarted(NamedTuple):
    """It has a sandbox."""

    case: str
    sandbox_id: str


class CaseFinished(NamedTuple):
    """It is over and in the record."""

    record: CaseRecord


class Told(NamedTuple):
    """A line for the user."""

    line: str


RunEvent = RunStarted | CaseStarted | StepStarted | SandboxStarted | CaseFinished | Told
RunSubscriber = Callable[[RunEvent], None]
