"""Who a program is, and what it may ask of the kernel: settled in a forked child before it runs.

There is one uid in here. Where the driver left a user namespace in which that uid is called 0,
root is taken there: whoami says root, and no capability comes with it.
"""

from __future__ import annotations

import os

from ..child import confine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_CLONE_NEWUSER = 0x10000000
_PR_CAPBSET_DROP, _PR_SET_SECUREBITS = 24, 28
_NOROOT_LOCKED = 0x3  # SECBIT_NOROOT: uid 0 gains nothing at an execve
_CAPABILITY_VERSION_3 = 0x20080522


def assume(agent: Any, user: str) -> None:
    """Become `user` ("root", or the one all others are) for good. Raises OSError."""
    if user == "root":
        become_root(agent)
        confine(agent.root_filter)
    else:
        confine(agent.user_filter)


def become_root(agent: Any) -> None:
    """Be called root from here on, without any power of root's."""
    if agent.root_namespace < 0:
        return
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)

    def call(result: int) -> None:
        if result != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    call(libc.setns(agent.root_namespace, _CLONE_NEWUSER))
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    call(libc.prctl(_PR_SET_SECUREBITS, _NOROOT_LOCKED, 0, 0, 0))
    for capability in range(64):
        # EINVAL from the first that this kernel does not know.
        if libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            break
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    call(libc.capset(header, (ctypes.c_uint32 * 6)()))
