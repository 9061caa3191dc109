"""The port 49983 of one sandbox of a service, without a socket in between."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from e2brun.sandbox.local.host.running import RunningSandbox
from tests.server.asgi import Answer, Client, serving
from tests.server.inside import python

Scenario = Callable[["Envd"], Awaitable[None]]
InSandbox = Callable[[Scenario], None]

_DISK = 32 << 20
RAW = {"content-type": "application/octet-stream"}


@dataclass
class Envd:
    """One sandbox's files."""

    client: Client
    id: str
    token: str

    @property
    def live(self) -> RunningSandbox:
        return self.client.service.registry.records[self.id].live

    @property
    def headers(self) -> dict[str, str]:
        return {
            "e2b-sandbox-id": self.id,
            "e2b-sandbox-port": "49983",
            "x-access-token": self.token,
        }

    async def get(self, path: str | bytes, headers: Mapping[str, str] = {}, **query: str) -> Answer:
        target = "/files?" + urlencode({"path": path, **query})
        return await self.client.ask("GET", target, None, {**self.headers, **headers})

    async def put(
        self, path: str | bytes, body: bytes, headers: Mapping[str, str] = RAW, **query: str
    ) -> Answer:
        target = "/files?" + urlencode({"path": path, **query})
        return await self.client.ask("POST", target, body, {**self.headers, **RAW, **headers})

    async def form(self, body: bytes, **query: str) -> Answer:
        kind = {"content-type": "multipart/form-data; boundary=XX"}
        target = "/files?" + urlencode(query)
        return await self.client.ask("POST", target, body, {**self.headers, **kind})

    async def call(self, method: str, user: str | None = None, **message: object) -> Answer:
        headers = {**self.headers, "content-type": "application/json"}
        if user is not None:
            headers["authorization"] = "Basic " + base64.b64encode(f"{user}:".encode()).decode()
        return await self.client.ask("POST", f"/filesystem.Filesystem/{method}", message, headers)

    async def entry(self, path: str) -> dict[str, Any]:
        answer = await self.call("Stat", path=path)
        assert answer.status == 200, answer.body
        return dict(answer.json["entry"])

    async def python(self, code: str) -> None:
        await python(self.live, code)

    def signed(self, path: str, operation: str, **query: str) -> str:
        words = [path, operation, query.get("username", ""), self.token]
        if "signature_expiration" in query:
            words.append(query["signature_expiration"])
        digest = hashlib.sha256(":".join(words).encode()).digest()
        signature = "v1_" + base64.b64encode(digest).decode().rstrip("=")
        return "/files?" + urlencode({"path": path, "signature": signature, **query})


@asynccontextmanager
async def _one_sandbox(client: Client) -> AsyncIterator[Envd]:
    made = await client.create()
    yield Envd(client, made["sandboxID"], made["envdAccessToken"])
    await client.ask("DELETE", f"/sandboxes/{made['sandboxID']}")


class Shared:
    """A service for scenarios that want none of their own, each with a sandbox: to start one takes
    half a second of a processor. It and its loop go on from the first to `close`."""

    def __init__(self) -> None:
        self._loop = asyncio.Runner()
        self._open = AsyncExitStack()
        self._client: Client | None = None

    def run(self, scenario: Scenario) -> None:
        async def whole() -> None:
            if self._client is None:
                self._client = await self._open.enter_async_context(serving(disk=_DISK))
            async with _one_sandbox(self._client) as envd:
                await scenario(envd)

        self._loop.run(whole())

    def close(self) -> None:
        if self._client is not None:
            self._loop.run(self._open.aclose())
        self._loop.close()


def part(name: str, filename: str | None, content: bytes) -> bytes:
    called = "" if filename is None else f'; filename="{filename}"'
    head = f'--XX\r\nContent-Disposition: form-data; name="{name}"{called}\r\n\r\n'
    return head.encode() + content + b"\r\n"
