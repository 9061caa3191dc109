"""Signed URLs and tokens of files over HTTP (E2B_PROTOCOL 4.6): who may, and about which sandbox.

A signed URL names no sandbox, so the signature itself must tell.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Iterable, Mapping

from e2brun.server.http.messages import ApiError, Request
from e2brun.server.sandboxes.records import Record

_OPERATIONS = {"GET": "read", "HEAD": "read", "POST": "write"}


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


def check(request: Request, record: Record, operation: str) -> None:
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
