"""What one sandbox is answered: one request a connection, for an index page or an archive.

    GET|HEAD /simple/NAME/                  GET|HEAD /npm/NAME  /npm/@SCOPE%2fNAME
    GET|HEAD /files/NAME/FILE[.metadata]    GET|HEAD /npm/NAME/-/FILE

Of a name's files only those that its page names. Everything else is refused before anybody is
asked. A name is all that gets out, and of names there is a limit.
"""

from __future__ import annotations

import re
import socket
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from time import monotonic
from typing import NamedTuple
from urllib.parse import unquote

import h11
import httpx

from e2brun.sandbox.local.isolation.driver import INDEX_PORT
from e2brun.sandbox.local.mirror.npm_registry import NpmRegistry
from e2brun.sandbox.local.mirror.page import Page
from e2brun.sandbox.local.mirror.python_index import PythonIndexes
from e2brun.sandbox.local.mirror.upstream import Refused, Upstream

_HOSTS = frozenset({f"127.0.0.1:{INDEX_PORT}".encode(), f"localhost:{INDEX_PORT}".encode()})
_PYTHON = r"([a-z0-9]+(?:-[a-z0-9]+){0,40})"
_NPM = r"((?:@[A-Za-z0-9~][\w.~-]*(?:/|%2[fF]))?[A-Za-z0-9~][\w.~-]*)"
_FILE = r"([A-Za-z0-9][\w.+!~%-]*)"
_ROUTES = (
    (re.compile(rf"/simple/{_PYTHON}/?"), "python"),
    (re.compile(rf"/files/{_PYTHON}/{_FILE}"), "python"),
    (re.compile(rf"/npm/{_NPM}"), "npm"),
    (re.compile(rf"/npm/{_NPM}/-/{_FILE}"), "npm"),
)
_LONGEST_NAME = 214  # npm's
_REQUEST_LIMIT = 16 * 1024
_REMEMBERED = 100_000  # files, of pages seen last
_FRESH_SECONDS = 300.0
_METADATA = ".metadata"  # PEP 658


class Portion(NamedTuple):
    """What one sandbox may take: bytes, seconds, pages in its life."""

    total: int
    archive: int
    asking: float = 10.0  # for a request to come
    page: float = 60.0
    sending: float = 900.0  # of an archive
    idle: float = 30.0  # for a piece to be taken
    pages: int = 10_000


class Indexes:
    """Those that the settings of an environment name: the same for all sandboxes."""

    def __init__(
        self, environment: Mapping[str, str], transport: httpx.BaseTransport | None = None
    ) -> None:
        self.upstream = Upstream(environment, transport)
        self.kinds: Mapping[str, PythonIndexes | NpmRegistry] = {
            "python": PythonIndexes(self.upstream, environment),
            "npm": NpmRegistry(self.upstream, environment),
        }


class Counter:
    """Answers one sandbox, by many threads."""

    def __init__(self, indexes: Indexes, portion: Portion) -> None:
        self._indexes, self._portion = indexes, portion
        self._left, self._pages = portion.total, portion.pages
        self._lock = threading.Lock()
        self._seen: OrderedDict[tuple[str, str], tuple[float, Page]] = OrderedDict()

    def serve(self, caller: socket.socket) -> None:
        """Read a request and answer it; whoever does not take the answer is left."""
        caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        answer = _Answer(caller, self._portion)
        with suppress(OSError, h11.ProtocolError):
            try:
                kind, name, file = _wanted(answer.request())
                if file:
                    self._archive(answer, kind, name, file)
                else:
                    page = self._page(kind, name)
                    answer.whole(200, page.media_type, page.body)
            except MemoryError:
                answer.refuse(503, "the mirror has too much to read: try again")
            except Refused as refused:
                answer.refuse(refused.status, str(refused))
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                answer.refuse(502, f"the index did not answer: {type(error).__name__}")
            except h11.RemoteProtocolError as error:
                answer.refuse(error.error_status_hint, "not a request")

    def _page(self, kind: str, name: str) -> Page:
        with self._lock:
            if self._pages <= 0:
                raise Refused(429, f"a sandbox may ask for {self._portion.pages} pages")
            self._pages -= 1
        page = self._indexes.kinds[kind].page(name, monotonic() + self._portion.page)
        with self._lock:
            self._seen[kind, name] = (monotonic(), page.but(body=b""))
            self._seen.move_to_end((kind, name))
            while sum(len(seen.files) for _, seen in self._seen.values()) > _REMEMBERED:
                self._seen.popitem(last=False)
        return page

    def _archive(self, answer: _Answer, kind: str, name: str, file: str) -> None:
        seen = self._seen.get((kind, name))
        page = seen[1] if seen and monotonic() - seen[0] < _FRESH_SECONDS else None
        page = page or self._page(kind, name)
        found = page.files.get(file)
        suffix = ""
        if found is None and file.endswith(_METADATA):
            found, suffix = page.files.get(file.removesuffix(_METADATA)), _METADATA
        if found is None:
            raise Refused(404, "no page names this file")
        deadline = monotonic() + self._portion.sending
        most = min(self._portion.archive, self._left)
        opened = self._indexes.upstream.opened
        with opened(found.url + suffix, found.source, page.hosts, deadline) as body:
            if (body.size or 0) > most:
                raise Refused(413, f"more than the {most} bytes that are left for it")
            answer.stream(body.size, self._counted(body.chunks, most))

    def _counted(self, chunks: Iterator[bytes], most: int) -> Iterator[bytes]:
        for chunk in chunks:
            most -= len(chunk)
            with self._lock:
                self._left -= len(chunk)
                over = self._left < 0 or most < 0
            if over:
                raise Refused(413, "too large")
            yield chunk


def _wanted(request: h11.Request) -> tuple[str, str, str]:
    """Kind, name and file (or ''). Raises Refused."""
    if request.method not in {b"GET", b"HEAD"}:
        raise Refused(405, "only GET and HEAD")
    headers = request.headers
    if [value for name, value in headers if name == b"host" and value in _HOSTS] == []:
        raise Refused(421, "another host")
    if any(name == b"transfer-encoding" for name, _ in headers) or any(
        name == b"content-length" and value != b"0" for name, value in headers
    ):
        raise Refused(400, "a request for a page has no body")
    target = request.target.decode("ascii", "replace")
    for pattern, kind in _ROUTES:
        match = pattern.fullmatch(target)
        if match is None:
            continue
        name = re.sub("%2f", "/", match[1], flags=re.IGNORECASE)
        if len(name) <= _LONGEST_NAME:
            return kind, name, unquote(match[2]) if pattern.groups == 2 else ""
    raise Refused(404, "only index pages, and archives that they name")


class _Answer:
    """One request and its answer; then the connection is over."""

    def __init__(self, caller: socket.socket, portion: Portion) -> None:
        self._caller, self._portion = caller, portion
        self._http = h11.Connection(h11.SERVER, _REQUEST_LIMIT)
        self._head = False

    def request(self) -> h11.Request:
        """What is asked. Raises Refused, OSError."""
        end = monotonic() + self._portion.asking
        while True:
            event = self._http.next_event()
            if isinstance(event, h11.Request):
                self._head = event.method == b"HEAD"
                return event
            left = end - monotonic()
            if event is not h11.NEED_DATA or left <= 0:
                raise TimeoutError
            self._caller.settimeout(left)
            self._http.receive_data(self._caller.recv(_REQUEST_LIMIT))  # b"": it has hung up

    def refuse(self, status: int, why: str) -> None:
        """Say why not, unless an answer has begun: then it just breaks off."""
        if self._http.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            self.whole(status, "text/plain", f"e2brun: {why}\n".encode())

    def whole(self, status: int, media_type: str, body: bytes) -> None:
        self._begin(status, media_type, len(body))
        if not self._head:
            self._send(h11.Data(body))
        self._send(h11.EndOfMessage())

    def stream(self, size: int | None, chunks: Iterator[bytes]) -> None:
        self._begin(200, "application/octet-stream", size)
        if not self._head:
            for chunk in chunks:
                self._send(h11.Data(chunk))
        self._send(h11.EndOfMessage())

    def _begin(self, status: int, media_type: str, size: int | None) -> None:
        headers = [("content-type", media_type), ("connection", "close")]
        if size is not None:
            headers.append(("content-length", str(size)))
        self._caller.settimeout(self._portion.idle)
        self._send(h11.Response(status_code=status, headers=headers))

    def _send(self, event: h11.Event) -> None:
        self._caller.sendall(self._http.send(event) or b"")
