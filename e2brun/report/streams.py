"""Program output on its way to a descriptor. Nothing here is buffered."""

from __future__ import annotations

import os
import stat
from contextlib import AbstractContextManager, nullcontext

from e2brun.errors import E2brunError
from e2brun.report.safe import LogFilter, TerminalFilter


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
