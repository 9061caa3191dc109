"""Around every command: signals become exceptions, our failures become one line and a code."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from types import FrameType

from e2brun.errors import E2brunError

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """A signal asked us to end. Every `finally` on the way out still runs."""

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.number = number


def guarded(command: Callable[[], int]) -> int:
    """The exit code of `command`, which may raise E2brunError or be interrupted."""
    for number in _ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup means it
            signal.signal(number, _interrupt)
    try:
        return command()
    except E2brunError as error:
        complain(error)
        return error.exit_code
    except Interrupted as interrupted:
        return 128 + interrupted.number


def complain(error: E2brunError) -> None:
    """One line on stderr: what is wrong, and what to do about it."""
    from e2brun.report.safe import one_line

    print(f"e2brun: {one_line(str(error), 2000)}", file=sys.stderr)  # noqa: T201
    if error.hint:
        print(f"  {one_line(error.hint, 2000)}", file=sys.stderr)  # noqa: T201


def _interrupt(number: int, _frame: FrameType | None) -> None:
    # Once is enough: what follows is tidying up, which a second Ctrl-C must not cut short.
    for ending in _ENDING:
        signal.signal(ending, signal.SIG_IGN)
    raise Interrupted(number)
