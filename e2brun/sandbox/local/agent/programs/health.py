"""The code interpreter's port as programs inside see it: `GET /health`, as at E2B.

Cells come another way. Pid 1 reads nothing from whoever connects: a forked child does.
"""

from __future__ import annotations

import _socket
import os

from ..callers import welcome

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PORT = 49999
_REQUEST_LIMIT = 16 * 1024
_ANSWERS = {True: (b"200 OK", b'"OK"'), False: (b"404 Not Found", b'{"detail":"Not Found"}')}


def health(agent: Any, _request: dict[str, Any], _descriptors: list[int]) -> None:
    """Listen, unless a program of the user's has taken the port."""
    door = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    door.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
    everywhere = "0.0.0.0", PORT  # noqa: S104  # in this network namespace
    welcome(agent, door, everywhere, _serve, lambda client, _status: os.close(client))


def _serve(_agent: Any, client: _socket.socket) -> None:
    """In the child."""
    words = client.recv(_REQUEST_LIMIT).split(b" ", 2)
    status, body = _ANSWERS[words[:2] == [b"GET", b"/health"]]
    client.sendall(
        b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
        b"connection: close\r\n\r\n%b" % (status, len(body), body)
    )
