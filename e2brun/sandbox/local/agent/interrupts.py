"""SIGINT: raises in the user's code, and nowhere else."""

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


class Interrupts:
    """Holds the user's handler while our own code runs; one that came meanwhile is kept."""

    def __init__(self) -> None:
        self._theirs: Handler = signal.default_int_handler
        self._armed = False
        self._pending = False
        self._main = get_ident()
        signal.signal(signal.SIGINT, self._note)

    def _note(self, _signum: int, _frame: FrameType | None) -> None:
        self._pending = True

    def forget(self) -> None:
        """Drop what came while no cell was running."""
        self._pending = False

    def arm(self) -> None:
        """From here on SIGINT is the user's. Raises what their handler raises if one is due."""
        self._armed = True
        signal.signal(signal.SIGINT, self._theirs)
        if self._pending:
            self._pending = False
            if callable(self._theirs):
                self._theirs(signal.SIGINT, None)

    def disarm(self) -> None:
        """From here on SIGINT is noted only. May be called twice."""
        if self._armed:
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
