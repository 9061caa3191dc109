"""A proxy on loopback that is as far away as a cloud, and as unreliable on a bad day.

Every request takes `delay` seconds longer (half of it on each way), and `share` of them fail: by
429, 500 or 502, or by a connection that is cut before, in or after the answer.
"""

from __future__ import annotations

import asyncio
import random
import threading
from contextlib import suppress

_ANSWERS = (429, 500, 502)
_CUTS = ("before", "within", "after")


class FaultyProxy:
    """In front of `port`; use it with `with`."""

    def __init__(self, port: int, *, delay: float, share: float, seed: int = 0) -> None:
        self._target, self._delay, self._share = port, delay, share
        self._chance = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.port = 0
        self.requests = self.faults = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> FaultyProxy:
        self._thread.start()
        self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._connection, "127.0.0.1"))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.1))

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._request(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, ValueError):
            pass
        finally:
            writer.close()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request through a connection of its own. False: there is no other on this one."""
        head, body = await _message(reader)
        if not head:
            return False
        self.requests += 1
        await asyncio.sleep(self._delay / 2)
        fault = None
        if self._chance.random() < self._share:
            self.faults += 1
            fault = self._chance.choice((*_ANSWERS, *_CUTS))
        if isinstance(fault, int):
            await asyncio.sleep(self._delay / 2)
            text = b'{"code": %d, "message": "a bad day"}' % fault
            writer.write(
                b"HTTP/1.1 %d Fault\r\ncontent-type: application/json\r\n"
                b"content-length: %d\r\n\r\n%s" % (fault, len(text), text)
            )
            await writer.drain()
            return True
        if fault == "before":
            return False
        await self._forward(head + body, writer, fault)
        return False

    async def _forward(
        self, request: bytes, writer: asyncio.StreamWriter, fault: str | None
    ) -> None:
        upstream, sending = await asyncio.open_connection("127.0.0.1", self._target)
        try:
            sending.write(request.replace(b"\r\n", b"\r\nconnection: close\r\n", 1))
            first = await upstream.read(65536)
            await asyncio.sleep(self._delay / 2)
            if fault == "within":
                writer.write(first[: len(first) // 2])
                return
            if fault == "after":
                return
            while first:
                writer.write(first)
                await writer.drain()
                first = await upstream.read(65536)
        finally:
            sending.close()
            with suppress(OSError):
                await sending.wait_closed()


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Head and body of one request."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b"", b""
    body = b""
    for line in head.lower().split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name == b"content-length":
            body = await reader.readexactly(int(value))
        elif name == b"transfer-encoding" and b"chunked" in value:
            while True:
                size = await reader.readuntil(b"\r\n")
                piece = await reader.readexactly(int(size.split(b";")[0], 16) + 2)
                body += size + piece
                if int(size.split(b";")[0], 16) == 0:
                    break
    return head, body
