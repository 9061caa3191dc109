"""How a command ended, in the contract's words."""

from __future__ import annotations

import signal

from e2brun.sandbox.contract import Execution, Outcome
from e2brun.sandbox.e2b import sdk

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
    number = _signal(end.status)
    if number is None and end.exit_code >= 0:
        outcome = Outcome.OK if end.exit_code == 0 else Outcome.ERROR
        return Execution(outcome, end.exit_code, execution_time=elapsed)
    if number is None:
        return Execution(
            Outcome.INFRASTRUCTURE,
            execution_time=elapsed,
            detail="E2B did not say how the program ended",
        )
    # Nobody but us sends SIGKILL on purpose, and then the run is not waited for any more: this
    # is the kernel out of memory, or somebody else. E2B does not tell.
    killed = number == signal.SIGKILL
    return Execution(
        Outcome.KILLED if killed else Outcome.ERROR,
        128 + number,
        number,
        execution_time=elapsed,
        detail="killed from outside, often for want of memory" if killed else "",
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
