"""Who may read and write files over HTTP: by token or by signature (E2B_PROTOCOL 4.6)."""

from __future__ import annotations

import hmac
import time

from e2brun.server.access.signed import signature
from e2brun.server.http.messages import ApiError, Request
from e2brun.server.sandboxes.records import Record


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
    if not expiration.isdigit() or len(expiration) > 18:
        raise ApiError(401, "invalid signature expiration")
    return int(expiration) < time.time()
