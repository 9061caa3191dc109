"""Making sandboxes, and finding them again by id."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from e2brun.sandbox.local import templates
from e2brun.sandbox.local.template_setup import Setup
from e2brun.server.control import network, objects, volumes
from e2brun.server.egress.rules import limits
from e2brun.server.http.fields import Fields
from e2brun.server.http.messages import ApiError, Refused, Request, Response, json_response
from e2brun.server.sandboxes.records import Lifecycle, Mount, Origin
from e2brun.server.sandboxes.registry import Registry
from e2brun.values import Network

_TIMEOUT, _OLD_TIMEOUT = 300, 15
_UNSUPPORTED = {
    "iam": "workload identities (iam) are not available here",
    "sidecars": "sidecars are not available here",
}


async def create(request: Request, registry: Registry) -> Response:
    return await _create(request, registry, _TIMEOUT, secure=True)


async def create_old(request: Request, registry: Registry) -> Response:
    """Of older clients: those before 2.0 send no token unless it is secure, and
    reach it by its https name alone"""
    secure = not registry.options.domain
    return await _create(request, registry, _OLD_TIMEOUT, secure=secure)


async def _create(
    request: Request, registry: Registry, default_timeout: int, *, secure: bool
) -> Response:
    body = await request.json()

    async def work() -> Response:
        fields = Fields(body)
        for name, reason in _UNSUPPORTED.items():
            if fields.raw(name):
                raise Refused(400, reason)
        mounts = await volumes.mounts(fields, registry)
        origin, tree = _origin(fields, registry, mounts, secure=secure)
        seconds = fields.timeout(default_timeout)
        record = await registry.create(origin, seconds, tree=tree)
        return json_response(objects.created(record, registry.options), status=201)

    key = request.headers.get("idempotency-key")
    canonical = json.dumps(body, sort_keys=True).encode() if key is not None else b""
    return await registry.idempotency.once(key, canonical, work)


def _origin(
    fields: Fields, registry: Registry, mounts: tuple[Mount, ...], *, secure: bool
) -> tuple[Origin, Path | None]:
    name = fields.text("templateID")
    if not name:
        raise ApiError(400, "templateID is required")
    environment, metadata = fields.environment(), fields.metadata()
    internet, wanted = fields.flag("allow_internet_access"), fields.object("network")
    kept = None if wanted is None else network.settings(wanted)
    connected = internet is not False
    if registry.options.network is not Network.INTERNET and limits(kept, internet):
        connected = False  # all of the packages, or none
    origin = Origin(
        template_id=name,
        alias=None,
        setup=Setup(""),
        metadata=metadata,
        environment=environment,
        lifecycle=_lifecycle(fields),
        network=kept,
        internet=internet,
        secure=bool(fields.flag("secure")) or secure,
        connected=connected,
        mounts=mounts,
    )
    return _from_template(name, origin, registry)


def _from_template(name: str, origin: Origin, registry: Registry) -> tuple[Origin, Path | None]:
    snapshot = registry.snapshots.find(name)
    if snapshot is not None:
        source = snapshot.origin
        made = replace(
            origin,
            template_id=snapshot.id,
            setup=source.setup,
            environment={**source.environment, **origin.environment},
            mounts=origin.mounts or source.mounts,
        )
        return made, snapshot.tree
    # The SDKs' template for `mcp`: they start the gateway themselves, and say that it is missing.
    template = templates.find("base" if name == "mcp-gateway" else name)
    if template is not None:
        setup = Setup(template.name, template.packages)
        named = replace(origin, template_id=template.template_id, alias=template.name, setup=setup)
        return named, None
    built = registry.builder.ready(name)
    if built is None:
        message = (
            f"template {name[:100]!r} was not found: there are "
            f"{', '.join(template.name for template in templates.TEMPLATES)}, your own templates "
            "and your snapshots"
        )
        raise Refused(404, message)
    own, kept, tree = built
    own.spawned, own.last_spawned = own.spawned + 1, time.time()
    return replace(origin, template_id=own.id, alias=own.name, setup=kept.setup), tree


def _lifecycle(fields: Fields) -> Lifecycle:
    pause = bool(fields.flag("autoPause"))
    keep_memory = fields.flag("autoPauseMemory") is not False
    wanted: Any = fields.object("autoResume")
    auto_resume = bool(wanted.flag("enabled")) if wanted is not None else False
    if not keep_memory and not pause:
        raise ApiError(400, "autoPauseMemory false needs autoPause")
    if not keep_memory and auto_resume:
        raise ApiError(400, "autoPauseMemory false cannot be combined with autoResume")
    return Lifecycle(pause, keep_memory, auto_resume)
