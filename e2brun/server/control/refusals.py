"""What E2B offers and this service does not: said once, so that no client tries again."""

from __future__ import annotations

from e2brun.server.http.messages import PERMANENT, ApiError

_REASONS = {
    "templates": "templates are built by Template.build of the SDKs 2.x (POST /v3/templates)",
    "access-tokens": "there are no users here: the API key is all that is needed",
    "api-keys": "there is one API key here, and it was set when the service was started",
    "nodes": "there are no nodes here: the service is one process",
    "admin": "there is nothing to administer here",
}


def refuse(parts: tuple[str, ...]) -> ApiError:
    """The error for a path that no function answers: with its reason, where there is one."""
    if parts[0] in ("v2", "v3"):
        parts = parts[1:]
    reason = _REASONS.get(parts[0]) if parts else None
    if reason is not None:
        return ApiError(400, reason, headers=PERMANENT)
    return ApiError(404, "there is no such endpoint", headers=PERMANENT)


def wrong_method(allowed: list[str]) -> ApiError:
    """The error for a path that is known, with other methods."""
    headers = {**PERMANENT, "allow": ", ".join(sorted(allowed))}
    return ApiError(405, f"this endpoint takes {', '.join(sorted(allowed))}", headers=headers)
