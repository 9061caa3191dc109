"""The things said to the kernel about a network namespace, in raw rtnetlink messages.

Which addresses are the host's own, routes that lead nowhere; no `ip` program is needed.
Layouts: linux/netlink.h, linux/rtnetlink.h.
"""

from __future__ import annotations

import _socket
import errno
import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from typing import NamedTuple

_NEWROUTE, _GETROUTE = 24, 26
ERROR, _DONE = 2, 3
REQUEST, ACK, _DUMP, CREATE = 0x001, 0x004, 0x300, 0x400
_TABLE_MAIN, _TABLE_LOCAL = 254, 255
_PROTOCOL_STATIC = 4
_UNICAST, _UNREACHABLE = 1, 7
_RTA_DST = 1
_SOL_NETLINK, _GET_STRICT_CHK = 270, 12
_HEADER, _ROUTE = struct.Struct("=IHHII"), struct.Struct("=BBBBBBBBI")
_BATCH = 100  # more acknowledgements at once would not fit the socket's buffer
_ANSWER_SECONDS = 5.0


class Network(NamedTuple):
    """An IPv4 or IPv6 prefix; `address` is 4 or 16 bytes."""

    address: bytes
    length: int

    @classmethod
    def parse(cls, text: str) -> Network:
        """`169.254.0.0/16`, `10.0.2.2/32`, `::/0`."""
        address, _, length = text.partition("/")
        family = _socket.AF_INET6 if ":" in address else _socket.AF_INET
        return cls(_socket.inet_pton(family, address), int(length))

    def holds(self, address: bytes) -> bool:
        """Whether an address of the same family is in it."""
        rest = 8 * len(self.address) - self.length
        both = int.from_bytes(self.address), int.from_bytes(address)
        return both[0] >> rest == both[1] >> rest


_ALL_IPV6 = Network.parse("::/0")


def local_networks() -> list[Network]:
    """Every IPv4 address the kernel takes for this namespace's own, broadcast ones included."""
    with closing(connection()) as kernel:
        # Since Linux 4.20 only the table asked for is sent; before, all of them are.
        try:
            kernel.setsockopt(_SOL_NETLINK, _GET_STRICT_CHK, 1)
        except OSError as error:
            if error.errno != errno.ENOPROTOOPT:
                raise
        body = _ROUTE.pack(_socket.AF_INET, 0, 0, 0, _TABLE_LOCAL, 0, 0, 0, 0)
        kernel.send(message(_GETROUTE, REQUEST | _DUMP, body, 1))
        found: list[Network] = []
        for kind, _, content in answers(kernel):
            if kind == _DONE:
                return found
            if kind == _NEWROUTE and (network := _own(content)) is not None:
                found.append(network)
    raise AssertionError("a dump ends with NLMSG_DONE")


def close(networks: Iterable[Network]) -> None:
    """To these, and by IPv6, nobody finds a way out of this namespace: there is a route that
    answers "no route to host" at once. Raises OSError."""
    ipv6 = [_ALL_IPV6] if os.path.isdir("/proc/sys/net/ipv6") else []
    _ask([(_NEWROUTE, _unreachable(network)) for network in (*networks, *ipv6)], CREATE)
    # Where /proc/sys is read-only: slirp4netns hears no IPv6 as it is started here.
    with suppress(OSError), open("/proc/sys/net/ipv6/conf/default/disable_ipv6", "w") as file:
        file.write("1")


def _unreachable(network: Network) -> bytes:
    family = _socket.AF_INET if len(network.address) == 4 else _socket.AF_INET6
    route = _ROUTE.pack(
        family, network.length, 0, 0, _TABLE_MAIN, _PROTOCOL_STATIC, 0, _UNREACHABLE, 0
    )
    return route + struct.pack("=HH", 4 + len(network.address), _RTA_DST) + network.address


def _own(content: bytes) -> Network | None:
    """The destination of a route in the local table; None for another table, or for `default`."""
    _, length, _, _, table, _, _, kind, _ = _ROUTE.unpack_from(content)
    if table != _TABLE_LOCAL or kind == _UNICAST:
        return None
    at = _ROUTE.size
    while at + 4 <= len(content):
        size, attribute = struct.unpack_from("=HH", content, at)
        if attribute == _RTA_DST:
            return Network(content[at + 4 : at + size], length)
        at += max(4, size + 3 & ~3)
    return None


def connection(protocol: int = _socket.NETLINK_ROUTE) -> _socket.socket:
    kernel = _socket.socket(_socket.AF_NETLINK, _socket.SOCK_RAW, protocol)
    kernel.settimeout(_ANSWER_SECONDS)
    return kernel


def message(kind: int, flags: int, body: bytes, number: int) -> bytes:
    padding = b"\0" * (-len(body) % 4)
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, number, 0) + body + padding


def _ask(requests: list[tuple[int, bytes]], flags: int = 0) -> None:
    """Have the kernel do each of them. Raises OSError for the first it refuses."""
    with closing(connection()) as kernel:
        for start in range(0, len(requests), _BATCH):
            batch = requests[start : start + _BATCH]
            messages = (
                message(kind, REQUEST | ACK | flags, body, number)
                for number, (kind, body) in enumerate(batch)
            )
            kernel.send(b"".join(messages))
            answered = answers(kernel)
            for _ in batch:
                next(answered)


def answers(kernel: _socket.socket, name: str = "rtnetlink") -> Iterator[tuple[int, int, bytes]]:
    """(type, number, content) of what the kernel sends. Raises OSError for an error it reports."""
    while True:
        data = kernel.recv(1 << 18)
        at = 0
        while at + _HEADER.size <= len(data):
            length, kind, _, number, _ = _HEADER.unpack_from(data, at)
            content = data[at + _HEADER.size : at + length]
            if kind == ERROR:
                code = -struct.unpack_from("=i", content)[0]
                if code:
                    raise OSError(code, f"{name}: {os.strerror(code)}")
            yield kind, number, content
            at += max(_HEADER.size, length + 3 & ~3)
