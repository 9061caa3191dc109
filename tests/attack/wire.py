"""Plain HTTP to the service: what an attacker would send, byte for byte."""

from __future__ import annotations

import http.client
import json
import socket
import struct
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

ENVD, INTERPRETER = 49983, 49999
_ENOUGH = 64 * 1024 * 1024  # bytes of an answer that we read: it may be endless
_JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Answer:
    """One response."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Sandbox:
    """What its creation answered."""

    id: str
    token: str
    traffic_token: str | None


@dataclass(frozen=True)
class Wire:
    """A client of the service at `url`."""

    url: str
    key: str

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or 0

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 20,
    ) -> Answer:
        """One request on a connection of its own, with nothing added but Host and the length."""
        with closing(http.client.HTTPConnection(*self.address, timeout=timeout)) as connection:
            connection.putrequest(
                method, path, skip_host="Host" in (headers or {}), skip_accept_encoding=True
            )
            for name, value in (headers or {}).items():
                connection.putheader(name, value.encode())
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read(_ENOUGH))

    def api(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """The control plane, with the key."""
        data = None if body is None else body if isinstance(body, bytes) else _json(body)
        return self.ask(method, path, data, {"X-API-KEY": self.key, **_JSON, **headers})

    def inside(
        self,
        sandbox: Sandbox,
        port: int,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """A port of a sandbox, with nothing but the routing headers."""
        data = None if body is None else body if isinstance(body, bytes) else _json(body)
        routing = {"E2b-Sandbox-Id": sandbox.id, "E2b-Sandbox-Port": str(port)}
        return self.ask(method, path, data, {**routing, **(headers or {})})

    def envd(
        self,
        sandbox: Sandbox,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Port 49983 with its token."""
        mine = {"X-Access-Token": sandbox.token, **_JSON, **(headers or {})}
        return self.inside(sandbox, ENVD, method, path, body, mine)

    def create(self, **more: Any) -> Sandbox:
        answer = self.api("POST", "/v2/sandboxes", {"templateID": "base", "timeout": 300, **more})
        assert answer.status == 201, answer
        made = answer.json()
        return Sandbox(made["sandboxID"], made["envdAccessToken"], made.get("trafficAccessToken"))

    def kill(self, sandbox: Sandbox) -> None:
        self.api("DELETE", f"/sandboxes/{sandbox.id}")

    def is_healthy(self, sandbox: Sandbox) -> bool:
        return self.inside(sandbox, ENVD, "GET", "/health").status == 204

    def run(self, sandbox: Sandbox, line: str) -> bytes:
        """The standard output of a command."""
        process = {"cmd": "/bin/bash", "args": ["-c", line]}
        streaming = {"Content-Type": "application/connect+json", "Connect-Protocol-Version": "1"}
        request = envelope(_json({"process": process, "stdin": False}))
        answer = self.envd(sandbox, "POST", "/process.Process/Start", request, streaming)
        assert answer.status == 200, answer
        import base64

        output = b""
        for message in envelopes(answer.body):
            data = message.get("event", {}).get("data", {})
            output += base64.b64decode(data.get("stdout", ""))
        return output

    def raw(self, data: bytes, timeout: float = 20) -> bytes:
        """Whatever bytes, and whatever comes back until the service closes or is silent."""
        with socket.create_connection(self.address, timeout=timeout) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            received = b""
            try:
                while piece := connection.recv(65536):
                    received += piece
            except (ConnectionResetError, TimeoutError):
                pass
            return received


def envelope(message: bytes, flags: int = 0) -> bytes:
    """A message of a Connect stream."""
    return struct.pack(">BI", flags, len(message)) + message


def envelopes(body: bytes) -> list[dict[str, Any]]:
    """The messages of a Connect stream."""
    found: list[dict[str, Any]] = []
    while body:
        _, length = struct.unpack(">BI", body[:5])
        found.append(json.loads(body[5 : 5 + length]))
        body = body[5 + length :]
    return found


def has_error_shape(answer: Answer) -> bool:
    """E2B's error: an integer code that is the status, and a message."""
    body = answer.json()
    return (
        isinstance(body, dict)
        and body.get("code") == answer.status
        and isinstance(body.get("message"), str)
        and bool(body["message"])
    )


def _json(body: Any) -> bytes:
    return json.dumps(body).encode()
