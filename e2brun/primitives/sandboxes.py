"""Where executions get their sandboxes, and the life of one sandbox in one thread."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Generic, TypeVar

from e2brun.errors import E2brunError, SandboxLost
from e2brun.sandbox.contract import Backend, Sandbox, SandboxSpec

if TYPE_CHECKING:
    from e2brun.settings import Settings

T = TypeVar("T")

_lock = threading.Lock()
_shared: dict[tuple[int, Settings], Backend] = {}


def _nobody(_: str) -> None:
    """Nobody is listening."""


# A backend is shared, but what it says is for the execution that asked it: a thread has its own.
_listener: ContextVar[Callable[[str], None]] = ContextVar("listener", default=_nobody)


def _tell_listener(line: str) -> None:
    _listener.get()(line)


def shared_backend(settings: Settings) -> Backend:
    """The process's one backend for these settings, opened when first asked for.

    It stays open until `close_backends`, or until Python exits.
    """
    from e2brun.sandbox.select import choose

    key = (os.getpid(), settings)  # what a fork inherits is its parent's to use and to close
    with _lock:
        backend = _shared.get(key)
        if backend is None:
            if not _shared:
                atexit.register(close_backends)
            backend = _shared[key] = choose(
                settings, run_id=os.urandom(8).hex(), notice=_tell_listener, many=True
            )
    return backend


def close_backends() -> None:
    """Close every shared backend, and with it every sandbox that is left. Never raises."""
    with _lock:
        ours = [key for key in _shared if key[0] == os.getpid()]
        backends = [_shared.pop(key) for key in ours]
    for backend in backends:
        backend.close()


class SandboxLease(Generic[T]):
    """One sandbox from its creation to its end, used by `use`; `run` blocks.

    `stop`, from any thread and at any moment, ends it; a sandbox still being created is ended
    when it is there.
    """

    def __init__(
        self,
        backend: Callable[[], Backend],
        spec: Callable[[], SandboxSpec],
        use: Callable[[Sandbox], T],
        notice: Callable[[str], None],
    ) -> None:
        self._backend, self._spec, self._use, self._notice = backend, spec, use, notice
        self._lock = threading.Lock()
        self._sandbox: Sandbox | None = None
        self._stopped = False

    def run(self) -> T:
        """What `use` returns. Raises E2brunError, with the sandbox's id in a note."""
        _listener.set(self._notice)
        sandbox = self._backend().create(self._spec())
        with self._lock:
            self._sandbox = sandbox
            stopped = self._stopped
        try:
            if stopped:
                raise SandboxLost("it was stopped before it was used")
            return self._use(sandbox)
        except E2brunError as error:
            error.add_note(f"sandbox {sandbox.id}")
            raise
        finally:
            sandbox.kill()

    def stop(self) -> None:
        """End it."""
        with self._lock:
            self._stopped = True
            sandbox = self._sandbox
        if sandbox is not None:
            sandbox.kill()
