"""The name in a connection's first bytes, and whose names are allowed."""

from __future__ import annotations

import asyncio
import ssl
from functools import cache
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2brun.server.egress.first_words import NotTold, Said, http_host, server_name
from e2brun.server.egress.names import Egress, allows
from e2brun.server.http.messages import ApiError


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
