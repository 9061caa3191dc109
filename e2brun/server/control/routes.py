"""The control plane's endpoints: from method and path to the function that answers."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

from e2brun.server.control import (
    builds,
    catalog,
    create,
    listing,
    network,
    operations,
    secrets,
    snapshots,
    telemetry,
    volumes,
)
from e2brun.server.http.fields import segments
from e2brun.server.http.messages import ApiError, Refused, Request, Response
from e2brun.server.sandboxes import lifecycle
from e2brun.server.sandboxes.registry import Registry

# Called with the request, the registry, and what stands for these words: a part as it is, the id of
# a sandbox (alive or not), the Record of one.
_WORDS = _NAME, _ID, _SANDBOX = "*", "ID", "SANDBOX"
_Answer = Callable[..., Awaitable[Response]]
_SANDBOX_ID = re.compile(r"[a-z0-9]{1,64}", re.ASCII)
_ENDPOINTS: dict[str, dict[str, _Answer]] = {
    "v2/sandboxes": {"POST": create.create, "GET": listing.page},
    "sandboxes": {"POST": create.create_old, "GET": listing.running},
    "sandboxes/metrics": {"GET": telemetry.latest},
    "sandboxes/ID/logs": {"GET": telemetry.logs},
    "v2/sandboxes/ID/logs": {"GET": telemetry.logs_page},
    "sandboxes/SANDBOX": {"GET": operations.show, "DELETE": operations.kill},
    "sandboxes/SANDBOX/connect": {"POST": operations.connect},
    "v2/sandboxes/SANDBOX/connect": {"POST": operations.connect},
    "sandboxes/SANDBOX/resume": {"POST": operations.resume},
    "sandboxes/SANDBOX/timeout": {"POST": operations.set_timeout},
    "sandboxes/SANDBOX/refreshes": {"POST": operations.refresh},
    "sandboxes/SANDBOX/pause": {"POST": operations.pause},
    "sandboxes/SANDBOX/network": {"PUT": network.update},
    "sandboxes/SANDBOX/snapshots": {"POST": snapshots.take},
    "sandboxes/SANDBOX/fork": {"POST": snapshots.fork},
    "sandboxes/SANDBOX/metrics": {"GET": telemetry.metrics},
    "snapshots": {"GET": snapshots.listing},
    "secrets": {"GET": secrets.listing, "POST": secrets.create},
    "secrets/*": {"GET": secrets.show, "POST": secrets.update, "DELETE": secrets.delete},
    "volumes": {"GET": volumes.listing, "POST": volumes.create},
    "volumes/*": {"GET": volumes.show, "DELETE": volumes.destroy},
    "templates": {"GET": catalog.listing},
    "v2/templates": {"GET": catalog.page},
    "default-templates": {"GET": catalog.listing},
    "v3/templates": {"POST": builds.request},
    "templates/tags": {"POST": builds.assign_tags, "DELETE": builds.delete_tags},
    "templates/aliases/*": {"GET": catalog.alias},
    "templates/*": {"GET": catalog.show, "DELETE": catalog.delete, "PATCH": builds.update},
    "v2/templates/*": {"PATCH": builds.update},
    "templates/*/tags": {"GET": builds.tags},
    "templates/*/files/*": {"GET": builds.file_link},
    "v2/templates/*/builds/*": {"POST": builds.start},
    "templates/*/builds/*/status": {"GET": builds.status},
    "templates/*/builds/*/logs": {"GET": builds.logs},
    "teams": {"GET": catalog.teams},
    "health": {"GET": operations.health},
    "metrics": {"GET": telemetry.scraped},
}
_BY_LENGTH: dict[int, list[tuple[tuple[str, ...], dict[str, _Answer]]]] = {}
for _path, _methods in _ENDPOINTS.items():
    _form = tuple(_path.split("/"))
    _BY_LENGTH.setdefault(len(_form), []).append((_form, _methods))
# What E2B offers and this service does not: said once, so that no client tries again.
_ABSENT = {
    "templates": "templates are built by Template.build of the SDKs 2.x (POST /v3/templates)",
    "access-tokens": "there are no users here: the API key is all that is needed",
    "api-keys": "there is one API key here, and it was set when the service was started",
    "nodes": "there are no nodes here: the service is one process",
    "admin": "there is nothing to administer here",
}


async def handle(request: Request, registry: Registry) -> Response:
    """Answer one request with the right key. Raises ApiError."""
    parts = segments(request.raw_path)
    for form, methods in _BY_LENGTH.get(len(parts), ()):
        pairs = tuple(zip(form, parts, strict=True))
        if all(word == part or word in _WORDS for word, part in pairs):
            answer = methods.get(request.method)
            if answer is None:
                allowed = ", ".join(sorted(methods))
                raise Refused(405, f"this endpoint takes {allowed}", allow=allowed)
            named = (_meant(word, part, registry) for word, part in pairs if word in _WORDS)
            return await answer(request, registry, *named)
    raise _refusal(parts)


def _meant(word: str, part: str, registry: Registry) -> Any:
    """What an endpoint is given for a part of its path. Raises ApiError."""
    if word == _NAME:
        return part
    sandbox_id = part.partition("-")[0]  # old clients append the id of a machine: `id-clientID`
    if not _SANDBOX_ID.fullmatch(sandbox_id):
        raise ApiError(400, "that is not the id of a sandbox")
    record = registry.records.get(sandbox_id)
    if record is None and word == _SANDBOX:
        raise lifecycle.missing(sandbox_id)
    return sandbox_id if word == _ID else record


def _refusal(parts: tuple[str, ...]) -> ApiError:
    """The error for a path that no function answers: with its reason, where there is one."""
    if parts[0] in ("v2", "v3"):
        parts = parts[1:]
    reason = _ABSENT.get(parts[0]) if parts else None
    if reason is not None:
        return Refused(400, reason)
    return Refused(404, "there is no such endpoint")
