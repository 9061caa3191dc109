"""What steps tell while they run. Nothing here is drawn or logged: subscribers do that.

Event
├── Started · Finished · Failed · Cancelled   every step
├── Retried · FellBack · Cached               what a wrapper decided
└── Executing · SandboxReady · Executed · Noticed   code in a sandbox
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from e2brun.primitives.code import CodeOutput


@dataclass(frozen=True)
class Span:
    """One execution of one step, and where it belongs. The root has no step and no id."""

    step: str
    span_id: str
    parent_span_id: str | None
    correlation_id: str
    workflow_id: str


@dataclass(frozen=True)
class Event:
    """Something happened in a step; `time` is monotonic, in seconds."""

    span: Span
    time: float = field(default_factory=monotonic, kw_only=True)

    @property
    def step(self) -> str:
        return self.span.step

    @property
    def span_id(self) -> str:
        return self.span.span_id

    @property
    def parent_span_id(self) -> str | None:
        return self.span.parent_span_id

    @property
    def correlation_id(self) -> str:
        return self.span.correlation_id


Subscriber = Callable[[Event], None]
"""Is called in the event loop's thread, at once: it must not block. What it raises is reported
to the loop's exception handler and stops nothing."""


@dataclass(frozen=True)
class Started(Event):
    """A step began."""


@dataclass(frozen=True)
class Ended(Event):
    """A step is over; `started` is monotonic, as `time`."""

    started: float

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.time - self.started


@dataclass(frozen=True)
class Finished(Ended):
    """A step returned. Code that failed is a result as well: see `Executed`."""


@dataclass(frozen=True)
class Failed(Ended):
    """A step raised."""

    error: BaseException


@dataclass(frozen=True)
class Cancelled(Ended):
    """A step was cancelled, or given up by a time limit around it."""


@dataclass(frozen=True)
class Retried(Event):
    """An attempt failed and another will be made in `delay` seconds.

    `attempt` counts from 1 and is the one that failed; `error` is None for code that failed.
    """

    attempt: int
    max_retries: int
    delay: float
    error: Exception | None


@dataclass(frozen=True)
class FellBack(Event):
    """A step gave way to its next fallback."""

    to: str
    error: Exception | None


@dataclass(frozen=True)
class Cached(Event):
    """The output comes from the cache; nothing ran."""

    key: str


@dataclass(frozen=True)
class Executing(Event):
    """Code is about to run in a sandbox. Sizes in characters, times in seconds."""

    code_length: int
    timeout: float
    has_files: bool
    install: tuple[str, ...]
    template: str


@dataclass(frozen=True)
class SandboxReady(Event):
    """There is a sandbox for the code."""

    sandbox_id: str
    backend: str
    template: str


@dataclass(frozen=True)
class Executed(Event):
    """Code ran in a sandbox and ended, well or not."""

    result: CodeOutput


@dataclass(frozen=True)
class Noticed(Event):
    """A line for the user: which backend was chosen, what is being waited for."""

    line: str
