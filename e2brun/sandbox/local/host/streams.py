"""The host's ends of a program's pipes: what it prints comes out, what it is to read goes in."""

from __future__ import annotations

import fcntl
import os
import select
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress

from e2brun.errors import SandboxLost
from e2brun.sandbox.contract import Sink
from e2brun.sandbox.local.agent.descriptors import ready

_PIECE = 256 * 1024
PIPE_SIZE = 1024 * 1024  # the most an ordinary user may have (fs.pipe-max-size)
_FIONREAD = 0x541B
_SILENCE_SECONDS = 30.0  # a pipe on which nothing moves for so long is dead


class StoodStill(SandboxLost):
    """Whoever has the other end of a pipe inside neither reads nor writes."""


def pipe() -> tuple[int, int]:
    """(read, write) of a close-on-exec pipe, as large as the kernel lets us."""
    read, write = os.pipe2(os.O_CLOEXEC)
    os.fchmod(read, 0o666)  # /dev/stdin is opened by name, inside, where it is not root's user
    with suppress(OSError):  # over the user's share of pipe memory: a small one does as well
        fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
    return read, write


def in_pipe(descriptor: int) -> int:
    """How many bytes are in a pipe, or of events in inotify(7), now."""
    found: int = struct.unpack("i", fcntl.ioctl(descriptor, _FIONREAD, b"\0" * 4))[0]
    return found


def of_packets(write: int) -> int:
    """Another descriptor of a pipe: what is written to it at once is read as one piece."""
    packets = os.open(f"/proc/self/fd/{write}", os.O_WRONLY | os.O_CLOEXEC)
    fcntl.fcntl(packets, fcntl.F_SETFL, os.O_WRONLY | os.O_DIRECT)
    return packets


def pieces(read: int) -> Iterator[bytes]:
    """What comes out of a pipe, until its end. Raises StoodStill."""
    while True:
        _until_ready(read, select.POLLIN)
        piece = os.read(read, PIPE_SIZE)
        if not piece:
            return
        yield piece


def pour(source: bytes | int, write: int) -> None:
    """Write all of it, or of a file that is open, to a pipe. Raises BrokenPipeError, StoodStill."""
    os.set_blocking(write, False)
    rest, moved = memoryview(source if isinstance(source, bytes) else b""), 1
    while rest or (isinstance(source, int) and moved):
        _until_ready(write, select.POLLOUT)
        with suppress(BlockingIOError):  # room for less than a page is not worth the kernel's while
            if isinstance(source, int):
                moved = os.sendfile(write, source, None, PIPE_SIZE)
            else:
                rest = rest[os.write(write, rest) :]


def _until_ready(descriptor: int, events: int) -> None:
    if not ready(descriptor, _SILENCE_SECONDS, events):
        raise StoodStill(f"a file transfer stood still for {_SILENCE_SECONDS:g} s")


class Outlet:
    """The reading end of a program's stdout or stderr, and where its bytes go."""

    def __init__(self, sink: Sink) -> None:
        self.read, self.write = pipe()
        os.set_blocking(self.read, False)
        self.open = True
        self.first: Sequence[Outlet] = ()  # what they hold was written before what this one does
        self._sink = sink

    def pump(self) -> int:
        """Pass on one piece; the bytes it had, 0 when there is nothing now or ever."""
        piece_size = _PIECE
        if self.first:
            piece_size = min(in_pipe(self.read), _PIECE) or _PIECE
            for other in self.first:
                other.drain()
        try:
            piece = os.read(self.read, piece_size)
        except BlockingIOError:
            return 0
        if not piece:
            self.close()
            return 0
        try:
            self._sink(piece)
        except BrokenPipeError:
            self.close()  # whoever reads us has gone: the program is to see it, too
        return len(piece)

    def drain(self) -> None:
        """Pass on what is in the pipe now, and no more: a survivor may write for ever."""
        if not self.open:
            return
        waiting = in_pipe(self.read)
        while self.open and waiting > 0:
            passed = self.pump()
            if not passed:
                return
            waiting -= passed

    def give_away(self) -> None:
        """Close our copy of the writing end: the program has its own."""
        os.close(self.write)

    def redirect(self, sink: Sink) -> None:
        self._sink = sink

    def close(self) -> None:
        """Stop reading; the program then sees a closed pipe."""
        if self.open:
            self.open = False
            os.close(self.read)


class Inlet:
    """The writing end of a program's stdin, and where its bytes come from. With `into`, bytes for a
    pipe that others own, and that stays open when they are through."""

    def __init__(self, source: bytes | int | None, *, into: int | None = None) -> None:
        self._buffer = memoryview(source if isinstance(source, bytes) else b"")
        self._source = source if isinstance(source, int) else None
        self._borrowed = into is not None
        if into is not None:
            self.read, self._write = -1, into
        elif source is None:
            self.read, self._write = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), -1
        else:
            self.read, self._write = pipe()
            os.set_blocking(self._write, False)

    @property
    def waits_for(self) -> tuple[int, bool] | None:
        """(descriptor, whether to wait for writing): what must be ready for `pump`."""
        if self._write < 0:
            return None
        if self._buffer or self._source is None:
            return self._write, True
        return self._source, False

    def pump(self) -> None:
        """Move one piece; at the end of the source, close."""
        try:
            if not self._buffer and self._source is not None:
                self._buffer = memoryview(os.read(self._source, 65536))
            if self._buffer:
                self._buffer = self._buffer[os.write(self._write, self._buffer) :]
                return
        except BlockingIOError:
            return
        except OSError:
            pass  # our stdin is closed, or the program no longer reads: either way, the end
        self.close()

    def give_away(self) -> None:
        """Close our copy of the reading end: the program has its own."""
        os.close(self.read)

    def close(self) -> None:
        """The program sees the end of its input."""
        if self._write >= 0:
            if not self._borrowed:
                os.close(self._write)
            self._write = -1
