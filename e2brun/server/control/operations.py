"""What is done to one sandbox: shown, kept alive, paused, resumed, killed."""

from __future__ import annotations

import time
from dataclasses import replace

from e2brun.server.control import objects
from e2brun.server.http.fields import DAY, Fields
from e2brun.server.http.messages import ApiError, Request, Response, json_response
from e2brun.server.sandboxes import lifecycle
from e2brun.server.sandboxes.records import Record, State
from e2brun.server.sandboxes.registry import Registry

_CONNECT, _RESUME, _REFRESH = 300, 15, 15  # seconds, where the client does not say
_LONG_AGO = -(10**15)


async def health(_request: Request, _registry: Registry) -> Response:
    return Response(200, b"OK", {"content-type": "text/plain"})


async def show(_request: Request, registry: Registry, record: Record) -> Response:
    return json_response(objects.detailed(record, registry.options))


async def kill(_request: Request, registry: Registry, record: Record) -> Response:
    registry.kill(record, "a client asked for it")
    return Response(204)


async def connect(request: Request, registry: Registry, record: Record) -> Response:
    """Resumes it, or makes it live longer, never shorter."""
    fields = Fields(await request.json())
    timeout, memory = fields.timeout(_CONNECT), fields.flag("memory") is not False
    resumed = await lifecycle.resume(registry, record, timeout, memory=memory)
    if not resumed and time.time() + timeout > record.ends_at:
        registry.extend(record, timeout)
    status = 201 if resumed else 200
    return json_response(objects.created(record, registry.options), status=status)


async def resume(request: Request, registry: Registry, record: Record) -> Response:
    """Of older clients."""
    fields = Fields(await request.json())
    timeout, memory = fields.timeout(_RESUME), fields.flag("memory") is not False
    pause_later = fields.flag("autoPause")
    if not await lifecycle.resume(registry, record, timeout, memory=memory):
        raise ApiError(409, f"sandbox {record.id} is running already")
    if pause_later is not None:
        record.lifecycle = replace(record.lifecycle, pause=pause_later)
    return json_response(objects.created(record, registry.options), status=201)


async def set_timeout(request: Request, registry: Registry, record: Record) -> Response:
    fields = Fields(await request.json())
    if "timeout" not in fields:
        raise ApiError(400, "timeout is required")
    timeout = fields.timeout(0, lowest=_LONG_AGO)
    _need_running(record)
    registry.extend(record, max(0, timeout))
    return Response(204)


async def refresh(request: Request, registry: Registry, record: Record) -> Response:
    """Of older clients: makes it live longer, never shorter."""
    fields = Fields(await request.json())
    duration = fields.integer("duration", _REFRESH, lowest=0, highest=DAY)
    _need_running(record)
    if time.time() + duration > record.ends_at:
        registry.extend(record, duration)
    return Response(204)


async def pause(request: Request, registry: Registry, record: Record) -> Response:
    fields = Fields(await request.json())
    fields.flag("requireHealthyGuest")  # an agent that does not answer fails every pause here
    await lifecycle.pause(registry, record, memory=fields.flag("memory") is not False)
    return Response(204)


def _need_running(record: Record) -> None:
    if record.state is not State.RUNNING:
        raise ApiError(404, f"sandbox {record.id} is not running: resume it first")
