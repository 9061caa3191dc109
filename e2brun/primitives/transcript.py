"""What code prints, kept: each stream for itself, and the lines of both together."""

from __future__ import annotations

from e2brun.jobs.run import LogLines, OutputStream, StreamName


class Transcript:
    """At most `limit` bytes of each stream (0: all); the rest is counted. Each stream may be fed
    from a thread of its own."""

    def __init__(self, limit: int) -> None:
        self._out, self._err = (OutputStream(limit, None, keep=True) for _ in range(2))
        self._logs = LogLines(limit)

    def stdout(self, data: bytes) -> None:
        """A sink."""
        self._logs.feed("stdout", data)
        self._out(data)

    def stderr(self, data: bytes) -> None:
        """A sink."""
        self._logs.feed("stderr", data)
        self._err(data)

    def text(self, stream: StreamName) -> str:
        """All that was kept, with U+FFFD for what is not UTF-8."""
        return (self._out if stream == "stdout" else self._err).text()

    def lines(self) -> list[str]:
        """Every line without its end, in the order in which they began."""
        return self._logs.lines()

    def dropped(self, stream: StreamName) -> int:
        """Bytes beyond the limit."""
        return (self._out if stream == "stdout" else self._err).dropped
