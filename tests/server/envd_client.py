"""The port 49983 of one sandbox of a service, without a socket in between."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from e2brun.sandbox.local.host.running import RunningSandbox
from tests.server.asgi import Answer, Client, Shared
from tests.server.inside import python

InSandbox = Callable[[Callable[["Envd"], Awaitable[None]]], None]

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


def with_sandbox(shared: Shared) -> InSandbox:
    """Run scenarios on it, each with a sandbox of its own."""

    def run(scenario: Callable[[Envd], Awaitable[None]]) -> None:
        async def whole(client: Client) -> None:
            made = await client.create()
            await scenario(Envd(client, made["sandboxID"], made["envdAccessToken"]))

        shared.run(whole)

    return run


def part(name: str, filename: str | None, content: bytes) -> bytes:
    called = "" if filename is None else f'; filename="{filename}"'
    head = f'--XX\r\nContent-Disposition: form-data; name="{name}"{called}\r\n\r\n'
    return head.encode() + content + b"\r\n"
