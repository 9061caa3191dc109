"""The port 49983 of one sandbox of a service, without a socket in between."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from e2brun.sandbox.local.host.running import RunningSandbox
from tests.server.asgi import Answer, Client
from tests.server.inside import python

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


def part(name: str, filename: str | None, content: bytes) -> bytes:
    called = "" if filename is None else f'; filename="{filename}"'
    head = f'--XX\r\nContent-Disposition: form-data; name="{name}"{called}\r\n\r\n'
    return head.encode() + content + b"\r\n"
