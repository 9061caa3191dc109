"""Secrets: kept under a name, and told to nobody: E2B fills them in where a request leaves a
sandbox, which nothing here does (`network` refuses such rules)."""

from __future__ import annotations

import re
import time
from dataclasses import replace

from e2brun.server.control import objects, paging
from e2brun.server.http.fields import Fields
from e2brun.server.http.messages import ApiError, Request, Response, json_response
from e2brun.server.sandboxes.registry import Registry
from e2brun.server.sandboxes.secrets import PREFIX, Secret

_NAME = re.compile(r"[^{}\x00-\x1f\x7f-\x9f]{1,255}")
_VALUE_LIMIT = 64 * 1024  # bytes
_ENTRIES, _KEY_LIMIT, _TEXT_LIMIT, _METADATA_LIMIT = 32, 128, 1024, 8192  # as E2B's API says
_SECRETS = 10_000


async def create(request: Request, registry: Registry) -> Response:
    fields, kept = Fields(await request.json()), registry.secrets
    name = fields.text("name").lower()
    if not _NAME.fullmatch(name) or name.startswith(PREFIX):
        message = "the name of a secret must not be empty, begin with sec_ or have {} in it"
        raise ApiError(400, message)
    if name in kept.by_name:
        raise ApiError(409, f"there is a secret {name[:100]!r} already")
    if len(kept.by_name) >= _SECRETS:
        raise ApiError(429, f"there are {_SECRETS} secrets already")
    secret = Secret(name, _value(fields), _metadata(fields) or {})
    kept.save({**kept.by_name, name: secret})
    return json_response(_wire(secret), status=201)


async def listing(request: Request, registry: Registry) -> Response:
    found = ((int(1e6 * one.created), one.id, one) for one in registry.secrets.by_name.values())
    return paging.page(found, request.query, _wire)


async def show(request: Request, registry: Registry, name: str) -> Response:
    return json_response(_wire(registry.secrets.find(name)))


async def update(request: Request, registry: Registry, name: str) -> Response:
    """A new version."""
    kept, fields = registry.secrets, Fields(await request.json())
    old, metadata = kept.find(name), _metadata(fields)
    secret = replace(
        old,
        value=_value(fields),
        version=old.version + 1,
        updated=time.time(),
        metadata=old.metadata if metadata is None else metadata,
    )
    kept.save({**kept.by_name, secret.name: secret})
    return json_response(_wire(secret))


async def delete(_request: Request, registry: Registry, name: str) -> Response:
    kept = registry.secrets
    secret = kept.find(name)
    kept.save({name: one for name, one in kept.by_name.items() if one is not secret})
    return Response(204)


def _value(fields: Fields) -> str:
    value = fields.text("value")
    if not value or len(value.encode()) > _VALUE_LIMIT:
        raise ApiError(400, f"the value of a secret has from 1 to {_VALUE_LIMIT} bytes")
    return value


def _metadata(fields: Fields) -> dict[str, str] | None:
    if "metadata" not in fields:
        return None
    given = fields.metadata()
    sizes = [(len(key.encode()), len(text.encode())) for key, text in given.items()]
    if (
        len(sizes) > _ENTRIES
        or any(key > _KEY_LIMIT or text > _TEXT_LIMIT for key, text in sizes)
        or sum(key + text for key, text in sizes) > _METADATA_LIMIT
    ):
        raise ApiError(400, f"metadata: at most {_ENTRIES} entries, {_METADATA_LIMIT} bytes in all")
    return given


def _wire(secret: Secret) -> objects.Wire:
    return {
        "secretID": secret.id,
        "name": secret.name,
        "currentVersion": secret.version,
        "metadata": secret.metadata,
        "createdAt": objects.timestamp(secret.created),
        "updatedAt": objects.timestamp(secret.updated),
    }
