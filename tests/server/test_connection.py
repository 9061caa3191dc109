"""A client's connection by its bytes, without a socket: what of them waits, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from e2brun.server.http import connection
from e2brun.server.http.connection import Connection

pytestmark = pytest.mark.anyio

_GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


class _Client(asyncio.Transport):
    """The other end: what it was told, and whether it is listened to."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        super().__init__()
        config = uvicorn.Config(app, lifespan="off", log_config=None, ws="none", access_log=False)
        self.connection = Connection(config, ServerState(), {})
        self.told = b""
        self.heard = True
        self.closing = False
        self.connection.connection_made(self)

    def write(self, data: Any) -> None:
        self.told += data

    def write_eof(self) -> None:
        pass

    def close(self) -> None:
        self.closing = True

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        self.heard = False

    def resume_reading(self) -> None:
        self.heard = True

    def says(self, data: bytes) -> None:
        self.connection.data_received(data)

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not holds():
                await asyncio.sleep(0.001)


async def _answers(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def _never(scope: Any, receive: Any, send: Any) -> None:
    await asyncio.Event().wait()


async def test_the_head_of_every_request_must_come_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    client = _Client(_answers)
    client.says(_GET)
    await client.until(lambda: b"200 OK" in client.told)
    monkeypatch.setattr(connection, "_HEADER_SECONDS", 0.01)
    client.says(_GET[:10])
    await client.until(lambda: b"408 Request Timeout" in client.told)


async def test_of_an_endless_row_of_small_requests_no_more_than_some_wait() -> None:
    client = _Client(_never)
    client.says(b"GET / HTTP/1.1\r\n\r\n" * 10_000)
    assert client.closing
    assert len(client.connection.pipeline) <= 1000


async def test_who_sends_on_before_its_upgrade_is_answered_is_not_read_without_end() -> None:
    client = _Client(_never)
    client.says(b"GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
    client.says(bytes(200_000))
    assert client.heard
    client.says(bytes(200_000))
    assert not client.heard
