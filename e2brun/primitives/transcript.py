"""What code prints, kept: each stream for itself, and the lines of both together."""

from __future__ import annotations

import threading
from typing import Literal

Stream = Literal["stdout", "stderr"]


class Transcript:
    """At most `limit` bytes of each stream (0: all); the rest is counted. For any thread."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: dict[Stream, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
        self._dropped: dict[Stream, int] = {"stdout": 0, "stderr": 0}
        self._lines: list[bytes | bytearray] = []
        self._open: dict[Stream, bytearray] = {}  # a stream's last line, until it ends
        self._lock = threading.Lock()

    def stdout(self, data: bytes) -> None:
        """A sink."""
        self._feed("stdout", data)

    def stderr(self, data: bytes) -> None:
        """A sink."""
        self._feed("stderr", data)

    def text(self, stream: Stream) -> str:
        """All that was kept, with U+FFFD for what is not UTF-8."""
        return self._kept[stream].decode("utf-8", "replace")

    def tail(self, stream: Stream, size: int) -> bytes:
        """The last bytes kept."""
        return bytes(self._kept[stream][-size:])

    def lines(self) -> list[str]:
        """Every line without its end, in the order in which they began."""
        with self._lock:
            return [line.decode("utf-8", "replace").removesuffix("\r") for line in self._lines]

    def dropped(self, stream: Stream) -> int:
        """Bytes beyond the limit."""
        return self._dropped[stream]

    def _feed(self, stream: Stream, data: bytes) -> None:
        with self._lock:
            kept = self._kept[stream]
            if self._limit:
                taken = data[: max(0, self._limit - len(kept))]
                self._dropped[stream] += len(data) - len(taken)
                data = taken
            if not data:
                return
            kept += data
            first, *others = data.split(b"\n")
            begun = self._open.pop(stream, None)
            if begun is not None:
                begun += first
            elif first or others:
                begun = bytearray(first)
                self._lines.append(begun)
            self._lines += others[:-1]
            last = begun
            if others:
                last = bytearray(others[-1]) if others[-1] else None
                if last is not None:
                    self._lines.append(last)
            if last is not None:
                self._open[stream] = last
