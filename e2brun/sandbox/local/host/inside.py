"""A connection to a program inside a sandbox, over a socket that was made in there.

Whoever keeps a copy of it inside can have its O_NONBLOCK cleared, which copies share (open(2)).
So nobody relies on that here: each call says for itself that it is not to wait.
"""

from __future__ import annotations

import socket
from contextlib import suppress

from e2brun.sandbox.local.host.descriptors import Watched

_NO_WAIT = socket.MSG_DONTWAIT
_FAMILIES = frozenset({socket.AF_INET, socket.AF_INET6})


class Inside:
    """One who reads and one who writes at a time; who opens it closes it."""

    def __init__(self, descriptor: int) -> None:
        """Raises OSError when it is no stream socket of the internet's; then it is not taken."""
        self._socket = socket.socket(fileno=descriptor)
        if self._socket.family not in _FAMILIES or self._socket.type != socket.SOCK_STREAM:
            self._socket.detach()
            raise OSError("not a connection")
        self._watched = Watched(descriptor)
        with suppress(OSError):  # or Nagle holds a body back until its head is acknowledged
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def receive(self, most: int) -> bytes:
        """What has come, b"" at the end. Raises OSError."""
        while True:
            try:
                return self._socket.recv(most, _NO_WAIT)
            except BlockingIOError:
                await self._watched.readable()

    async def send(self, data: bytes) -> None:
        """Send all of it. Raises OSError."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self._socket.send(rest, _NO_WAIT) :]
            except BlockingIOError:
                await self._watched.writable()

    def say(self, data: bytes) -> None:
        """Send what there is room for, and do not mind the rest."""
        with suppress(OSError):
            self._socket.send(data, _NO_WAIT)

    def shut_down(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of it; who waits for it gets OSError."""
        self._watched.forget()
        self._socket.close()
