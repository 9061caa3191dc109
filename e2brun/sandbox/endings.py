"""How a run ended and what is said of it, in the same words whatever the backend."""

from __future__ import annotations

import errno
import os
import signal

from e2brun.sandbox.contract import MIB, Execution, Outcome

KILLED = "the sandbox was killed"
CPU_TIME_LIMIT = "CPU time limit"
SIGNAL_NAMES = {  # of Go's syscall package, as E2B tells them; of others it tells the number
    1: "hangup", 2: "interrupt", 3: "quit", 4: "illegal instruction",
    5: "trace/breakpoint trap", 6: "aborted", 7: "bus error", 8: "floating point exception",
    9: "killed", 10: "user defined signal 1", 11: "segmentation fault",
    12: "user defined signal 2", 13: "broken pipe", 14: "alarm clock", 15: "terminated",
}  # fmt: skip


def ended(
    code: int,
    number: int,
    *,
    elapsed: float,
    peak: int | None = None,
    completed: bool | None = None,
) -> Execution:
    """A program left with `code`, or died of signal `number` (0: it did not)."""
    outcome, detail = Outcome.ERROR, f"died of signal {number}" if number else ""
    if number == signal.SIGKILL:  # not from us: then nobody waits for its end any more
        outcome = Outcome.KILLED
    elif number == signal.SIGXCPU:
        outcome, detail = Outcome.TIMEOUT, CPU_TIME_LIMIT
    elif number == code == 0:
        outcome = Outcome.OK
    return Execution(
        outcome,
        128 + number if number else code,
        number or None,
        execution_time=elapsed,
        detail=detail,
        peak_memory=peak,
        completed=completed,
    )


def time_limit(seconds: float | None) -> str:
    return f"time limit {seconds:g} s"


def memory_limit(size: int, *, hidden: bool) -> str:
    """It wanted more than `size` bytes; `hidden`: where they are in no process's count."""
    where = ", most of it where no process shows it" if hidden else ""
    told = f"{size // MIB} MiB" if size >= MIB else f"{size} bytes"
    return f"memory limit {told}{where}"


def not_started(reason: str) -> str:
    """The program never ran: `reason` names it."""
    return f"the program could not be started: {reason}"


def not_in_place(reason: str) -> str:
    """A file that the program was to find cannot be written: `reason` names it."""
    return f"a file could not be put in place: {reason}"


def not_there(path: str) -> str:
    """Nothing of that name is in the sandbox."""
    return f"{path}: {os.strerror(errno.ENOENT)}"


def no_directory(path: str) -> str:
    """Cells were to run in a directory that is not there and cannot be made."""
    return f"{path}: no such directory in the sandbox"


def a_directory(path: str) -> str:
    """A file was meant, and there is a directory of that name."""
    return f"{path}: {os.strerror(errno.EISDIR)}"
