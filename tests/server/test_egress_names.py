"""The name in a connection's first bytes, and whose names are allowed."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from functools import cache
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2brun.sandbox.local.isolation.out_of_reach import NAMESERVER
from e2brun.server.egress import names, rules
from e2brun.server.egress.first_words import NotTold, Said, http_host, server_name
from e2brun.server.egress.names import Egress, allows
from e2brun.server.http.messages import ApiError
from e2brun.server.http.passing import pass_on
from e2brun.server.serving import loop_factory


@cache
def _hello(name: str) -> bytes:
    out = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return out.read()


def _said(data: bytes, *, tls: bool) -> Said | None:
    """None: it does not say."""

    async def read() -> Said | None:
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        reader.feed_eof()
        try:
            return await (server_name if tls else http_host)(reader)
        except (NotTold, asyncio.IncompleteReadError):
            return None

    return asyncio.run(read())


def test_a_client_hello_says_its_server_s_name_and_nothing_of_it_is_lost() -> None:
    hello = _hello("WWW.Example.com")
    assert _said(hello, tls=True) == Said("www.example.com", hello)
    assert _said(_hello("192.0.2.1"), tls=True) is None


def test_a_request_says_its_host() -> None:
    head = b"GET / HTTP/1.1\r\nX: y\r\nhost: Example.com:80\r\n\r\n"
    assert _said(head, tls=False) == Said("example.com", head)
    assert _said(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", tls=False) is None
    assert _said(b"GET / HTTP/1.1\r\nX: y\r\n\r\n", tls=False) is None
    assert _said(b"GET / HTTP/1.1\r\nX: " + b"y" * 100_000 + b"\r\n\r\n", tls=False) is None


@pytest.mark.parametrize(
    "odd",
    [b"a..b", b".b", b"a\0.b", b"a b", b"a@b", b"*.b", b"\x1b]0;x", b"x" * 64 + b".b", b"\xff"],
)
def test_what_is_no_name_is_not_looked_up(odd: bytes) -> None:
    assert _said(b"GET / HTTP/1.1\r\nHost: " + odd + b"\r\n\r\n", tls=False) is None
    plain = b"q" * min(len(odd), 63) + b"." * (len(odd) > 63) + b"q" * max(len(odd) - 64, 0)
    assert _said(_hello(plain.decode()).replace(plain, odd), tls=True) is None


def test_who_has_gone_meanwhile_is_not_told_of_an_end() -> None:
    async def run() -> None:
        with ExitStack() as stack:
            pair = [stack.enter_context(one) for one in socket.socketpair()]
            _, sink = await asyncio.open_connection(sock=pair[0])
            source = asyncio.StreamReader()
            source.feed_eof()
            sink.close()
            await sink.wait_closed()
            await pass_on(source, sink)

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(run())


@given(st.binary(max_size=200), st.integers(0, 600), st.booleans())
def test_whatever_is_sent_is_a_name_or_none(junk: bytes, at: int, tls: bool) -> None:
    start = _hello("example.com") if tls else b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"
    _said(start[:at] + junk + start[at + len(junk) :], tls=tls)


def test_a_star_stands_for_all_names_below() -> None:
    names = ("example.com", "*.wild.test")
    for name in ("example.com", "a.wild.test", "a.b.wild.test"):
        assert allows(names, name)
    for name in ("www.example.com", "wild.test", "notwild.test", "example.com.evil.test"):
        assert not allows(names, name)


def test_of_a_hello_that_is_longer_than_tls_has_it_nothing_is_waited_for() -> None:
    async def read() -> None:
        reader = asyncio.StreamReader()
        reader.feed_data(b"\x16\x03\x01\xff\xff")
        async with asyncio.timeout(10):
            await server_name(reader)

    with pytest.raises(NotTold):
        asyncio.run(read())


@pytest.mark.parametrize(
    ("network", "asked"),
    [
        ({"denyOut": ["192.0.2.1"]}, True),
        ({"denyOut": ["8.8.8.8"]}, False),
        ({"denyOut": ["0.0.0.0/0"]}, False),
        ({"denyOut": ["0.0.0.0/0"], "allowOut": ["8.8.8.0/24"]}, True),
        ({"denyOut": ["0.0.0.0/0"], "allowOut": ["example.com"]}, True),
        ({"denyOut": ["0.0.0.0/0"], "allowOut": ["example.com"], "dnsServers": []}, False),
    ],
)
def test_our_name_server_is_reached_where_e2b_s_would_be(
    network: dict[str, list[str]], asked: bool
) -> None:
    found = rules.of(network, internet=None)
    assert found is not None
    assert [NAMESERVER in found.allow, NAMESERVER in found.deny] == [asked, not asked]


class _Unable:
    """A sandbox in whose network nothing can be filtered."""

    async def confine(self, rules: object) -> list[int]:
        raise OSError(93, "nftables: Protocol not supported")


def test_rules_that_the_kernel_cannot_keep_are_refused_with_its_reason() -> None:
    egress = Egress(cast("Any", _Unable()))
    with pytest.raises(ApiError, match="nftables: Protocol not supported") as caught:
        asyncio.run(egress.follow({"denyOut": ["0.0.0.0/0"]}, internet=None))
    assert caught.value.status == 400
    asyncio.run(egress.follow({"allowOut": ["192.0.2.1"]}, internet=None))  # says nothing


class _Filtered:
    """A sandbox whose connections to names come to the doors that it hands over."""

    def __init__(self) -> None:
        self.address: Any = None

    async def confine(self, _rules: object) -> list[int]:
        doors = [socket.create_server(("127.0.0.1", 0)) for _ in rules.NAMED_PORTS]
        self.address = doors[0].getsockname()
        return [door.detach() for door in doors]


_NAMED = {"allowOut": ["example.com"], "denyOut": ["0.0.0.0/0"]}


@asynccontextmanager
async def _following(live: _Filtered) -> AsyncIterator[Egress]:
    egress = Egress(cast("Any", live))
    await egress.follow(_NAMED, internet=None)
    try:
        yield egress
    finally:
        egress.close()


async def _dialled(live: _Filtered, stack: ExitStack) -> socket.socket:
    client = stack.enter_context(socket.socket())
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, live.address)
    return client


async def _ends(client: socket.socket) -> bool:
    async with asyncio.timeout(10):
        with suppress(ConnectionResetError):  # what it said was not read
            return await asyncio.get_running_loop().sock_recv(client, 1) == b""
        return True


def test_who_says_no_name_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "_PATIENCE", 0.05)

    async def go() -> bool:
        live = _Filtered()
        async with _following(live):
            with ExitStack() as stack:
                return await _ends(await _dialled(live, stack))

    assert asyncio.run(go())


def test_of_many_connections_those_past_the_most_are_hung_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(names, "_MOST", 2)

    async def go() -> None:
        live = _Filtered()
        async with _following(live):
            with ExitStack() as stack:
                clients = [await _dialled(live, stack) for _ in range(3)]
                assert await _ends(clients[2])
                for client in clients[:2]:
                    with pytest.raises(BlockingIOError):
                        client.recv(1)

    asyncio.run(go())


def test_who_was_let_through_is_dropped_when_the_rules_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(names, "_PATIENCE", 60)

    async def go() -> bool:
        live = _Filtered()
        async with _following(live) as egress:
            with ExitStack() as stack:
                client = await _dialled(live, stack)
                while not egress._connections:  # it has come
                    await asyncio.sleep(0)
                await egress.follow({"denyOut": ["192.0.2.1"]}, internet=None)
                return await _ends(client)

    assert asyncio.run(go())
