"""Snapshots: the files of a sandbox under a name, to make new sandboxes from."""

from __future__ import annotations

import secrets

from e2brun.sandbox.local.registered import TEAM, full_name, split_name
from e2brun.server.control import objects, paging
from e2brun.server.http.fields import Fields
from e2brun.server.http.messages import ApiError, Refused, Request, Response, json_response
from e2brun.server.sandboxes import lifecycle
from e2brun.server.sandboxes.records import Record
from e2brun.server.sandboxes.registry import Registry
from e2brun.server.sandboxes.snapshots import Snapshot

_FORKS = 20
_SNAPSHOTS = 10_000


def _wire(snapshot: Snapshot) -> objects.Wire:
    return {"snapshotID": snapshot.id, "names": list(snapshot.names)}


async def take(request: Request, registry: Registry, record: Record) -> Response:
    fields = Fields(await request.json())
    if fields.flag("memory"):
        message = (
            "this service keeps the filesystem only in a snapshot: processes and memory cannot "
            "be kept. Leave `memory` out, or take it with mode 'filesystem'."
        )
        raise Refused(400, message)
    snapshot_id, names = _identity(fields.text("name"))
    kept = registry.snapshots.by_id
    if len(kept) >= _SNAPSHOTS and snapshot_id not in kept:
        raise Refused(429, f"there are {_SNAPSHOTS} snapshots already")
    tree = await lifecycle.capture(registry, record)
    snapshot = Snapshot(snapshot_id, names, record.origin, record.id, tree)
    registry.snapshots.keep(snapshot)
    record.journal.note("snapshot taken", snapshot=snapshot_id)
    return json_response(_wire(snapshot), status=201)


def _identity(name: str) -> tuple[str, tuple[str, ...]]:
    if not name:
        return f"{secrets.token_hex(10)}:default", ()
    full = full_name(name)
    if not full:
        message = "the name of a snapshot is made of a-z, 0-9, - and _, and may have a :tag"
        raise ApiError(400, message)
    return full, (full.removesuffix(":default"),)


async def listing(request: Request, registry: Registry) -> Response:
    query = request.query
    found = list(registry.snapshots.by_id.values())
    if source := query.get("sandboxID", ""):
        found = [snapshot for snapshot in found if snapshot.source == source.partition("-")[0]]
    if name := query.get("name", ""):
        split = split_name(name)
        wanted = f"{TEAM}/{split[0]}" if split else ""
        tagged = f":{split[1]}" if split and ":" in name else ""
        found = [s for s in found if s.names and s.id.startswith(f"{wanted}:") and tagged in s.id]
    return paging.page(((s.taken, s.id, s) for s in found), query, _wire)


async def fork(request: Request, registry: Registry, record: Record) -> Response:
    import asyncio

    fields = Fields(await request.json())
    timeout = fields.timeout(15)
    count = fields.integer("count", 1, lowest=1, highest=_FORKS)
    tree = await lifecycle.capture(registry, record)

    async def make() -> objects.Wire:
        try:
            made = await registry.create(record.origin, timeout, tree=tree)
        except ApiError as error:
            return {"error": {"code": error.status, "message": error.message}}
        made.journal.note("forked: files were copied, processes were not", source=record.id)
        return {"sandbox": objects.created(made, registry.options)}

    try:
        results = await asyncio.gather(*(make() for _ in range(count)))
    finally:
        tree.unlink(missing_ok=True)
    return json_response(results, status=201)
