"""Connections between what is inside and the host, which has no way into this network."""

from __future__ import annotations

import _socket
import errno
import os
import select

from ..descriptors import ready

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_BACKLOG = 128
_SECONDS = 0.01  # on a loopback a port answers at once, or its backlog is full


def port(agent: Any, request: dict[str, Any], _descriptors: list[int]) -> None:
    """Connect to 127.0.0.1 or ::1 and hand the socket over. Raises OSError when nobody listens."""
    refused = OSError(errno.ECONNREFUSED, "port is not open")
    for family, address in ((_socket.AF_INET, "127.0.0.1"), (_socket.AF_INET6, "::1")):
        try:
            connection = _connected(family, address, request["port"])
        except OSError as error:
            refused = error
            continue
        agent.hand(request["id"], connection.fileno())
        connection.close()
        return
    raise refused


def listen(agent: Any, request: dict[str, Any], _descriptors: list[int]) -> None:
    """Hand over a socket on which the host is to accept. Raises OSError."""
    door = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    try:
        # Those who were answered here before may linger (TIME_WAIT).
        door.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
        door.bind(("127.0.0.1", request["port"]))
        door.listen(_BACKLOG)
        agent.hand(request["id"], door.fileno())
    finally:
        door.close()


def network(agent: Any, request: dict[str, Any], _descriptors: list[int]) -> None:
    """Hand over the network itself, a namespace: the host lays a way out of it."""
    descriptor = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    agent.hand(request["id"], descriptor)
    os.close(descriptor)


def _connected(family: int, address: str, number: int) -> _socket.socket:
    connection = _socket.socket(family, _socket.SOCK_STREAM)
    connection.setblocking(False)
    try:
        connection.connect((address, number))
    except BlockingIOError:
        # Who still hangs after that has a full backlog: the host can wait for it, we must not.
        ready(connection.fileno(), _SECONDS, select.POLLOUT)
        problem = connection.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR)
        if problem:
            connection.close()
            raise OSError(problem, os.strerror(problem)) from None
    return connection
