"""Snapshots: the files of a sandbox under a name, to make new sandboxes from."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from e2brun.server.control import objects, paging
from e2brun.server.control.fields import Fields, number
from e2brun.server.control.names import TEAM, full_name, split_name
from e2brun.server.http.messages import PERMANENT, ApiError, Request, Response, json_response
from e2brun.server.sandboxes import lifecycle
from e2brun.server.sandboxes.durable import load, store
from e2brun.server.sandboxes.records import Origin

if TYPE_CHECKING:
    from e2brun.server.sandboxes.records import Record
    from e2brun.server.sandboxes.registry import Registry

_FORKS = 20


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One snapshot. Its id is what sandboxes are created from."""

    id: str
    names: tuple[str, ...]
    origin: Origin  # of the sandbox it was taken of
    source: str  # that sandbox's id
    tree: Path
    taken: int = field(default_factory=lambda: time.time_ns() // 1000)

    def wire(self) -> objects.Wire:
        """As clients read it."""
        return {"snapshotID": self.id, "names": list(self.names)}


class Snapshots:
    """All snapshots of a service; with `durable` the next one in this directory has them too."""

    def __init__(self, directory: Path, *, durable: bool) -> None:
        self.directory, self._durable = directory, durable
        self._index = directory / "snapshots.json"
        self._snapshots: dict[str, Snapshot] = {}
        if durable:
            self._snapshots = load(self._index, dict[str, Snapshot], {})

    def all(self) -> list[Snapshot]:
        """In no order."""
        return list(self._snapshots.values())

    def find(self, text: str) -> Snapshot | None:
        """By its id, or by its name with or without team and tag."""
        return self._snapshots.get(text) or self._snapshots.get(full_name(text))

    def keep(self, snapshot: Snapshot) -> None:
        """Add it; one of the same name is replaced."""
        self.delete(snapshot.id)
        self._snapshots[snapshot.id] = snapshot
        self._save()

    def delete(self, text: str) -> bool:
        """Whether there was one."""
        found = self.find(text)
        if found is None:
            return False
        del self._snapshots[found.id]
        self._save()
        found.tree.unlink(missing_ok=True)
        return True

    def _save(self) -> None:
        if self._durable:
            store(self._index, dict[str, Snapshot], self._snapshots)


async def take(request: Request, registry: Registry, record: Record) -> Response:
    """POST /sandboxes/{id}/snapshots"""
    fields = Fields(await request.json())
    if fields.flag("memory"):
        message = (
            "this service keeps the filesystem only in a snapshot: processes and memory cannot "
            "be kept. Leave `memory` out, or take it with mode 'filesystem'."
        )
        raise ApiError(400, message, headers=PERMANENT)
    snapshot_id, names = _identity(fields.text("name"))
    tree = await lifecycle.capture(registry, record)
    snapshot = Snapshot(snapshot_id, names, record.origin, record.id, tree)
    registry.snapshots.keep(snapshot)
    record.journal.note("snapshot taken", snapshot=snapshot_id)
    return json_response(snapshot.wire(), status=201)


def _identity(name: str) -> tuple[str, tuple[str, ...]]:
    if not name:
        return f"{secrets.token_hex(10)}:default", ()
    full = full_name(name)
    if not full:
        message = "the name of a snapshot is made of a-z, 0-9, - and _, and may have a :tag"
        raise ApiError(400, message)
    return full, (full.removesuffix(":default"),)


async def listing(request: Request, registry: Registry) -> Response:
    """GET /snapshots"""
    query = request.query
    found = registry.snapshots.all()
    if source := query.get("sandboxID", ""):
        found = [snapshot for snapshot in found if snapshot.source == source.partition("-")[0]]
    if name := query.get("name", ""):
        split = split_name(name)
        wanted = f"{TEAM}/{split[0]}" if split else ""
        tagged = f":{split[1]}" if split and ":" in name else ""
        found = [s for s in found if s.names and s.id.startswith(f"{wanted}:") and tagged in s.id]
    limit = number(query, "limit", lowest=1, highest=100) or 100
    ordered = sorted(((s.taken, s.id, s) for s in found), key=lambda entry: entry[:2], reverse=True)
    page = paging.page(ordered, query.get("nextToken", ""), limit, descending=True)
    return json_response([s.wire() for s in page.items], headers=page.headers)


async def fork(request: Request, registry: Registry, record: Record) -> Response:
    """POST /sandboxes/{id}/fork"""
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
