"""Where executions get their sandboxes."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING

from e2brun.sandbox.contract import Backend

if TYPE_CHECKING:
    from e2brun.settings import Settings

_lock = threading.Lock()
_shared: dict[tuple[int, Settings], Backend] = {}


# A backend is shared, but what it says is for the execution that asked it: a thread has its own.
listener: ContextVar[Callable[[str], None]] = ContextVar("listener", default=lambda _: None)


def _tell_listener(line: str) -> None:
    listener.get()(line)


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
