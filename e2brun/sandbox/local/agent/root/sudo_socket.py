"""The socket of pid 1 through which `sudo` asks, for only its children can become root.

Anything inside may connect and say anything: it gains a program inside this same sandbox, which
it could start itself. Pid 1 reads nothing from it: a forked child reads the request and becomes
the program. The client is told the program's pid and, in the end, its wait status.
"""

from __future__ import annotations

import _socket
import os

from ..callers import part, welcome
from ..descriptors import handed_over

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ADDRESS = b"\0e2brun-sudo"  # an abstract address: of this network namespace alone
REQUEST_LIMIT = 128 * 1024


def listen(agent: Any) -> None:
    """Listen, or there is no sudo. Only where root is another user at all: elsewhere sudo runs its
    command itself."""
    listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
    welcome(agent, listener, ADDRESS, _serve, lambda c, status: part(c, b"ended\0%d" % status))


def _serve(agent: Any, client: _socket.socket) -> None:
    """In the child."""
    message, ancillary, flags, _ = client.recvmsg(
        REQUEST_LIMIT, _socket.CMSG_SPACE(3 * 4), _socket.MSG_CMSG_CLOEXEC
    )
    given = handed_over(ancillary)
    user, cwd, count, *words = os.fsdecode(message).split("\0")
    if len(given) != 3 or flags & _socket.MSG_TRUNC:
        return
    client.send(b"pid\0%d" % os.getpid())
    environment = dict(word.split("=", 1) for word in words[int(count) :] if "=" in word)
    request = {
        "argv": words[: int(count)], "env": environment, "cwd": cwd, "user": user,
        "terminal": False, "leads": True,
    }  # fmt: skip
    from ..programs import processes

    processes.become(agent, request, given, os.dup(given[2]))
