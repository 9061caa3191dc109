"""The few system calls the standard library of Python 3.11 has no function for."""

from __future__ import annotations

import ctypes
import os

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x00020000, 0x10000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_BIND, MS_REC, MS_SLAVE = 4096, 16384, 1 << 19

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Leave the namespaces named by `flags`. Raises OSError."""
    _checked(_libc.unshare(flags), "unshare")


def enter_user_namespace(descriptor: int) -> None:
    """setns(2), which Python has since 3.12. Raises OSError."""
    _checked(_libc.setns(descriptor, CLONE_NEWUSER), "setns")


def show_in_proc() -> None:
    """Be dumpable again (prctl(2)): /proc/self belongs to us, not to root. Raises OSError."""
    pr_set_dumpable = 4
    _checked(_libc.prctl(pr_set_dumpable, 1, 0, 0, 0), "prctl")


def mount(source: str, target: str, kind: str | None, flags: int, data: str = "") -> None:
    """mount(2). Raises OSError naming the target."""
    _checked(
        _libc.mount(
            source.encode(),
            target.encode(),
            kind.encode() if kind else None,
            ctypes.c_ulong(flags),
            data.encode() or None,
        ),
        f"mount {target}",
    )
