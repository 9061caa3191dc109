"""Whoever connects to a socket of pid 1, which reads nothing from them: a forked child does."""

from __future__ import annotations

import _socket
import os
import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

_AT_ONCE = 16  # of all sockets together
_SECONDS = 2  # for a client to say what it wants


def welcome(
    agent: Any,
    door: _socket.socket,
    address: object,
    serve: Callable[[Any, _socket.socket], object],
    dismiss: Callable[[int, int], None],
) -> bool:
    """Listen there, and from now on `serve` whoever connects, in a child that ends with 1 unless
    it says otherwise, and `dismiss` them here with its wait status when it has ended; not more
    than so many at once. False: somebody in here has taken the address."""
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
    serve: Callable[[Any, _socket.socket], object],
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
        _hear(agent, descriptor, serve)

    def ended(status: int) -> None:
        dismiss(descriptor, status)

    agent.errands[pid] = ended


def _hear(agent: Any, descriptor: int, serve: Callable[[Any, _socket.socket], object]) -> NoReturn:
    try:
        client = _socket.socket(fileno=descriptor)
        client.settimeout(_SECONDS)
        serve(agent, client)
    finally:
        os._exit(1)


def part(descriptor: int, words: bytes) -> None:
    """The last that a client is told, if it listens."""
    client = _socket.socket(fileno=descriptor)
    client.setblocking(False)
    try:
        client.send(words)
    except OSError:
        pass
    client.close()
