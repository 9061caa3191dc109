"""What runs of programs and of cells in an E2B sandbox have in common.

A thread reads the SDK's events into a channel; the caller's thread takes them out, under our own
clock. Every way in which a run can end is an `Execution`, once it has started.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from e2brun.errors import SandboxLost
from e2brun.sandbox import endings
from e2brun.sandbox.contract import Execution, Outcome
from e2brun.sandbox.e2b import sdk
from e2brun.sandbox.e2b.channel import Channel, call
from e2brun.sandbox.e2b.sinks import Tap
from e2brun.sandbox.e2b.translate import translate

# E2B sends a sign of life every 50 seconds to whoever asks for it, as the SDK does.
SILENCE = 150.0


T = TypeVar("T")


def attempted(operation: Callable[[], T], *, deadline: float, name: str) -> T | None:
    """Its result; None where it failed, for a reason that is no bug."""
    try:
        return call(operation, deadline=deadline, name=name)
    except Exception as error:
        if translate(error) is None:
            raise
        return None


@dataclass(frozen=True, slots=True)
class Stopped:
    """Somebody killed the sandbox from another thread."""


@dataclass
class Run:
    """One run; `stop` may be called from any thread. Events are the subclass's own, and these."""

    native: sdk.Native
    timeout: float | None
    stdout: Tap
    stderr: Tap
    secrets: tuple[str, ...]
    _events: Channel[Any] = field(default_factory=Channel[Any], init=False)
    _start: float | None = field(default=None, init=False)  # when its own time began

    def stop(self) -> None:
        self._events.push_first(Stopped())

    def _is_over_time(self) -> bool:
        if self.timeout is None or self._start is None:
            return False
        return time.monotonic() >= self._start + self.timeout

    def _lost(self, error: BaseException, *, begun: bool) -> Execution:
        """The end of a run whose events ended in an error; raises it, in our words, where it is
        a bug, or the run had not begun."""
        ours = translate(error, *self.secrets)
        if ours is None or not (begun or isinstance(ours, SandboxLost)):
            raise ours or error
        return self._finish(Outcome.LOST, str(ours))

    def _timed_out(self) -> Execution:
        return self._finish(Outcome.TIMEOUT, endings.time_limit(self.timeout))

    def _elapsed(self) -> float:
        return 0.0 if self._start is None else time.monotonic() - self._start

    def _finish(self, outcome: Outcome, detail: str) -> Execution:
        return Execution(outcome, execution_time=self._elapsed(), detail=detail)
