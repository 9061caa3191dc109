"""Where a service listens, under which address it is reached, and what key it asks for."""

from __future__ import annotations

import errno
import ipaddress
import secrets
import socket

from e2brun.errors import E2brunError, UsageError


class CannotListen(E2brunError):
    """The address is in use, or not ours to listen on."""


def new_key() -> str:
    """In the form that old SDKs insist on."""
    return f"e2b_{secrets.token_hex(20)}"


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def bind(host: str, port: int) -> socket.socket:
    """A socket bound to it, not listening yet. Raises CannotListen, UsageError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise UsageError(f"--host {host!a}: not an address of this machine") from error
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(1)  # from here on nobody else gets it; the backlog is set when it serves
    except OSError as error:
        listener.close()
        where = f"{host}:{port}"
        if error.errno == errno.EADDRINUSE:
            message = f"{where} is in use"
            raise CannotListen(
                message, hint="Choose another --port; 0 takes a free one."
            ) from error
        raise CannotListen(f"cannot listen on {where}: {error.strerror}") from error
    return listener


def port_of(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


def url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    address = ipaddress.ip_address(host)
    if address.is_unspecified:
        address = ipaddress.ip_address("127.0.0.1" if address.version == 4 else "::1")
    return f"http://{address}:{port}" if address.version == 4 else f"http://[{address}]:{port}"
