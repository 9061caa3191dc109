"""Asks an index, with its credentials, and goes nowhere but where that index sends.

To the index's own address; to other hosts only by https, by name and not by number, and only where
a page of the index names them. So a page can make nobody reach the services of this network.
"""

from __future__ import annotations

import base64
import os
import socket
import ssl
import stat
import threading
from collections.abc import Generator, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from time import monotonic
from typing import NamedTuple
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit
from urllib.request import url2pathname

import httpx

from e2brun.frozen import Frozen
from e2brun.values import values_in

_TIMEOUT = httpx.Timeout(30.0, connect=15.0)
_REDIRECTS = 5
_PAGE_LIMIT = 32 * 1024 * 1024
_LARGE = 1024 * 1024  # bytes of a page; what is made of it is many times that
_MOST_MARKS = 4_000_000  # of HTML or JSON, in a page
_CHUNK = 64 * 1024
_PORTS = {"http": 80, "https": 443}


class Refused(Exception):
    """What a sandbox asked for is not given: an HTTP status and why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Source(Frozen):
    """An index: its address without credentials, and the header that has them."""

    url: str
    headers: Mapping[str, str]
    insecure: bool = False  # its certificate is not looked at

    @staticmethod
    def with_login(
        url: str, user: str, headers: Mapping[str, str] | None = None, *, insecure: bool = False
    ) -> Source:
        """`user`: as it stands in an address, with its password; it goes before `headers`."""
        if user:
            name, _, password = user.partition(":")
            login = f"{unquote(name)}:{unquote(password)}".encode()
            headers = {"Authorization": f"Basic {base64.b64encode(login).decode()}"}
        return Source(url, headers or {}, insecure)

    def is_at(self, url: str) -> bool:
        return _origin(url) == _origin(self.url)


class Body(NamedTuple):
    """What is being sent: its size where that is told, its type, where it is from."""

    size: int | None
    media_type: str
    url: str
    chunks: Iterator[bytes]


class Upstream:
    """All requests for sandboxes."""

    def __init__(
        self, environment: Mapping[str, str], transport: httpx.BaseTransport | None = None
    ) -> None:
        self._transport = transport  # None: the network
        context = ssl.create_default_context()  # the system's, or SSL_CERT_FILE
        if not environment.get("SSL_CERT_FILE"):
            import certifi

            context.load_verify_locations(certifi.where())
        self._checking = self._client(context)
        self._careless: httpx.Client | None = None
        self._large = threading.Lock()

    @contextmanager
    def page(
        self, url: str, source: Source, accept: str, deadline: float
    ) -> Generator[tuple[Body, bytes] | None]:
        """A whole page; None where there is none. Of large ones one at a time, for all sandboxes:
        leave when it has been taken apart. Raises Refused, httpx.HTTPError."""
        with ExitStack() as turn:
            yield self._whole(turn, url, source, accept, deadline)

    def _whole(
        self, turn: ExitStack, url: str, source: Source, accept: str, deadline: float
    ) -> tuple[Body, bytes] | None:
        text, waited = bytearray(), False
        try:
            with self.opened(url, source, frozenset(), deadline, accept) as body:
                for chunk in body.chunks:
                    text += chunk
                    if len(text) > _PAGE_LIMIT:
                        raise Refused(502, f"a page of more than {_PAGE_LIMIT} bytes")
                    if len(text) > _LARGE and not waited:
                        self._wait(turn, deadline)
                        waited = True
        except Refused as refused:
            if refused.status == 404:
                return None
            raise
        page = bytes(text)
        if values_in(page, _MOST_MARKS) + page.count(b"<") > _MOST_MARKS:
            raise Refused(502, "the index sent no page")
        return body, page

    def _wait(self, turn: ExitStack, deadline: float) -> None:
        if not self._large.acquire(timeout=max(0.0, deadline - monotonic())):
            raise Refused(503, "the mirror reads other large pages: try again")
        turn.callback(self._large.release)

    @contextmanager
    def opened(
        self, url: str, source: Source, hosts: frozenset[str], deadline: float, accept: str = ""
    ) -> Generator[Body]:
        """What is at an address that a page of `source` names, as one that names these hosts.
        Raises Refused, httpx.HTTPError, also while it is read."""
        if url.startswith("file:"):
            with _opened_file(url, source, deadline) as body:
                yield body
            return
        for _ in range(_REDIRECTS + 1):
            _check(url, source, hosts)
            with self._ask(url, source, accept) as response:
                if not response.has_redirect_location:
                    yield _body(response, deadline, decoded=bool(accept))
                    return
                url = urljoin(url, response.headers["location"])
        raise Refused(502, "the index sends round and round")

    def _ask(self, url: str, source: Source, accept: str) -> AbstractContextManager[httpx.Response]:
        headers = {"Accept": accept, "Accept-Encoding": "gzip"} if accept else {
            "Accept": "*/*", "Accept-Encoding": "identity",
        }  # fmt: skip
        client = self._checking
        if source.is_at(url):
            headers |= source.headers
            if source.insecure:
                client = self._careless = self._careless or self._client(verify=False)
        return client.stream("GET", url, headers=headers)

    def _client(self, verify: ssl.SSLContext | bool) -> httpx.Client:
        nobody_waits = httpx.Limits(max_connections=None, max_keepalive_connections=32)
        return httpx.Client(
            verify=verify, timeout=_TIMEOUT, limits=nobody_waits, transport=self._transport
        )


def _body(response: httpx.Response, deadline: float, *, decoded: bool) -> Body:
    status = response.status_code
    if status in {404, 410}:
        raise Refused(404, "the index has no such thing")
    if status != 200:
        raise Refused(502, f"the index answered {status}")
    headers = response.headers
    if decoded and headers.get("content-encoding", "identity") not in {"identity", "gzip"}:
        raise Refused(502, "the index sent what was not asked for")
    size = headers.get("content-length", "")
    chunks = response.iter_bytes() if decoded else response.iter_raw()  # as they come
    return Body(
        int(size) if size else None,  # h11 has looked at it
        headers.get("content-type", "").partition(";")[0].strip().lower(),
        str(response.url),
        _in_time(chunks, deadline),
    )


def _in_time(chunks: Iterator[bytes], deadline: float) -> Iterator[bytes]:
    for chunk in chunks:
        if monotonic() > deadline:
            raise Refused(504, "the index is too slow")
        yield chunk


@contextmanager
def _opened_file(url: str, source: Source, deadline: float) -> Generator[Body]:
    """A file of this machine, where the index is one itself."""
    if not source.url.startswith("file:"):
        raise Refused(403, "the index names a file of this machine")
    path = url2pathname(urlsplit(url).path)
    try:
        # Not to wait for who writes to a pipe.
        file = open(path, "rb", opener=lambda p, flags: os.open(p, flags | os.O_NONBLOCK))  # noqa: SIM115  # closed below
    except OSError as error:
        raise Refused(404, "the index has no such thing") from error
    with file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise Refused(404, "the index has no such thing")
        chunks = iter(lambda: file.read(_CHUNK), b"")
        yield Body(found.st_size, "text/html", url, _in_time(chunks, deadline))


def _check(url: str, source: Source, hosts: frozenset[str]) -> None:
    if source.is_at(url):
        return
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname in hosts and not _is_number(parts.hostname):
        return
    raise Refused(403, "the index sends to a host that its page does not name over https")


def _is_number(host: str) -> bool:
    """As whoever looks it up reads it: 127.1 and 0x7f000001 are such."""
    with suppress(OSError):
        socket.inet_aton(host)
        return True
    return ":" in host or f".{host}".rstrip(".").endswith(".localhost")


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    try:
        return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        raise Refused(502, "the index names an address that is none") from None


def without_user(url: str) -> tuple[str, str]:
    """An address without the user in it, and that user with the password, as written."""
    parts = urlsplit(url)
    user, _, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=host)), user
