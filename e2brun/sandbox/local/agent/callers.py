"""Whoever connects to a socket of pid 1, which reads nothing from them: a forked child does."""

from __future__ import annotations

import os
import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Callable
    from typing import Any, NoReturn

_AT_ONCE = 16  # of all sockets together


def welcome(
    agent: Any,
    door: _socket.socket,
    address: object,
    serve: Callable[[Any, int], NoReturn],
    dismiss: Callable[[int, int], None],
) -> bool:
    """Listen there, and from now on `serve` whoever connects, in a child, and `dismiss` them here
    with its wait status when it has ended; not more than so many at once. False: somebody in here
    has taken the address."""
    door.setblocking(False)
    try:
        door.bind(address)  # type: ignore[arg-type]
        door.listen(_AT_ONCE)
    except OSError:
        door.close()
        return False
    agent.listeners[door.fileno()] = lambda: _admit(agent, door, serve, dismiss)
    agent.waiting.register(door.fileno(), select.POLLIN)
    return True


def _admit(
    agent: Any,
    door: _socket.socket,
    serve: Callable[[Any, int], NoReturn],
    dismiss: Callable[[int, int], None],
) -> None:
    accept: Any = door
    try:
        descriptor: int = accept._accept()[0]  # of the C module: close-on-exec
    except OSError:
        return
    if len(agent.errands) >= _AT_ONCE:
        os.close(descriptor)
        return
    try:
        pid = os.fork()
    except OSError:  # no more processes: the client sees the connection end
        os.close(descriptor)
        return
    if pid == 0:
        serve(agent, descriptor)

    def ended(status: int) -> None:
        dismiss(descriptor, status)

    agent.errands[pid] = ended
