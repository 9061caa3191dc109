"""Signals: what their handlers raise, they raise in the user's code and nowhere else."""

from __future__ import annotations

import builtins
from _thread import get_ident

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

    Handler = Callable[[int, FrameType | None], Any] | int | None
else:
    import _signal as signal  # the same functions without 3 ms of enum

globals()["__builtins__"] = dict(vars(builtins))  # ours work on whatever a cell does to its own


# A timer's handler that raises must not tear a frame, nor the loop that waits for cells.
WITH_HANDLERS = frozenset(
    {
        signal.SIGALRM,
        signal.SIGCHLD,
        signal.SIGHUP,
        signal.SIGPROF,
        signal.SIGUSR1,
        signal.SIGUSR2,
        signal.SIGVTALRM,
    }
)


class Interrupts:
    """Holds the user's handler while our own code runs; one that came meanwhile is kept."""

    def __init__(self) -> None:
        self._theirs: Handler = signal.default_int_handler
        self._armed = False
        self._pending = False
        self._main = get_ident()
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, WITH_HANDLERS)
        signal.signal(signal.SIGINT, self._note)

    def _note(self, _signum: int, _frame: FrameType | None) -> None:
        self._pending = True

    def forget(self) -> None:
        """Drop what came while no cell was running."""
        self._pending = False

    def arm(self) -> None:
        """From here on signals are the user's. Raises what their handlers raise if one is due."""
        self._armed = True
        signal.signal(signal.SIGINT, self._theirs)
        try:
            if self._pending and callable(self._theirs):
                self._theirs(signal.SIGINT, None)
        finally:
            self._pending = False
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)

    def disarm(self) -> None:
        """From here on SIGINT is noted only, the others wait. May be called twice."""
        if self._armed:
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, WITH_HANDLERS)
            if not mask >= WITH_HANDLERS:  # else the last call raised after it had blocked them
                self._mask = mask
            theirs = signal.signal(signal.SIGINT, self._note)
            self._armed = False
            if theirs is not None:
                self._theirs = theirs

    def hold(self) -> bool:
        """Disarm if a cell of this thread is running; tells whether to `arm` afterwards."""
        # Only the main thread ever sees KeyboardInterrupt, and only it may set handlers.
        held = self._armed and get_ident() == self._main
        if held:
            self.disarm()
        return held
