"""The host name in the first bytes of a connection: TLS's server name (RFC 6066), HTTP's Host."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass

_LONGEST = 16 * 1024
_HANDSHAKE, _CLIENT_HELLO = 22, 1
# What can be looked up: who does that raises for much else.
_LOOKED_UP = re.compile(rb"(?=.{1,254}$)(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}\.?", re.IGNORECASE)


class NotTold(Exception):
    """There is no name in them."""


@dataclass(frozen=True, slots=True)
class Said:
    """The name, in lower case, and all that was read to find it."""

    name: str
    words: bytes


async def http_host(reader: asyncio.StreamReader) -> Said:
    """Of a request. Raises NotTold, asyncio.IncompleteReadError."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError as error:
        raise NotTold("the head of the request is too long") from error
    hosts = [
        value.strip()
        for name, _, value in (line.partition(b":") for line in head.split(b"\r\n")[1:])
        if name.lower() == b"host"
    ]
    if len(hosts) != 1:
        raise NotTold("not one Host")
    return Said(_name(hosts[0].partition(b":")[0]), head)


async def server_name(reader: asyncio.StreamReader) -> Said:
    """Of a TLS client's first record. Raises NotTold, asyncio.IncompleteReadError."""
    head = await reader.readexactly(5)
    length = int.from_bytes(head[3:5])
    if head[0] != _HANDSHAKE or length > _LONGEST:
        raise NotTold("no TLS")
    record = await reader.readexactly(length)
    try:
        return Said(_name(_server_name(_Bytes(record))), head + record)
    except IndexError as error:
        raise NotTold("a client hello that ends early") from error


class _Bytes:
    """Read from the left. Raises IndexError where there are none left."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, count: int) -> bytes:
        if count > len(self._data) - self._at:
            raise IndexError
        self._at += count
        return self._data[self._at - count : self._at]

    def sized(self, width: int) -> bytes:
        """A field after its length."""
        return self.take(int.from_bytes(self.take(width)))

    def __bool__(self) -> bool:
        return self._at < len(self._data)


def _server_name(record: _Bytes) -> bytes:
    if record.take(1)[0] != _CLIENT_HELLO:
        raise NotTold("no client hello")
    hello = _Bytes(record.sized(3))
    hello.take(2 + 32)  # version, random
    for width in (1, 2, 1):  # session, cipher suites, compression
        hello.sized(width)
    extensions = _Bytes(hello.sized(2))
    while extensions:
        kind, body = extensions.take(2), extensions.sized(2)
        if kind == b"\0\0":
            entry = _Bytes(_Bytes(body).sized(2))
            if entry.take(1) == b"\0":
                return entry.sized(2)
    raise NotTold("no server name")


def _name(text: bytes) -> str:
    if not _LOOKED_UP.fullmatch(text):
        raise NotTold("no name")
    return text.decode().lower().removesuffix(".")
