"""A proxy for programs that cannot resolve the service's names: those lead to it, others through.
CONNECT only, and only with the service's key, so that it is nobody else's way out."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import re
from contextlib import suppress
from urllib.parse import unquote

from e2brun.server.http.listening import is_loopback
from e2brun.server.http.passing import pass_on
from e2brun.server.https.authority import DOMAIN

_HEAD_LIMIT = 16 * 1024
_HEAD_SECONDS, _CONNECT_SECONDS = 30.0, 30.0
_HOST = rb"[A-Za-z0-9.\-]{1,253}|\[[0-9a-fA-F:.]{2,45}\]"
_LINE = re.compile(rb"CONNECT (" + _HOST + rb"):([0-9]{1,5}) HTTP/1\.[01]")
_AUTHORIZATION = re.compile(rb"\r\nproxy-authorization:[ \t]*basic[ \t]+([^\r\n]*)", re.IGNORECASE)


class _Refused(Exception):
    """The answer's status line is the text."""


class Proxy:
    """Call it for each client that connects. `upstream`: a proxy (host, port, its authorization)
    for all that is not ours; None: straight there."""

    def __init__(
        self, key: str, ours: tuple[str, int], upstream: tuple[str, int, str] | None
    ) -> None:
        self._key, self._ours, self._upstream = key.encode(), ours, upstream

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_HEAD_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
            await self._serve(head, reader, writer)
        except _Refused as refused:
            with suppress(OSError):
                writer.write(_answer(str(refused)))
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError, OSError):
            pass  # it has gone, or is no client of ours
        finally:
            writer.close()

    async def _serve(
        self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        match = _LINE.match(head)
        if match is None or len(head) > _HEAD_LIMIT:
            raise _Refused("405 This proxy takes CONNECT")
        self._check(head)
        host, port = match[1].decode().strip("[]").lower().rstrip("."), int(match[2])
        far_reader, far_writer = await self._connect(host, port)
        try:
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await asyncio.gather(pass_on(reader, far_writer), pass_on(far_reader, writer))
        finally:
            far_writer.close()

    def _check(self, head: bytes) -> None:
        found = _AUTHORIZATION.search(head)
        given = b""
        if found is not None:
            with suppress(binascii.Error):
                given = base64.b64decode(found[1]).partition(b":")[2]
        if not hmac.compare_digest(unquote(given.decode("latin-1")).encode(), self._key):
            raise _Refused("407 The proxy asks for the service's key")

    async def _connect(
        self, host: str, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if host == DOMAIN or host.endswith(f".{DOMAIN}"):
            return await _open(*self._ours)
        if self._upstream is None or is_loopback(host) or host.endswith(".localhost"):
            return await _open(host, port)
        reader, writer = await _open(*self._upstream[:2])
        name = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        lines = [f"CONNECT {name} HTTP/1.1", f"Host: {name}"]
        if self._upstream[2]:
            lines.append(f"Proxy-Authorization: {self._upstream[2]}")
        writer.write("".join(f"{line}\r\n" for line in (*lines, "")).encode("ascii"))
        async with asyncio.timeout(_CONNECT_SECONDS):
            answer = await reader.readuntil(b"\r\n\r\n")
        if not re.match(rb"HTTP/1\.[01] 200", answer):
            writer.close()
            raise _Refused("502 The next proxy refuses")
        return reader, writer


async def _open(host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            return await asyncio.open_connection(host, port)
    except (OSError, TimeoutError, UnicodeError) as error:  # the last for what is no name
        raise _Refused("502 Nobody answers there") from error


def _answer(status: str) -> bytes:
    code, _, text = status.partition(" ")
    body = f"e2brun: {text}\n"
    ask = "Proxy-Authenticate: Basic realm=e2brun\r\n" if code == "407" else ""
    return (
        f"HTTP/1.1 {status}\r\n{ask}Content-Type: text/plain\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}"
    ).encode()
