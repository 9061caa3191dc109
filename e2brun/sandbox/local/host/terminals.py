"""A terminal of a sandbox's, opened from outside.

Its master is the host's alone. One that had come from inside would be shared with whoever keeps
a copy there, and O_NONBLOCK belongs to what is shared (open(2)): a read could wait for ever.
"""

from __future__ import annotations

import fcntl
import os
import stat
import struct
import termios

from e2brun.errors import SandboxLost
from e2brun.sandbox.local.host.agent_client import AgentRefused
from e2brun.sandbox.local.host.running import RunningSandbox

_DOOR = os.makedev(5, 2)  # /dev/pts/ptmx
_FLAGS = os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC
_TIOCSPTLCK, _TIOCGPTPEER = 0x40045431, 0x5441


async def new_terminal(live: RunningSandbox, columns: int, rows: int) -> tuple[int, int]:
    """(master, not blocking; slave), both ours to close. Raises AgentRefused, SandboxLost."""
    door = await live.handed("terminals")
    try:
        facts = os.fstat(door)
        if not stat.S_ISCHR(facts.st_mode) or facts.st_rdev != _DOOR:
            raise SandboxLost("the sandbox's agent sent a malformed report")
        master = os.open(f"/proc/self/fd/{door}", _FLAGS | os.O_NONBLOCK)
    except OSError as error:  # ENOSPC: it has as many as it may have
        raise AgentRefused(error.errno or 0, f"terminal: {error.strerror}") from None
    finally:
        os.close(door)
    try:
        fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("i", 0))
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        slave = fcntl.ioctl(master, _TIOCGPTPEER, _FLAGS)
        if os.geteuid() == 0:
            os.fchown(slave, facts.st_uid, -1)  # or nobody inside could open it by its name
    except OSError as error:
        os.close(master)
        raise AgentRefused(error.errno or 0, f"terminal: {error.strerror}") from None
    return master, slave
