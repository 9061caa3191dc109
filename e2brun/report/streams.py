"""Program output on its way: limited, kept, written on. Nothing here is buffered."""

from __future__ import annotations

import codecs
import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

from e2brun.errors import E2brunError
from e2brun.report.safe import LogFilter, TerminalFilter
from e2brun.sandbox.contract import Sink


class OutputStream:
    """One output stream: at most `limit` bytes (0: no limit) go on, the rest are counted.

    They go to `forward`, and are kept for `text()` if `keep`.
    """

    def __init__(self, limit: int, forward: Sink | None, keep: bool) -> None:
        self.dropped = 0
        self.broken = False  # nobody reads `forward` any more
        self.ends_line = True  # what we say next on the same terminal begins a line of its own
        self._limit = limit
        self._passed = 0
        self._forward = forward
        self._kept = bytearray() if keep else None

    def __call__(self, data: bytes) -> None:
        """Take the next bytes. Raises BrokenPipeError as `forward` does, then and ever after."""
        self._take(data, self._kept)

    def show(self, data: bytes) -> None:
        """Write what is shown among the output but no part of it: a cell's value. Not kept."""
        self._take(data, None)

    def _take(self, data: bytes, kept: bytearray | None) -> None:
        if self._limit:
            room = self._limit - self._passed
            if len(data) > room:
                self.dropped += len(data) - room
                data = data[:room]
        if not data:
            return
        self._passed += len(data)
        self.ends_line = data.endswith(b"\n")
        if kept is not None:
            kept += data
        if self._forward is not None:
            self._hand_on(self._forward, data)

    def _hand_on(self, forward: Sink, data: bytes) -> None:
        if self.broken:
            raise BrokenPipeError
        try:
            forward(data)
        except BrokenPipeError:
            self.broken = True
            raise

    def text(self) -> str:
        """What was kept, as UTF-8 with U+FFFD for what is not; no half character at a cut."""
        kept = bytes(self._kept or b"")
        return codecs.utf_8_decode(kept, "replace", not self.dropped)[0]


class LogLines:
    """The lines of both streams in the order in which they began; `limit` bytes of each.

    A line that is continued after the other stream spoke stays one line, where it began.
    It may be fed from two threads.
    """

    def __init__(self, limit: int) -> None:
        from array import array
        from threading import Lock

        # All bytes in order of arrival, and where the speaker changes: 8 bytes for each change,
        # however finely a hostile program interleaves its streams.
        self._data = bytearray()
        self._turns = array("Q")
        self._lock = Lock()
        self._limit = limit
        self._taken = [0, 0]

    def feed(self, stream: Literal["stdout", "stderr"], data: bytes) -> None:
        """The next bytes of one of the streams."""
        index = int(stream == "stderr")
        with self._lock:
            if self._limit:
                data = data[: self._limit - self._taken[index]]
            if not data:
                return
            self._taken[index] += len(data)
            if len(self._turns) % 2 != index:
                self._turns.append(len(self._data))
            self._data += data

    def lines(self) -> list[str]:
        """Every line without its end; a last one without an end counts."""
        with self._lock:
            begun: list[bytes | bytearray] = []
            unfinished: list[bytearray | None] = [None, None]
            for stream, said in self._said():
                pieces = said.split(b"\n")
                line = unfinished[stream]
                if line is not None:
                    line += pieces[0]
                    if len(pieces) == 1:
                        continue
                    del pieces[0]
                begun += pieces[:-1]
                unfinished[stream] = bytearray(pieces[-1]) if pieces[-1] else None
                begun += [tail for tail in (unfinished[stream],) if tail is not None]
            return [line.decode("utf-8", "replace").removesuffix("\r") for line in begun]

    def _said(self) -> Iterator[tuple[int, bytes]]:
        start = 0
        for turn, end in enumerate((*self._turns, len(self._data))):
            if end > start:
                yield turn % 2, bytes(self._data[start:end])
            start = end


class FdWriter:
    """A sink that writes to a descriptor at once and whole, through the filters it is given."""

    def __init__(
        self,
        fd: int,
        terminal: TerminalFilter | None = None,
        log: LogFilter | None = None,
        lock: AbstractContextManager[object] | None = None,
    ) -> None:
        self.fd = fd
        self.log = log
        self.lock = lock or nullcontext()
        self._terminal = terminal

    def __call__(self, data: bytes) -> None:
        """Write. Raises BrokenPipeError when nobody reads, E2brunError when it cannot be done."""
        if self._terminal is not None:
            data = self._terminal.feed(data)
        self._send(data)

    def finish(self) -> None:
        """Write what a filter held back: call it once, after the last bytes."""
        if self._terminal is not None:
            self._send(self._terminal.finish())

    def _send(self, data: bytes) -> None:
        with self.lock:
            if self.log is not None:
                data = self.log.feed(data)
            self._write(data)

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self.fd, rest) :]
            except BlockingIOError:  # whoever shares the terminal or pipe made it non-blocking
                self._wait()
            except BrokenPipeError:
                raise
            except OSError as error:
                raise self._failed(error) from error

    def _wait(self) -> None:
        import select

        poll = select.poll()
        poll.register(self.fd, select.POLLOUT)
        poll.poll()

    def _failed(self, error: OSError) -> Exception:
        import errno

        if error.errno == errno.EIO:  # the terminal is gone
            return BrokenPipeError(error.errno, error.strerror)
        name = {1: "standard output", 2: "standard error"}.get(self.fd, f"descriptor {self.fd}")
        return E2brunError(f"cannot write to {name}: {error.strerror}")


def writer_for(
    fd: int, *, is_terminal: bool, in_log: bool, beside: FdWriter | None = None
) -> FdWriter:
    """What program output goes through on its way to `fd`: nothing at all for a pipe, unless it
    ends `in_log`, in that of a CI job. A regular file is no log: it gets the program's bytes.

    `beside` is the writer of the other stream. Where both lead to the same file (`2>&1`), they
    share one log filter: else half a command on each would make a whole one behind us.
    """
    terminal = TerminalFilter() if is_terminal else None
    if not in_log or _is_regular(fd):
        return FdWriter(fd, terminal)
    if beside is None or beside.log is None or not same_file(fd, beside.fd):
        return FdWriter(fd, terminal, LogFilter())
    from threading import Lock

    beside.lock = Lock()  # a backend may pump the two streams from two threads
    return FdWriter(fd, terminal, beside.log, beside.lock)


def _is_regular(fd: int) -> bool:
    try:
        return stat.S_ISREG(os.fstat(fd).st_mode)
    except OSError:  # closed: writing says so
        return False


def same_file(one: int, other: int) -> bool:
    """Whether both descriptors lead to the same file, terminal or pipe."""
    try:
        return os.path.sameopenfile(one, other)
    except OSError:  # one is closed
        return False
