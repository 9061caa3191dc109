"""A packet filter for what a network namespace sends, in raw netlink messages.

One table of our own, replaced whole in one transaction: there is no moment between old rules and
new ones. No `nft` program is needed. Layouts: linux/netfilter/nf_tables.h, nfnetlink.h.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterable, Sequence
from contextlib import closing
from typing import NamedTuple

from e2brun.sandbox.local.isolation import rtnetlink
from e2brun.sandbox.local.isolation.rtnetlink import ACK, CREATE, ERROR, REQUEST, Network

_NETLINK_NETFILTER, _SUBSYSTEM, _FAMILY_IP = 12, 10, 2
_BEGIN, _END = 16, 17
_NEW_TABLE, _DELETE_TABLE, _NEW_CHAIN, _NEW_RULE = (_SUBSYSTEM << 8 | kind for kind in (0, 2, 3, 6))
_APPEND = 0x800
_NESTED = 0x8000
_OUTPUT, _FILTERING, _TRANSLATING = 3, 0, -100  # a hook, and priorities at it
_ACCEPT = 1
_VERDICT_REGISTER, _REGISTER = 0, 1
_NETWORK_HEADER, _TRANSPORT_HEADER = 1, 2
_OUT_INTERFACE, _PROTOCOL = 5, 16  # what is known of a packet beside its bytes
_OWN = Network.parse("127.0.0.0/8")
_LOOPBACK = struct.pack("=I", 1)
_ADMINISTRATIVELY = 13  # an ICMP code: "prohibited"
_TABLE = b"e2brun\0"


class Redirect(NamedTuple):
    """TCP to this port goes to one of our own on the loopback."""

    port: int
    to: int


def replace(
    allow: Iterable[Network], deny: Iterable[Network], redirects: Sequence[Redirect] = ()
) -> None:
    """From now on what is not allowed and is denied gets nowhere. Raises OSError."""
    here = [_on_loopback(), _to(_OWN)]  # what was redirected has not left by the loopback yet
    allowed = [match + _accept() for match in (*here, *map(_to, allow))]
    translated = [_to_port(one.port) + _redirect(one.to) for one in redirects]
    filtered = [*allowed, *(_to(network) + _reject() for network in deny)]
    chains = [("filter", _FILTERING, filtered)]
    if translated:
        chains.append(("nat", _TRANSLATING, [*allowed, *translated]))
    table = _head(_FAMILY_IP, 0) + _attribute(1, _TABLE)
    messages = [
        (_NEW_TABLE, CREATE, table),  # or there may be none to delete
        (_DELETE_TABLE, 0, table),
        (_NEW_TABLE, CREATE, table),
    ]
    for kind, priority, rules in chains:
        messages.append((_NEW_CHAIN, CREATE, table + _chain(kind, priority)))
        messages += [(_NEW_RULE, CREATE | _APPEND, table + _rule(kind, rule)) for rule in rules]
    _transact(messages)


def _chain(kind: str, priority: int) -> bytes:
    hook = _attribute(1, struct.pack(">I", _OUTPUT)) + _attribute(2, struct.pack(">i", priority))
    name = kind.encode() + b"\0"
    return _attribute(3, name) + _nest(4, hook) + _attribute(7, name)


def _rule(kind: str, expressions: bytes) -> bytes:
    return _attribute(2, kind.encode() + b"\0") + _nest(4, expressions)


def _on_loopback() -> bytes:
    """Matches what goes to this namespace itself, by any of its addresses: answers, too."""
    return _expression("meta", _words(1, _REGISTER, _OUT_INTERFACE)) + _equal(_LOOPBACK)


def _to(network: Network) -> bytes:
    """Matches what goes there."""
    mask = ((1 << 32) - (1 << (32 - network.length))).to_bytes(4)
    masked = bytes(byte & bit for byte, bit in zip(network.address, mask, strict=True))
    bits = _words(1, _REGISTER, _REGISTER, 4)
    bits += _nest(4, _attribute(1, mask)) + _nest(5, _attribute(1, bytes(4)))
    loaded = _words(1, _REGISTER, _NETWORK_HEADER, 16, 4)
    return _expression("payload", loaded) + _expression("bitwise", bits) + _equal(masked)


def _to_port(port: int) -> bytes:
    """Matches TCP to this port."""
    protocol = _expression("meta", _words(1, _REGISTER, _PROTOCOL)) + _equal(b"\x06")
    loaded = _words(1, _REGISTER, _TRANSPORT_HEADER, 2, 2)
    return protocol + _expression("payload", loaded) + _equal(port.to_bytes(2))


def _equal(value: bytes) -> bytes:
    return _expression("cmp", _words(1, _REGISTER, 0) + _nest(3, _attribute(1, value)))


def _accept() -> bytes:
    verdict = _nest(2, _words(1, _ACCEPT))
    return _expression("immediate", _words(1, _VERDICT_REGISTER) + _nest(2, verdict))


def _reject() -> bytes:
    return _expression("reject", _words(1, 0) + _attribute(2, bytes([_ADMINISTRATIVELY])))


def _redirect(port: int) -> bytes:
    loaded = _words(1, _REGISTER) + _nest(2, _attribute(1, port.to_bytes(2)))
    return _expression("immediate", loaded) + _expression("redir", _words(1, _REGISTER))


def _expression(name: str, data: bytes) -> bytes:
    return _nest(1, _attribute(1, name.encode() + b"\0") + _nest(2, data))


def _words(first: int, *values: int) -> bytes:
    """Attributes with numbers from `first` on, each a word."""
    return b"".join(
        _attribute(first + at, struct.pack(">I", value)) for at, value in enumerate(values)
    )


def _head(family: int, subsystem: int) -> bytes:
    return struct.pack("=BB", family, 0) + struct.pack(">H", subsystem)


def _nest(kind: int, attributes: bytes) -> bytes:
    return _attribute(kind | _NESTED, attributes)


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def _transact(messages: Sequence[tuple[int, int, bytes]]) -> None:
    """All of them or none."""
    numbered = [(_BEGIN, 0, _head(0, _SUBSYSTEM)), *messages, (_END, 0, _head(0, _SUBSYSTEM))]
    last = len(messages)  # the only one that is answered, unless there is an error
    batch = b"".join(
        rtnetlink.message(kind, flags | REQUEST | (ACK if number == last else 0), body, number)
        for number, (kind, flags, body) in enumerate(numbered)
    )
    with closing(rtnetlink.connection(_NETLINK_NETFILTER)) as kernel:
        kernel.send(batch)
        kind, number, _ = next(rtnetlink.answers(kernel, "nftables"))
    if (kind, number) != (ERROR, last):  # which says that there was none
        raise OSError(errno.EPROTO, "nftables: it was not told that it was done")
