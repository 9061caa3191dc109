"""The control plane's endpoints: from method and path to the function that answers."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from e2brun.server.control import (
    builds,
    catalog,
    create,
    listing,
    network,
    operations,
    refusals,
    secrets,
    snapshots,
    telemetry,
    volumes,
)
from e2brun.server.http.fields import segments
from e2brun.server.http.messages import ApiError, Request, Response
from e2brun.server.sandboxes import lifecycle

if TYPE_CHECKING:
    from e2brun.server.sandboxes.records import Record
    from e2brun.server.sandboxes.registry import Registry

_Plain = Callable[[Request, "Registry"], Awaitable[Response]]
_About = Callable[[Request, "Registry", "Record"], Awaitable[Response]]
_Named = Callable[[Request, "Registry", str], Awaitable[Response]]

_T = TypeVar("_T")

_SANDBOX_ID = re.compile(r"[a-z0-9]{1,64}", re.ASCII)

_PLAIN: dict[tuple[str, ...], dict[str, _Plain]] = {
    ("v2", "sandboxes"): {"POST": create.create, "GET": listing.page},
    ("sandboxes",): {"POST": create.create_old, "GET": listing.running},
    ("sandboxes", "metrics"): {"GET": telemetry.latest},
    ("snapshots",): {"GET": snapshots.listing},
    ("secrets",): {"GET": secrets.listing, "POST": secrets.create},
    ("volumes",): {"GET": volumes.listing, "POST": volumes.create},
    ("templates",): {"GET": catalog.listing},
    ("v2", "templates"): {"GET": catalog.listing},
    ("v3", "templates"): {"POST": builds.request},
    ("templates", "tags"): {"POST": builds.assign_tags, "DELETE": builds.delete_tags},
    ("default-templates",): {"GET": catalog.listing},
    ("teams",): {"GET": catalog.teams},
    ("health",): {"GET": operations.health},
    ("metrics",): {"GET": telemetry.scraped},
}

# Below /sandboxes/{id}, and below /v2/sandboxes/{id}.
_ABOUT: dict[tuple[str, ...], dict[str, _About]] = {
    (): {"GET": operations.show, "DELETE": operations.kill},
    ("connect",): {"POST": operations.connect},
    ("resume",): {"POST": operations.resume},
    ("timeout",): {"POST": operations.set_timeout},
    ("refreshes",): {"POST": operations.refresh},
    ("pause",): {"POST": operations.pause},
    ("network",): {"PUT": network.update},
    ("snapshots",): {"POST": snapshots.take},
    ("fork",): {"POST": snapshots.fork},
    ("metrics",): {"GET": telemetry.metrics},
}
_ABOUT_V2: dict[tuple[str, ...], dict[str, _About]] = {("connect",): {"POST": operations.connect}}
# With a name where the star is.
_NAMED: dict[tuple[str, ...], dict[str, _Named]] = {
    ("secrets", "*"): {"GET": secrets.show, "POST": secrets.update, "DELETE": secrets.delete},
    ("volumes", "*"): {"GET": volumes.show, "DELETE": volumes.destroy},
    ("templates", "aliases", "*"): {"GET": catalog.alias},
    ("templates", "*", "tags"): {"GET": builds.tags},
    ("templates", "*"): {"GET": catalog.show, "DELETE": catalog.delete, "PATCH": builds.update},
    ("v2", "templates", "*"): {"PATCH": builds.update},
}


async def handle(request: Request, registry: Registry) -> Response:
    """Answer one request with the right key. Raises ApiError."""
    parts = segments(request.raw_path)
    match parts:
        case _ if parts in _PLAIN:
            return await _pick(request, _PLAIN[parts])(request, registry)
        case ("sandboxes", sandbox_id, "logs"):
            return await _logs(telemetry.logs, request, registry, sandbox_id)
        case ("v2", "sandboxes", sandbox_id, "logs"):
            return await _logs(telemetry.logs_page, request, registry, sandbox_id)
        case ("sandboxes", sandbox_id, *rest) if tuple(rest) in _ABOUT:
            answer = _pick(request, _ABOUT[tuple(rest)])
        case ("v2", "sandboxes", sandbox_id, *rest) if tuple(rest) in _ABOUT_V2:
            answer = _pick(request, _ABOUT_V2[tuple(rest)])
        case _:
            return await _about_a_name(request, registry, parts)
    record = registry.find(_plain_id(sandbox_id))
    if record is None:
        raise lifecycle.missing(_plain_id(sandbox_id))
    return await answer(request, registry, record)


async def _logs(answer: _Named, request: Request, registry: Registry, name: str) -> Response:
    return await _pick(request, {"GET": answer})(request, registry, _plain_id(name))


async def _about_a_name(request: Request, registry: Registry, parts: tuple[str, ...]) -> Response:
    match parts:
        case ("templates", name, "files", key):
            return await _pick(request, {"GET": builds.file_link})(request, registry, name, key)
        case ("v2", "templates", name, "builds", build):
            return await _pick(request, {"POST": builds.start})(request, registry, name, build)
        case ("templates", name, "builds", build, "status" | "logs" as what):
            answer = {"status": builds.status, "logs": builds.logs}[what]
            return await _pick(request, {"GET": answer})(request, registry, name, build)
        case _:
            pass
    for form, methods in _NAMED.items():
        if len(form) == len(parts) and all(f in ("*", p) for f, p in zip(form, parts, strict=True)):
            name = parts[form.index("*")]
            return await _pick(request, methods)(request, registry, name)
    raise refusals.refuse(parts)


def _plain_id(text: str) -> str:
    """Old clients append the id of a machine: `id-clientID`."""
    sandbox_id = text.partition("-")[0]
    if not _SANDBOX_ID.fullmatch(sandbox_id):
        raise ApiError(400, "that is not the id of a sandbox")
    return sandbox_id


def _pick(request: Request, methods: dict[str, _T]) -> _T:
    found = methods.get(request.method)
    if found is not None:
        return found
    raise refusals.wrong_method(list(methods))
