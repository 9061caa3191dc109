"""Templates: the built-in ones and the snapshots, as clients look them up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from e2brun.sandbox.local import templates as local_templates
from e2brun.sandbox.local.registered import FAILED, READY, Build, Registered
from e2brun.sandbox.local.templates import Template
from e2brun.server.control import objects
from e2brun.server.http.messages import PERMANENT, ApiError, Request, Response, json_response

if TYPE_CHECKING:
    from e2brun.server.sandboxes.registry import Registry

_BUILD = "00000000-0000-0000-0000-000000000000"
_SINCE = 1_750_000_000  # when the built-in templates were made, as far as clients care


def templates() -> Sequence[Template]:
    """The built-in templates."""
    return local_templates.TEMPLATES


def find(name: str) -> Template | None:
    """By id, name or alias; a `:default` tag is the same."""
    return local_templates.find(name.removesuffix(":default"))


async def listing(_request: Request, registry: Registry) -> Response:
    """GET /templates"""
    built = [_built(one, registry) for one in registry.builder.templates.templates.values()]
    return json_response([*built, *(_wire(template, registry) for template in templates())])


async def alias(_request: Request, registry: Registry, name: str) -> Response:
    """GET /templates/aliases/{alias}"""
    template = find(name)
    if template is not None:
        return json_response({"templateID": template.template_id, "public": True})
    built = registry.builder.templates.find(name)
    if built is not None:
        return json_response({"templateID": built.id, "public": False})
    snapshot = registry.snapshots.find(name)
    if snapshot is not None:
        return json_response({"templateID": snapshot.id, "public": False})
    raise ApiError(404, f"template {name[:100]!r} was not found")


async def show(_request: Request, registry: Registry, name: str) -> Response:
    """GET /templates/{id}"""
    built = registry.builder.templates.find(name)
    if built is not None:
        builds = [_build(build, registry) for build in reversed(built.builds.values())]
        return json_response({**_built(built, registry), "builds": builds})
    template = find(name)
    if template is None:
        raise ApiError(404, f"template {name[:100]!r} was not found")
    return json_response({**_wire(template, registry), "builds": []})


async def delete(_request: Request, registry: Registry, name: str) -> Response:
    """DELETE /templates/{id}: of a snapshot, too"""
    if registry.snapshots.delete(name):
        return Response(204)
    built = registry.builder.templates.find(name)
    if built is not None:
        registry.builder.templates.delete(built)
        return Response(204)
    if find(name) is not None:
        raise ApiError(400, "a built-in template cannot be deleted", headers=PERMANENT)
    raise ApiError(404, f"template {name[:100]!r} was not found")


async def teams(_request: Request, registry: Registry) -> Response:
    """GET /teams"""
    team = {"teamID": _BUILD, "name": "local", "apiKey": registry.options.key, "isDefault": True}
    return json_response([team])


def _wire(template: Template, registry: Registry) -> objects.Wire:
    made = objects.timestamp(_SINCE)
    names = list(dict.fromkeys((template.name, *template.aliases)))
    return {
        "templateID": template.template_id,
        "buildID": _BUILD,
        **objects.machine(registry.options),
        "public": True,
        "aliases": names,
        "names": names,
        "createdAt": made,
        "updatedAt": made,
        "createdBy": None,
        "lastSpawnedAt": None,
        "spawnCount": 0,
        "buildCount": 1,
        "buildStatus": "ready",
        "isDefault": True,
    }


def _built(template: Registered, registry: Registry) -> objects.Wire:
    newest = template.newest
    return {
        "templateID": template.id,
        "buildID": newest.id,
        **objects.machine(registry.options),
        "public": False,
        "aliases": [template.name],
        "names": [template.name],
        "createdAt": objects.timestamp(template.created),
        "updatedAt": objects.timestamp(newest.updated),
        "createdBy": None,
        "lastSpawnedAt": objects.timestamp(template.last_spawned) if template.spawned else None,
        "spawnCount": template.spawned,
        "buildCount": len(template.builds),
        "buildStatus": newest.status,
        "isDefault": False,
    }


def _build(build: Build, registry: Registry) -> objects.Wire:
    wire: objects.Wire = {
        "buildID": build.id,
        "status": build.status,
        "createdAt": objects.timestamp(build.created),
        "updatedAt": objects.timestamp(build.updated),
        **objects.machine(registry.options),
    }
    if build.status in (READY, FAILED):
        wire["finishedAt"] = wire["updatedAt"]
    return wire
