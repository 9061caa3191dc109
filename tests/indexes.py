"""A package index on loopback that answers as it is told, and remembers what it was asked."""

from __future__ import annotations

import http.server
import json
import ssl
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Answer:
    """One answer; a body of pieces is sent as they come, its size untold."""

    body: bytes | Iterable[bytes] = b""
    kind: str = "application/octet-stream"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass
class Index:
    """`pages` by path."""

    port: int
    pages: dict[str, Answer] = field(default_factory=dict[str, Answer])
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list[Any])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def paths(self) -> list[str]:
        return [path for path, _ in self.asked]

    def html(self, path: str, *links: str) -> None:
        """A page of links."""
        text = "".join(f'<a href="{link}">x</a>\n' for link in links)
        self.pages[path] = Answer(text.encode(), "text/html; charset=utf-8")

    def json(self, path: str, document: object) -> None:
        kind = "application/vnd.pypi.simple.v1+json"
        self.pages[path] = Answer(json.dumps(document).encode(), kind)


class _Handler(http.server.BaseHTTPRequestHandler):
    index: Index

    def do_GET(self) -> None:
        self.index.asked.append((self.path, dict(self.headers)))
        answer = self.index.pages.get(self.path, Answer(status=404))
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.kind)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        whole = isinstance(answer.body, bytes)
        if isinstance(answer.body, bytes) and "Content-Length" not in answer.headers:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        pieces = [answer.body] if isinstance(answer.body, bytes) else answer.body
        for piece in pieces if self.command == "GET" else ():
            self.wfile.write(piece)
        self.close_connection = not whole

    do_HEAD = do_GET  # noqa: N815 - the name http.server looks for

    def log_message(self, format: str, *args: object) -> None:
        pass


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        pass  # whoever asked has heard enough


@contextmanager
def index_served(context: ssl.SSLContext | None = None) -> Iterator[Index]:
    """One that runs, over TLS if there is a `context`."""

    class Handler(_Handler):
        pass

    with _Server(("127.0.0.1", 0), Handler) as server:
        Handler.index = Index(server.server_port)
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield Handler.index
        finally:
            server.shutdown()
            thread.join()
