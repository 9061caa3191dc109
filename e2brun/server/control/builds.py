"""The endpoints of template builds, as both SDKs and E2B's CLI call them (E2B_PROTOCOL 2.4)."""

from __future__ import annotations

import hmac
import os
import re
from pathlib import Path

from e2brun.sandbox.local import templates as built_in
from e2brun.sandbox.local.registered import (
    DEFAULT_TAG,
    FAILED,
    WAITING,
    Build,
    Line,
    Registered,
    split_name,
)
from e2brun.server.builds.plan import HASH, plan_of
from e2brun.server.control import catalog, objects
from e2brun.server.http.fields import Fields, number
from e2brun.server.http.messages import ApiError, Refused, Request, Response, json_response
from e2brun.server.sandboxes.registry import Registry

UPLOADS = "/build-files/"
_PAGE = 100  # log entries an answer, as E2B has it
_TEMPLATES = 10_000
_BUILDS = 1000  # that were asked for and have not ended
_TAG = re.compile(r"[a-z0-9._-]{1,64}", re.ASCII)


async def request(request: Request, registry: Registry) -> Response:
    """A template of this name, and a build of it that is still to be told."""
    fields = Fields(await request.json())
    split = split_name(fields.text("name") or fields.text("alias"))
    if split is None:
        message = "the name of a template is made of a-z, 0-9, - and _, and may have a :tag"
        raise ApiError(400, message)
    name, tag = split
    if built_in.find(name) is not None:
        raise Refused(403, f"template {name!r} is built in: take another name")
    tags = [_tag(given) for given in fields.texts("tags") or []]
    if tag != DEFAULT_TAG or not tags:
        tags.insert(0, tag)
    store = registry.builder.templates
    template = store.find(name)
    if len(store.unfinished()) >= _BUILDS:
        message = f"{_BUILDS} builds have not ended, or were never begun: delete their templates"
        raise Refused(429, message)
    if template is None:
        if len(store.templates) >= _TEMPLATES:
            raise Refused(429, f"there are {_TEMPLATES} templates already")
        template = Registered(name)
        store.templates[template.id] = template
    build = Build(tags=tuple(dict.fromkeys(tags)))
    template.builds[build.id] = build
    store.save()
    told = {
        "templateID": template.id,
        "buildID": build.id,
        "public": False,
        "names": [name],
        "aliases": [name],
        "tags": list(build.tags),
    }
    return json_response(told, status=202)


async def file_link(request: Request, registry: Registry, template: str, key: str) -> Response:
    """Whether the files are here, and where to send them."""
    _found(registry, template)
    if not HASH.fullmatch(key):
        raise ApiError(400, "the hash of files is a SHA-256 in lower-case hex")
    host = request.headers.get("host", "")
    url = f"{request.scheme}://{host}{UPLOADS}{key}?token={_token(registry, key)}"
    present = registry.builder.files.find(key) is not None
    return json_response({"present": present, "url": url}, status=201)


async def upload(request: Request, registry: Registry) -> Response:
    """PUT to such an address: its token is the permission."""
    key = request.raw_path.partition("?")[0].removeprefix(UPLOADS)
    given = request.query.get("token", "").encode("utf-8", "replace")
    if not hmac.compare_digest(given, _token(registry, key).encode()):
        raise ApiError(401, "the token of this address is wrong")
    if request.method != "PUT":
        raise Refused(405, "this endpoint takes PUT", allow="PUT")
    written = registry.builder.files.begin()
    try:
        await _take(request, written, registry.options.disk)
        registry.builder.files.keep(key, written)
    finally:
        written.unlink(missing_ok=True)
    return Response(200)


async def _take(request: Request, path: Path, limit: int) -> None:
    """The body into a file. Raises ApiError 413 past `limit` bytes."""
    size, flags = 0, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "wb", buffering=0) as file:
        async for piece in request.pieces():
            size += len(piece)
            if size > limit:
                raise ApiError(413, f"the files are larger than a sandbox's disk: {limit} bytes")
            file.write(piece)


async def start(request: Request, registry: Registry, template: str, build_id: str) -> Response:
    found, build = _build(registry, template, build_id)
    plan = plan_of(await request.json())
    if build.status != WAITING:
        raise ApiError(409, f"build {build.id} was started already")
    registry.builder.start(found, build, plan)
    return Response(202)


async def status(request: Request, registry: Registry, template: str, build_id: str) -> Response:
    found, build = _build(registry, template, build_id)
    offset = number(request.query, "logsOffset", lowest=0, highest=10**9) or 0
    limit = number(request.query, "limit", lowest=0, highest=_PAGE)
    told: objects.Wire = {
        "templateID": found.id,
        "buildID": build.id,
        "status": build.status,
        "logs": [],
        "logEntries": [
            _line(line) for line in build.log[offset : offset + (_PAGE if limit is None else limit)]
        ],
    }
    if build.status == FAILED:
        entries = [_line(line) for line in build.log if line.step == build.step and build.step]
        told["reason"] = {"message": build.reason, "logEntries": entries[-_PAGE:]}
        if build.step:
            told["reason"]["step"] = build.step
    return json_response(told)


async def logs(request: Request, registry: Registry, template: str, build_id: str) -> Response:
    _, build = _build(registry, template, build_id)
    limit = number(request.query, "limit", lowest=0, highest=1000) or _PAGE
    return json_response({"logs": [_line(line) for line in build.log[:limit]]})


async def assign_tags(request: Request, registry: Registry) -> Response:
    fields = Fields(await request.json())
    target, tags = fields.text("target"), [_tag(tag) for tag in fields.texts("tags") or []]
    template = _found(registry, target)
    split = split_name(target)
    build = template.build(split[1] if split else DEFAULT_TAG)
    if build is None:
        raise catalog.missing(target)
    if not tags:
        raise ApiError(400, "tags must not be empty")
    template.assign(build, tuple(tags))
    registry.builder.templates.save()
    return json_response({"tags": tags, "buildID": build.id}, status=201)


async def delete_tags(request: Request, registry: Registry) -> Response:
    fields = Fields(await request.json())
    template = _found(registry, fields.text("name"))
    tags = [_tag(tag) for tag in fields.texts("tags") or []]
    missing = [tag for tag in tags if tag not in template.tags]
    if missing:
        raise ApiError(404, f"template {template.name!r} has no tag {missing[0]!r}")
    for tag in tags:
        del template.tags[tag]
    registry.builder.templates.trim(template)
    registry.builder.templates.save()
    return Response(204)


async def tags(request: Request, registry: Registry, template: str) -> Response:
    found = _found(registry, template)
    told = [
        {"tag": tag, "buildID": build_id, "createdAt": objects.timestamp(when)}
        for tag, (build_id, when) in found.tags.items()
    ]
    return json_response(told)


async def update(request: Request, registry: Registry, template: str) -> Response:
    """To publish one means nothing here."""
    found = _found(registry, template)
    await request.json()
    return json_response({"names": [found.name]})


def _tag(text: str) -> str:
    if not _TAG.fullmatch(text):
        raise ApiError(400, f"{text[:100]!r} cannot be a tag: a-z, 0-9, - . and _")
    return text


def _token(registry: Registry, key: str) -> str:
    told = f"build-file:{key}".encode("utf-8", "replace")
    return hmac.new(registry.options.key.encode(), told, "sha256").hexdigest()


def _found(registry: Registry, text: str) -> Registered:
    template = registry.builder.templates.find(text)
    if template is None:
        raise catalog.missing(text)
    return template


def _build(registry: Registry, template: str, build_id: str) -> tuple[Registered, Build]:
    found = _found(registry, template)
    if build_id not in found.builds:
        raise ApiError(404, f"build {build_id[:64]!r} was not found")
    return found, found.builds[build_id]


def _line(line: Line) -> objects.Wire:
    return objects.logged(line) | ({"step": line.step} if line.step else {})
