"""Port 49983 of a sandbox: who may ask (E2B_PROTOCOL 3.1), the small endpoints, and where the
services are."""

from __future__ import annotations

from typing import Any

from e2brun.sandbox.contract import MIB
from e2brun.server.admission import check_access_token
from e2brun.server.http.messages import ApiError, Request, Response, Stream, json_response
from e2brun.server.sandboxes.metering import CPU_COUNT, FRESH, Sample, sample
from e2brun.server.sandboxes.records import Record


async def handle(request: Request, record: Record) -> Response | Stream:
    """Answer one request. Raises ApiError."""
    path = request.raw_path
    if path == "/health":
        _only_get(request)
        return Response(204, headers={"cache-control": "no-store"})
    if path == "/files":  # a signature will do there instead of the token
        from e2brun.server.envd import files

        return await files.handle(request, record)
    check_access_token(request, record)
    if path.startswith("/process.Process/"):
        from e2brun.server.envd import process

        return await process.handle(request, record)
    if path.startswith("/filesystem.Filesystem/"):
        from e2brun.server.envd import filesystem

        return await filesystem.handle(request, record)
    if path not in ("/envs", "/metrics"):
        # E2B's orchestrator has paths of its own here (/init, /freeze, ...): not for the outside.
        raise ApiError(404, f"path '{path[:256]}' not found")
    _only_get(request)
    return json_response(record.live.environment if path == "/envs" else _measured(record))


def _measured(record: Record) -> dict[str, Any]:
    """One sample, not older than a moment."""
    sample(record, FRESH)
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
