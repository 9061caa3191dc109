"""A real sandbox with envd's plane in front of it, spoken to message by message."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from types import SimpleNamespace
from typing import Any

from e2brun.sandbox.local.host.running import RunningSandbox
from e2brun.server.envd import routes
from e2brun.server.http.messages import Request, Response, Stream
from e2brun.server.sandboxes.metering import Journal, Meter

TOKEN = "t0ken"
Event = dict[str, Any]


def envelope(message: object) -> bytes:
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    return b"\0" + len(body).to_bytes(4, "big") + body


async def eventually(true: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for it while the loop runs."""
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.02)


class Envd:
    """Port 49983 of one sandbox."""

    def __init__(self, live: RunningSandbox) -> None:
        self.live = live
        self.record: Any = SimpleNamespace(
            id=live.id, live=live, running=live, envd_token=TOKEN, journal=Journal(),
            meter=Meter(), started_at=0.0,
        )  # fmt: skip

    async def ask(
        self,
        path: str,
        body: bytes = b"",
        method: str = "POST",
        headers: Mapping[str, str] | None = None,
    ) -> Response | Stream:
        """One request, whose client then stays."""
        messages = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> dict[str, Any]:
            if not messages:
                await asyncio.Event().wait()
            return messages.pop()

        given = {"x-access-token": TOKEN, "content-type": "application/json", **(headers or {})}
        scope = {
            "type": "http", "method": method, "path": path, "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        }  # fmt: skip
        return await routes.handle(Request(scope, receive), self.record)

    async def call(self, method: str, message: object) -> tuple[int, Any]:
        """A unary call: status and message."""
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        answer = await self.ask(f"/process.Process/{method}", body)
        assert isinstance(answer, Response)
        return answer.status, json.loads(answer.body)

    async def stream(self, method: str, message: object, **headers: str) -> AsyncGenerator[Event]:
        """A streaming call: events without their wrapping, the end message as {"over": ...}.
        Header names have _ for -."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        given["content-type"] = "application/connect+json"
        path = f"/process.Process/{method}"
        answer = await self.ask(path, envelope(message), headers=given)
        assert isinstance(answer, Stream)
        async with aclosing(answer.body) as pieces:  # type: ignore[type-var]
            async for piece in pieces:
                content = json.loads(piece[5:])
                yield {"over": content} if piece[0] == 2 else content["event"]

    async def run(self, line: str, **options: Any) -> list[Event]:
        """All events of one shell command."""
        return [event async for event in self.stream("Start", start(line, **options))]


def start(line: str, **options: Any) -> dict[str, Any]:
    """A Start message for a shell command."""
    return {"process": {"cmd": "/bin/bash", "args": ["-c", line]}, "stdin": False, **options}
