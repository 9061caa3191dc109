"""Where output goes: sinks that may break, and the line that says a program never started."""

from __future__ import annotations

from dataclasses import dataclass

from e2brun.sandbox.contract import Sink

LONGEST_REFUSAL = 4096


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
class Sinks:
    """Both streams of one run."""

    stdout: Tap
    stderr: Tap

    @staticmethod
    def of(stdout: Sink, stderr: Sink) -> Sinks:
        return Sinks(Tap(stdout), Tap(stderr))


class Gate:
    """Passes stderr on unless it begins with `token`, which no program can know."""

    def __init__(self, token: bytes, tap: Tap) -> None:
        self._token = token
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
