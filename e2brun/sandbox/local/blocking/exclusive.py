"""One thing at a time in a sandbox, and its tidying up when nothing is under way any more.

`kill` comes from any thread, at any moment. It must not close a descriptor that another thread
is polling: the kernel may give its number to another sandbox at once.
"""

from __future__ import annotations

from _thread import allocate_lock, get_ident
from collections.abc import Callable, Generator
from contextlib import contextmanager

from e2brun.errors import SandboxError, SandboxLost
from e2brun.sandbox import endings


class Exclusive:
    """Hands out turns until `end`; `tidy` is called once, when the last turn is over."""

    def __init__(self, tidy: Callable[[], None]) -> None:
        self._tidy = tidy
        self._lock = allocate_lock()
        self._owner = 0
        self._over = self._tidied = False

    @contextmanager
    def turn(self) -> Generator[None]:
        """Wait for the turn and have it. Raises SandboxLost after the end, SandboxError when
        this thread has it already (an unfinished `read_file`)."""
        if self._owner == get_ident():
            raise SandboxError("the sandbox is still busy: finish reading the file first")
        self._lock.acquire()
        self._owner = get_ident()
        try:
            if self._over:
                raise SandboxLost(endings.KILLED)
            yield
        finally:
            self._owner = 0
            self._lock.release()
            if self._over:
                self._close()

    def end(self) -> None:
        """No more turns. Whoever has one is not waited for: it tidies up when it is through."""
        self._over = True
        self._close()

    def _close(self) -> None:
        if not self._lock.acquire(blocking=False):
            return
        try:
            if not self._tidied:
                self._tidied = True
                self._tidy()
        finally:
            self._lock.release()
