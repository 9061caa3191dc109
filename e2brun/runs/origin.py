"""Where a run came from and how it stands: what the store knows of it beside its cases."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from e2brun.runs.record import RunRecord

Kind = Literal["exec", "pipeline", "batch", "bench"]
KINDS: tuple[Kind, ...] = ("exec", "pipeline", "batch", "bench")


class State(StrEnum):
    """Whether a run is over; one whose process is gone without a word was killed."""

    RUNNING = "running"
    FINISHED = "finished"
    KILLED = "killed"
    UNKNOWN = "unknown"  # begun on another machine, or in another container


@dataclass(frozen=True, slots=True)
class Origin:
    """What asked for a run. `code_hash` (SHA-256, hexadecimal) is of all that decides what it
    does: the program's bytes, the pipeline's TOML, the batch's input."""

    kind: Kind
    command: tuple[str, ...] = ()  # as it was typed, without `e2brun`
    directory: str = ""  # where
    code_hash: str = ""

    @property
    def typed(self) -> str:
        """The command as a shell takes it; "" where it is not known."""
        return shlex.join(("e2brun", *self.command)) if self.command else ""


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run as the store has it. `record` is without its cases: they may be very many."""

    record: RunRecord
    origin: Origin
    state: State
    version: str  # of e2brun
    exit_code: int | None = None
    counts: Mapping[str, int] = field(default_factory=dict[str, int])  # cases by verdict
