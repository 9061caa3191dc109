"""Volumes: made, found, mounted in new sandboxes, destroyed. What is in them: `volume_content`."""

from __future__ import annotations

import posixpath
import re

from e2brun.errors import SandboxError
from e2brun.sandbox.contract import HOME
from e2brun.sandbox.local.host.file_worker import FileTrouble
from e2brun.server.control.objects import Wire
from e2brun.server.http.fields import Fields, bad
from e2brun.server.http.messages import ApiError, Refused, Request, Response, json_response
from e2brun.server.sandboxes.records import Mount
from e2brun.server.sandboxes.registry import Registry
from e2brun.server.sandboxes.volumes import Volume, Volumes
from e2brun.values import is_table

_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)
_VOLUMES = 10_000
_MOUNTS = 16  # in one sandbox
_LONGEST, _LONGEST_NAME = 1024, 255  # bytes of a path, and of each name in it
# Below these a volume can be mounted; otherwise in a new directory of the root, or in /mnt.
_WRITABLE = (HOME, "/tmp", "/var/tmp", "/root", "/code", "/mnt")
_SYSTEM = frozenset(
    {"bin", "boot", "code", "dev", "etc", "home", "lib", "lib32", "lib64", "libx32", "opt", "proc",
     "root", "run", "sbin", "sys", "tmp", "usr", "var"}
)  # fmt: skip


async def create(request: Request, registry: Registry) -> Response:
    name, volumes = Fields(await request.json()).text("name"), registry.volumes
    if not _NAME.fullmatch(name):
        raise Refused(400, "the name of a volume has from 1 to 128 letters, digits, _ and - in it")
    if any(one.name == name for one in volumes.by_id.values()):
        raise Refused(409, f"there is a volume {name!r} already")
    if len(volumes.by_id) >= _VOLUMES:
        raise Refused(429, f"there are {_VOLUMES} volumes already")
    return json_response(_with_token(volumes.create(name)), status=201)


async def listing(_request: Request, registry: Registry) -> Response:
    return json_response([_wire(one) for one in registry.volumes.by_id.values()])


async def show(_request: Request, registry: Registry, name: str) -> Response:
    return json_response(_with_token(registry.volumes.find(name)))


async def destroy(_request: Request, registry: Registry, name: str) -> Response:
    try:
        await registry.volumes.destroy(registry.volumes.find(name))
    except (FileTrouble, SandboxError, OSError) as error:
        raise ApiError(500, f"not all of the volume could be removed: {error}") from error
    return Response(204)


async def mounts(fields: Fields, registry: Registry) -> tuple[Mount, ...]:
    """`volumeMounts`. Raises ApiError."""
    items = fields.items("volumeMounts") or []
    if len(items) > _MOUNTS:
        raise Refused(400, f"a sandbox may have {_MOUNTS} volumes")
    found: list[Mount] = []
    for item in items:
        if not is_table(item):
            raise bad("volumeMounts", "a list of objects")
        mount = await _mount(Fields(item), registry.volumes)
        if any(_overlap(mount.path, other.path) for other in found):
            raise Refused(400, f"volumeMounts: two at {mount.path!r}")
        found.append(mount)
    if found and registry.volumes.disk_is_short():
        raise Refused(507, "the disk of this machine is nearly full")
    return tuple(found)


async def _mount(fields: Fields, volumes: Volumes) -> Mount:
    path = _place(fields.text("path"))
    try:
        volume = volumes.find(fields.text("name"))
        if volumes.contents[volume.id].looked < 0 or volumes.excess(volume.id):
            await volumes.look(volume.id)
    except (ApiError, FileTrouble) as error:
        raise Refused(400, f"volumeMounts: {error}") from None
    if why := volumes.excess(volume.id):
        raise Refused(400, f"{why}: remove some of it first")
    return Mount(volume.id, volume.name, path)


def _place(path: str) -> str:
    """Where it may be mounted. Raises ApiError."""
    place = posixpath.normpath(path)
    first = place.split("/")[1] if place.startswith("/") else ""
    within = any(place.startswith(f"{top}/") for top in _WRITABLE)
    longest = max(len(name.encode()) for name in place.split("/"))
    too_long = len(place.encode()) > _LONGEST or longest > _LONGEST_NAME
    if not place.isprintable() or "\\" in place or too_long:
        raise Refused(400, "volumeMounts: no volume can be mounted there")
    if place.startswith("//") or not first or (first in _SYSTEM and not within):
        message = (
            f"volumeMounts: no volume can be mounted at {path!r}: name a directory of its own, "
            "as /mnt/data"
        )
        raise Refused(400, message)
    return place


def _overlap(one: str, other: str) -> bool:
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def _wire(volume: Volume) -> Wire:
    return {"volumeID": volume.id, "name": volume.name}


def _with_token(volume: Volume) -> Wire:
    return {**_wire(volume), "token": volume.token}
