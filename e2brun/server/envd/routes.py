"""Port 49983 of a sandbox: who may ask (E2B_PROTOCOL 3.1), the small endpoints, and where the
services are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from e2brun.sandbox.contract import MIB
from e2brun.server.access.admission import check_access_token
from e2brun.server.http.messages import ApiError, Request, Response, Stream, json_response
from e2brun.server.sandboxes.metering import CPU_COUNT, Sample, sample_now
from e2brun.server.sandboxes.records import Record

_PROCESS, _FILESYSTEM = "/process.Process/", "/filesystem.Filesystem/"
_FILES = "/files"
_Endpoint = Callable[[Request, Record], Awaitable[Response | Stream]]


async def handle(request: Request, record: Record) -> Response | Stream:
    """Answer one request. Raises ApiError."""
    path = request.raw_path
    if path == "/health":
        _only_get(request)
        return Response(204, headers={"cache-control": "no-store"})
    if path == _FILES:  # a signature will do there instead of the token
        from e2brun.server.envd import files

        return await files.handle(request, record)
    check_access_token(request, record)
    return await _endpoint(path)(request, record)


def _endpoint(path: str) -> _Endpoint:
    if path.startswith(_PROCESS):
        from e2brun.server.envd import process

        return process.handle
    if path.startswith(_FILESYSTEM):
        from e2brun.server.envd import filesystem

        return filesystem.handle
    if path in _SMALL:
        return _SMALL[path]
    # E2B's orchestrator has paths of its own here (/init, /freeze, ...): not for the outside.
    raise ApiError(404, f"path '{path[:256]}' not found")


async def _envs(request: Request, record: Record) -> Response:
    _only_get(request)
    return json_response(record.live.environment)


async def _metrics(request: Request, record: Record) -> Response:
    _only_get(request)
    return json_response(_measured(record))


def _measured(record: Record) -> dict[str, Any]:
    """One sample, not older than a moment."""
    sample_now(record)
    samples, limits = record.meter.samples, record.live.jail.limits
    last = samples[-1] if samples else Sample(record.started_at, 0.0, 0, 0)
    return {
        "ts": int(last.when),
        "cpu_count": CPU_COUNT,
        "cpu_used_pct": last.cpu,
        "mem_total": limits.memory,
        "mem_used": last.memory,
        "mem_cache": 0,
        "mem_total_mib": limits.memory // MIB,
        "mem_used_mib": last.memory // MIB,
        "disk_used": last.disk,
        "disk_total": limits.disk,
    }


def _only_get(request: Request) -> None:
    if request.method not in ("GET", "HEAD"):
        raise ApiError(405, "method not allowed", headers={"allow": "GET"})


_SMALL: dict[str, _Endpoint] = {"/envs": _envs, "/metrics": _metrics}
