"""Templates: the built-in ones and the snapshots, as clients look them up."""

from __future__ import annotations

from e2brun.sandbox.local.registered import FAILED, READY, Build, Registered
from e2brun.sandbox.local.templates import TEMPLATES, Template, find
from e2brun.server.control import objects, paging
from e2brun.server.http.messages import ApiError, Refused, Request, Response, json_response
from e2brun.server.sandboxes.registry import Registry

_BUILD = "00000000-0000-0000-0000-000000000000"
_SINCE = 1_750_000_000  # when the built-in templates were made, as far as clients care


def missing(name: str) -> ApiError:
    return ApiError(404, f"template {name[:100]!r} was not found")


async def listing(_request: Request, registry: Registry) -> Response:
    return json_response([_wire(template, registry) for template in _every(registry)])


async def page(request: Request, registry: Registry) -> Response:
    """GET /v2/templates"""
    found = ((int(1e6 * one.created), one.id, one) for one in _every(registry))
    return paging.page(found, request.query, lambda template: _wire(template, registry))


def _every(registry: Registry) -> list[Registered]:
    return [*registry.builder.templates.templates.values(), *map(_built_in, TEMPLATES)]


def _built_in(template: Template) -> Registered:
    """As if somebody had built it."""
    build = Build(_BUILD, READY, created=_SINCE, updated=_SINCE)
    return Registered(template.name, template.template_id, _SINCE, builds={_BUILD: build})


async def alias(_request: Request, registry: Registry, name: str) -> Response:
    template = find(name)
    if template is not None:
        return json_response({"templateID": template.template_id, "public": True})
    found = registry.builder.templates.find(name) or registry.snapshots.find(name)
    if found is None:
        raise missing(name)
    return json_response({"templateID": found.id, "public": False})


async def show(_request: Request, registry: Registry, name: str) -> Response:
    own, template = registry.builder.templates.find(name), find(name)
    if own is not None:
        told = [_build(build, registry) for build in reversed(own.builds.values())]
        return json_response({**_wire(own, registry), "builds": told})
    if template is None:
        raise missing(name)
    return json_response({**_wire(_built_in(template), registry), "builds": []})


async def delete(_request: Request, registry: Registry, name: str) -> Response:
    """Of a snapshot, too."""
    if registry.snapshots.delete(name):
        return Response(204)
    built = registry.builder.templates.find(name)
    if built is not None:
        registry.builder.delete(built)
        return Response(204)
    if find(name) is not None:
        raise Refused(400, "a built-in template cannot be deleted")
    raise missing(name)


async def teams(_request: Request, registry: Registry) -> Response:
    team = {"teamID": _BUILD, "name": "local", "apiKey": registry.options.key, "isDefault": True}
    return json_response([team])


def _wire(template: Registered, registry: Registry) -> objects.Wire:
    newest, built_in = template.newest, find(template.name)
    names = [template.name, *(built_in.aliases if built_in is not None else ())]
    spawned = objects.timestamp(template.last_spawned) if template.spawned else None
    return {
        "buildID": newest.id,
        "names": names,
        "updatedAt": objects.timestamp(newest.updated),
        "lastSpawnedAt": spawned,
        "spawnCount": template.spawned,
        "buildCount": len(template.builds),
        "buildStatus": newest.status,
        "templateID": template.id,
        "createdAt": objects.timestamp(template.created),
        "aliases": names,
        "createdBy": None,
        "public": built_in is not None,
        "isDefault": built_in is not None,
        **objects.machine(registry.options),
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
