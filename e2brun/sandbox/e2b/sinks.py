"""Where output goes: sinks that may break, and the line that says a program never started."""

from __future__ import annotations

import os
from dataclasses import dataclass

from e2brun.sandbox.contract import Sink

LONGEST_REFUSAL = 4096
LONGEST_NUMBERS = 40


class Tap:
    """A sink that is not called again once it raised BrokenPipeError."""

    def __init__(self, sink: Sink) -> None:
        self._sink: Sink | None = sink

    def write(self, data: bytes) -> None:
        if self._sink is None or not data:
            return
        try:
            self._sink(data)
        except BrokenPipeError:
            self._sink = None


@dataclass(frozen=True, slots=True)
class Left:
    """How the program itself ended: its wait status, the bytes of its largest process, and
    whether its code ran to its end."""

    status: int
    peak: int
    completed: bool | None = None


class Ending:
    """Passes a stream on until the launcher's word that the program has ended; what its children
    say after that is not the program's."""

    def __init__(self, mark: bytes, sink: Sink) -> None:
        self._mark, self._sink = mark + b"=", sink
        self._held = b""
        self.left: Left | None = None

    def write(self, data: bytes) -> None:
        if self.left is not None:
            return
        held = self._held + data
        at = held.find(self._mark)
        if at < 0:
            at = _beginning(held, self._mark)
        self._sink(held[:at])
        self._held = held[at:]
        said, complete, _ = self._held[len(self._mark) :].partition(b";")
        if complete or len(said) > LONGEST_NUMBERS:
            self._read(said)

    def flush(self) -> None:
        """There is no more: what looked like a beginning was none."""
        held, self._held = self._held, b""
        self._sink(held)

    def _read(self, said: bytes) -> None:
        words = said.split(b" ")
        if len(said) <= LONGEST_NUMBERS and len(words) == 3 and all(map(bytes.isdigit, words)):
            status, kilobytes, completed = map(int, words)
            if os.WIFEXITED(status) or os.WIFSIGNALED(status):
                told = {0: False, 1: True}.get(completed)
                self.left, self._held = Left(status, kilobytes * 1024, told), b""
                return
        self.flush()  # the program has found out the mark, and plays with it


def _beginning(held: bytes, mark: bytes) -> int:
    """Where a beginning of `mark` stands at the very end of `held`; its length for nowhere."""
    at = held.rfind(mark[:1], max(0, len(held) - len(mark)))
    return at if at >= 0 and mark.startswith(held[at:]) else len(held)


class Gate:
    """Passes stderr on unless it begins with `mark` and `!`, which no program can know."""

    def __init__(self, mark: bytes, tap: Tap) -> None:
        self._token = mark + b"!"
        self._tap = tap
        self._held = b""
        self._open = False

    def write(self, data: bytes) -> None:
        if self._open:
            self._tap.write(data)
            return
        self._held += data
        if self._held.startswith(self._token):
            self._held = self._held[:LONGEST_REFUSAL]
        elif not self._token.startswith(self._held):
            self.flush()

    def flush(self) -> bytes | None:
        """What follows the token, when the program was refused; else lets held output go."""
        if not self._open and self._held.startswith(self._token):
            return self._held.removeprefix(self._token)
        held, self._held, self._open = self._held, b"", True
        self._tap.write(held)
        return None


def tail(into: bytearray, limit: int) -> Sink:
    """A sink that keeps the last `limit` bytes."""

    def sink(data: bytes) -> None:
        into.extend(data)
        del into[: max(0, len(into) - limit)]

    return sink
