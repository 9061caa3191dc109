"""Who is let in, and where to: the checks on a request's headers that come before any plane.

The key keeps other users of the machine out. Host and Origin keep web pages out: a browser on
this machine reaches loopback as well, under any name an attacker's DNS answers for.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import re
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from e2brun.server.http.listening import is_loopback
from e2brun.server.http.messages import ApiError, Request
from e2brun.server.options import ServiceOptions
from e2brun.server.sandboxes.records import Record

_OPERATIONS = {"GET": "read", "HEAD": "read", "POST": "write"}

# Old clients append the id of a machine: `id-clientID`.
_SANDBOX_HOST = re.compile(r"([0-9]{1,5})-([a-z0-9]{1,64})(?:-[a-z0-9]{1,64})?\.", re.ASCII)
_PORT = re.compile(r"[0-9]{1,5}", re.ASCII)
_ANY_ADDRESS = frozenset({"0.0.0.0", "::"})  # noqa: S104  # compared with, not bound to


@dataclass(frozen=True, slots=True)
class Target:
    """A port of a sandbox; `by_name`: the Host header says so, not the routing headers."""

    sandbox_id: str
    port: int
    by_name: bool


def target(request: Request) -> Target | None:
    """Which sandbox the request is for; None: none. Raises ApiError 400."""
    sandbox_id = request.headers.get("e2b-sandbox-id")
    port = request.headers.get("e2b-sandbox-port")
    if sandbox_id is None and port is None:
        match = _SANDBOX_HOST.match(request.headers.get("host", "").lower())
        if match is None:
            return None
        return Target(match[2], _port(match[1]), by_name=True)
    if sandbox_id is None or port is None:
        raise ApiError(400, "E2b-Sandbox-Id and E2b-Sandbox-Port must be sent together")
    return Target(sandbox_id.partition("-")[0], _port(port), by_name=False)


def _port(text: str) -> int:
    if not _PORT.fullmatch(text) or not 1 <= int(text) <= 65535:
        raise ApiError(400, "the port of the sandbox must be a number from 1 to 65535")
    return int(text)


def check_host(request: Request, options: ServiceOptions) -> None:
    """Raises ApiError 421 for a Host header that this service does not go by."""
    name = _host_name(request.headers.get("host", ""))
    if is_loopback(name) or name.endswith(".localhost") or name in options.allowed_hosts:
        return
    if name and name == options.host.lower():
        return
    if options.host in _ANY_ADDRESS:
        # An address in the Host header was typed as one: no name was rebound to it.
        with suppress(ValueError):
            ipaddress.ip_address(name)
            return
    raise ApiError(421, "this service does not go by the name in the Host header")


def check_origin(request: Request) -> None:
    """Raises ApiError 403 for a request from a web page other than the service's own."""
    origin = request.headers.get("origin")
    if origin is None:
        return
    _, separator, authority = origin.partition("://")
    if not separator or authority.lower() != request.headers.get("host", "").lower():
        raise ApiError(403, "requests from other web pages are refused")


def check_traffic_token(request: Request, record: Record) -> None:
    """Raises ApiError 403 when the sandbox's ports demand a token that was not sent."""
    if record.traffic_token is None:
        return
    given = request.headers.get("e2b-traffic-access-token", "").encode("latin-1", "replace")
    if not hmac.compare_digest(given, record.traffic_token.encode()):
        message = "the sandbox demands its traffic access token (E2B-Traffic-Access-Token)"
        raise ApiError(403, message, more={"sandboxId": record.id})


def check_access_token(request: Request, record: Record) -> None:
    """Raises ApiError 401 without the token that whoever made the sandbox was given."""
    given = request.headers.get("x-access-token", "")
    if not given and not record.origin.secure:
        return
    if not hmac.compare_digest(given.encode("latin-1"), record.envd_token.encode()):
        raise ApiError(401, "unauthorized access, please provide a valid access token")


def _host_name(host: str) -> str:
    """The name or address of `name:port`, `[::1]:port`, in lower case."""
    host = host.lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].removesuffix(".")


def signature(query: Mapping[str, str], operation: str, token: str) -> str:
    """What the clients compute over the parameters of a /files URL."""
    parts = [query.get("path", ""), operation, query.get("username", ""), token]
    if "signature_expiration" in query:
        parts.append(query["signature_expiration"])
    digest = hashlib.sha256(":".join(parts).encode(errors="surrogateescape")).digest()
    return "v1_" + base64.b64encode(digest).decode("ascii").rstrip("=")


def signer(records: Iterable[Record], method: str, query: Mapping[str, str]) -> Record | None:
    """The sandbox whose token signed it, whether or not that has expired."""
    given = query.get("signature", "").encode(errors="replace")
    operation = _OPERATIONS.get(method, "")
    found = None
    for record in records:  # all of them: the time it takes tells nothing
        expected = signature(query, operation, record.envd_token).encode()
        if hmac.compare_digest(expected, given):
            found = record
    return found


def check_signature(request: Request, record: Record, operation: str) -> None:
    """`operation` is read or write. Raises ApiError 401 with the words that clients know."""
    token = request.headers.get("x-access-token")
    if token is not None:
        if not hmac.compare_digest(token.encode("latin-1"), record.envd_token.encode()):
            raise ApiError(401, "access token present in header but does not match")
        return
    query = request.query
    if "signature" not in query and not record.origin.secure:
        return
    if "signature" not in query:
        raise ApiError(401, "missing signature query parameter")
    expected = signature(query, operation, record.envd_token).encode()
    if not hmac.compare_digest(expected, query["signature"].encode("utf-8", "replace")):
        raise ApiError(401, "invalid signature")
    expiration = query.get("signature_expiration")
    if expiration is not None and _passed(expiration):
        raise ApiError(401, "signature is already expired")


def _passed(expiration: str) -> bool:
    if not expiration.isdecimal() or len(expiration) > 18:
        raise ApiError(401, "invalid signature expiration")
    return int(expiration) < time.time()
