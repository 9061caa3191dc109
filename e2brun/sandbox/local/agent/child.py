"""What a process of the agent takes off and puts on before others are served or run in it: signals,
descriptors, limits, filters."""

from __future__ import annotations

import errno
import os
import resource

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable, Iterable
    from typing import Any
else:
    import _signal  # the C module: `signal` would import enum, 3 ms and more

_filters: dict[bytes, tuple[Callable[..., int], int, Any]] = {}  # and what has to stay for it


def prctl(*arguments: int) -> None:
    """prctl(2). Raises OSError, whatever the reason."""
    words = (*arguments, 0, 0, 0, 0)[:5]
    try:
        import _ctypes

        this = _ctypes.dlopen(None, 0)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
        result = _ctypes.call_function(_ctypes.dlsym(this, "prctl"), words)
    except (ImportError, AttributeError):
        import ctypes

        result = ctypes.CDLL(None).prctl(*map(ctypes.c_ulong, words))
    if result != 0:
        raise OSError(errno.EPERM, f"prctl {arguments[0]} failed")


def confine(program: bytes) -> None:
    """For good, for this process and what it starts: as many open files as `limit` said, and a
    seccomp filter; b'': none is due."""
    open_files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_files, open_files))
    if program:
        call, fprog = ready_filter(program)
        set_seccomp, filter_mode = 22, 2
        if call(set_seccomp, filter_mode, fprog, 0, 0) != 0:
            raise OSError(errno.EPERM, "seccomp failed")


def ready_filter(program: bytes) -> tuple[Callable[..., int], int]:
    """prctl(2), and the address of a struct sock_fprog. Made once, before the forks that want it:
    ctypes makes types for it, which is most of the work."""
    if program not in _filters:
        import ctypes

        # Not through _ctypes: it passes ints, and an address needs 64 bits.
        call = ctypes.CDLL(None).prctl
        call.argtypes = (ctypes.c_int, *(ctypes.c_ulong,) * 4)
        code = ctypes.create_string_buffer(program, len(program))
        fprog = (ctypes.c_uint64 * 2)(len(program) // 8, ctypes.addressof(code))
        _filters[program] = call, ctypes.addressof(fprog), (code, fprog)
    return _filters[program][:2]


class CommandLine:
    """The one that this process was started with, where others see it."""

    def __init__(self) -> None:
        import ctypes  # not by every pid 1, and not once a program's own modules are in place

        self._move = ctypes.memmove
        with open("/proc/self/stat", "rb") as file:
            fields = file.read().rpartition(b") ")[2].split()
        self._start, end = int(fields[45]), int(fields[46])  # proc(5): arg_start, arg_end
        self._room = max(0, end - self._start)

    def rewrite(self, words: Iterable[str]) -> None:
        """Let it be another, as far as there is room, as setproctitle(3) does."""
        text = b"".join(os.fsencode(word) + b"\0" for word in words)[: self._room]
        if self._start:
            self._move(self._start, text.ljust(self._room, b"\0"), self._room)


def limit(limits: dict[str, int]) -> None:
    """Set hard limits by their names (RLIMIT_...), none above what there is; that of open files is
    hard once `confine` is called. Raises OSError."""
    for name, value in limits.items():
        number = getattr(resource, name)
        _, hard = resource.getrlimit(number)
        allowed = value if hard == resource.RLIM_INFINITY else min(value, hard)
        kept = hard if number == resource.RLIMIT_NOFILE else allowed  # see `descriptors.hand_over`
        resource.setrlimit(number, (allowed, kept))


def detach(descriptors: list[int], report: int, leads: bool) -> int:
    """In a forked child: a session of its own if it `leads` one, default signals, and no descriptor
    but these as 0, 1, 2, ... and `report`, whose new number is returned."""
    if leads:
        os.setsid()
    default_signals()
    high = [os.dup2(descriptor, 64 + i) for i, descriptor in enumerate(descriptors)]
    for target, source in enumerate(high):
        os.dup2(source, target)
    report = os.dup2(report, len(high), inheritable=False)
    os.closerange(report + 1, 256)
    return report


def give_up(report: int, step: str, error: BaseException) -> None:
    """In a forked child, to who waits for what it was to become: why it is nothing."""
    number = getattr(error, "errno", None) or 0
    text = getattr(error, "strerror", None) or str(error)
    os.write(report, f"{number} {step}: {text}".encode(errors="replace")[:4096])


def exit_code(status: int) -> int:
    """As os.waitstatus_to_exitcode, which 3.8 has not."""
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def default_signals() -> None:
    """What Python or whoever started e2brun ignores or blocks, a program must not inherit."""
    for number in range(1, 32):
        if number not in (_signal.SIGKILL, _signal.SIGSTOP):
            _signal.signal(number, _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
