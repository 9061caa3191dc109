"""Requests to a service's application without a socket in between."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from e2brun.server.options import ServiceOptions
from e2brun.server.serving import Service

KEY = "e2b_" + "5" * 40


@dataclass
class Answer:
    """What came back. `complete` is false when the connection was to be dropped."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    complete: bool = False

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Client:
    """Asks one service."""

    service: Service
    key: str | None = KEY
    connection: Any = None  # the client's, as the server knows it

    async def ask(
        self,
        method: str,
        target: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        *,
        answer: Answer | None = None,
    ) -> Answer:
        raw = (
            body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        )
        given = {"host": "127.0.0.1:1", "content-length": str(len(raw))}
        given |= {"x-api-key": self.key} if self.key is not None else {}
        given |= headers or {}
        path, _, query = target.partition("?")
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(k.encode("latin-1"), v.encode("latin-1")) for k, v in given.items()],
            "extensions": {"e2brun.connection": self.connection},
        }
        answer = answer or Answer()
        messages = [{"type": "http.request", "body": raw}]

        async def receive() -> Mapping[str, Any]:
            if messages:
                return messages.pop()
            await asyncio.get_running_loop().create_future()
            raise AssertionError

        async def send(message: Mapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.headers = {k.decode(): v.decode() for k, v in message["headers"]}
            else:
                answer.body += message.get("body", b"")
                answer.complete = not message.get("more_body", False)

        await self.service.app(scope, receive, send)
        return answer

    async def create(self, **fields: object) -> dict[str, Any]:
        """A new sandbox of the lean template."""
        answer = await self.ask("POST", "/v2/sandboxes", {"templateID": "base", **fields})
        assert answer.status == 201, answer.body
        return dict(answer.json)


@asynccontextmanager
async def serving(**options: Any) -> AsyncIterator[Client]:
    """A service of its own."""
    service = Service(ServiceOptions(key=KEY, **options))
    await service.registry.start()
    try:
        yield Client(service)
    finally:
        await service.close()
