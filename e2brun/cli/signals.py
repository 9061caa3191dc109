"""Around every command: signals become exceptions, our failures one line and a code; and how a
command speaks: its results on stdout, all else on stderr."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import FrameType

from e2brun.errors import E2brunError, UsageError

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_TIDYING_SECONDS = 5.0


class Interrupted(BaseException):
    """A signal asked us to end. Every `finally` on the way out still runs."""

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.number = number


def guarded(command: Callable[[], int]) -> int:
    """The exit code of `command`, which may raise E2brunError or be interrupted."""
    _take_standard_descriptors()
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
    notice(str(error))
    if error.hint:
        say(error.hint, indent="  ")


def notice(line: str) -> None:
    say(f"e2brun: {line}")


def say(text: str, *, indent: str = "") -> None:
    """One line of ours on stderr, where there is one; the exit code says it anyway."""
    from e2brun.report.safe import encodable, one_line

    line = encodable(indent + one_line(text, 4000), sys.stderr)
    with suppress(OSError):
        print(line, file=sys.stderr, flush=True)


def write_line(line: str) -> None:
    """A result on stdout, whoever reads it; a reader that is gone is no failure."""
    from e2brun.report.streams import FdWriter

    with suppress(BrokenPipeError):
        FdWriter(1)(line.encode("utf-8", "backslashreplace") + b"\n")


def write_new(file: str, lines: Iterable[str]) -> None:
    """A result in a file of its own, which is not there yet. Raises E2brunError."""
    try:
        with open(file, "x", encoding="utf-8") as out:
            out.writelines(f"{line}\n" for line in lines)
    except FileExistsError as error:
        raise UsageError(f"{file} is there already and is not overwritten") from error
    except OSError as error:
        raise E2brunError(f"{file}: {error.strerror}") from error


def print_success(**values: object) -> None:
    """The document of a command that did what it was asked."""
    print_document({"schema": 1, "success": True, "error": None, **values})


def print_document(document: object) -> None:
    from e2brun.report.safe import ascii_json

    write_line(ascii_json(document))


def _take_standard_descriptors() -> None:
    """Started with `<&-` or `>&-`, the next pipe of ours would be 0 or 1. Opened the wrong way
    round, as libc does for set-id programs, they still refuse what they refused while closed.
    Python has None for them; what is said to nobody on stderr is no failure."""
    for descriptor, mode in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_RDONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open("/dev/null", mode)  # the lowest one that is free
            if descriptor == 0:
                sys.stdin = os.fdopen(0, closefd=False)
            elif descriptor == 1:
                sys.stdout = os.fdopen(1, "w", closefd=False)
            else:
                sys.stderr = open("/dev/null", "w", encoding="utf-8")  # noqa: SIM115 - as the others


def _interrupt(number: int, _frame: FrameType | None) -> None:
    # Once is enough: what follows is tidying up, which a second Ctrl-C must not cut short.
    for ending in _ENDING:
        signal.signal(ending, signal.SIG_IGN)

    leave_soon(number, _TIDYING_SECONDS)
    raise Interrupted(number)


def leave_soon(number: int, seconds: float) -> None:
    """Should a library swallow the exception, or tidying hang, we end all the same: local sandboxes
    die with this process, and the guardian sees to those in the cloud."""
    signal.signal(signal.SIGALRM, lambda _number, _frame: os._exit(128 + number))
    signal.setitimer(signal.ITIMER_REAL, seconds)
