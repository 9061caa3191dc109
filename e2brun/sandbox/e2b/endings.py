"""How a command ended, in the contract's words."""

from __future__ import annotations

import os
import signal

from e2brun.sandbox import endings
from e2brun.sandbox.contract import Execution, Outcome
from e2brun.sandbox.e2b import sdk
from e2brun.sandbox.e2b.sinks import Left

# E2B names a signal as Go's syscall package does, after "signal: ".
SIGNALS = {
    "hangup": signal.SIGHUP,
    "interrupt": signal.SIGINT,
    "quit": signal.SIGQUIT,
    "illegal instruction": signal.SIGILL,
    "trace/breakpoint trap": signal.SIGTRAP,
    "aborted": signal.SIGABRT,
    "bus error": signal.SIGBUS,
    "floating point exception": signal.SIGFPE,
    "killed": signal.SIGKILL,
    "user defined signal 1": signal.SIGUSR1,
    "segmentation fault": signal.SIGSEGV,
    "user defined signal 2": signal.SIGUSR2,
    "broken pipe": signal.SIGPIPE,
    "alarm clock": signal.SIGALRM,
    "terminated": signal.SIGTERM,
    "stack fault": signal.SIGSTKFLT,
    "CPU time limit exceeded": signal.SIGXCPU,
    "file size limit exceeded": signal.SIGXFSZ,
    "virtual timer expired": signal.SIGVTALRM,
    "profiling timer expired": signal.SIGPROF,
    "I/O possible": signal.SIGIO,
    "power failure": signal.SIGPWR,
    "bad system call": signal.SIGSYS,
}


def ending(end: sdk.Ended, elapsed: float) -> Execution:
    """As E2B tells it: of a program that no launcher of ours was the parent of."""
    number = _signal(end.status)
    if number is None and end.exit_code < 0:
        return Execution(
            Outcome.INFRASTRUCTURE,
            execution_time=elapsed,
            detail="E2B did not say how the program ended",
        )
    return endings.ended(end.exit_code, number or 0, elapsed=elapsed)


def told(left: Left, elapsed: float) -> Execution:
    """As the launcher tells it."""
    code = os.waitstatus_to_exitcode(left.status)
    return endings.ended(
        max(code, 0),
        max(-code, 0),
        elapsed=elapsed,
        peak=left.peak or None,
        completed=left.completed,
    )


def _signal(status: str) -> int | None:
    if not status.startswith("signal: "):
        return None
    name = status.removeprefix("signal: ").removesuffix(" (core dumped)")
    known = SIGNALS.get(name)
    if known is not None:
        return int(known)
    number = name.removeprefix("signal ")  # Go's word for one without a name
    return int(number) if number.isascii() and number.isdecimal() and len(number) < 4 else None
