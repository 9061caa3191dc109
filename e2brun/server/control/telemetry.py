"""What sandboxes used and what happened in them, for whoever asks."""

from __future__ import annotations

import json
from collections import Counter

from e2brun.server.control import objects
from e2brun.server.http.fields import bad, number
from e2brun.server.http.messages import Request, Response, json_response
from e2brun.server.sandboxes import lifecycle
from e2brun.server.sandboxes.metering import CPU_COUNT, FRESH, Entry, Journal, Sample, sample
from e2brun.server.sandboxes.metrics import CONTENT_TYPE
from e2brun.server.sandboxes.records import Record
from e2brun.server.sandboxes.registry import Registry

_FAR = 10**15
_LEVELS = ("debug", "info", "warn", "error")
_PAGE = 1000
_MANY = 100


async def scraped(_request: Request, registry: Registry) -> Response:
    """For Prometheus."""
    states = Counter(str(record.state) for record in registry.records.values())
    text = registry.executions.text({"running": 0, "paused": 0, **states})
    return Response(200, text.encode(), {"content-type": CONTENT_TYPE})


async def metrics(request: Request, registry: Registry, record: Record) -> Response:
    query = request.query
    start = number(query, "start", lowest=-_FAR, highest=_FAR)
    end = number(query, "end", lowest=-_FAR, highest=_FAR)
    sample(record, FRESH)
    shown = [
        _metric(sample, registry)
        for sample in record.meter.samples
        if (start is None or sample.when >= start) and (end is None or sample.when < end + 1)
    ]
    return json_response(shown)


async def latest(request: Request, registry: Registry) -> Response:
    ids = [name for name in request.query.get("sandbox_ids", "").split(",") if name]
    if len(ids) > _MANY:
        raise bad("sandbox_ids", f"at most {_MANY} ids")
    found: dict[str, objects.Wire] = {}
    for sandbox_id in ids:
        record = registry.records.get(sandbox_id.partition("-")[0])
        if record is not None:
            sample(record, FRESH)
            if record.meter.samples:
                found[record.id] = _metric(record.meter.samples[-1], registry)
    return json_response({"sandboxes": found})


def _metric(sample: Sample, registry: Registry) -> objects.Wire:
    return {
        "timestamp": objects.timestamp(sample.when),
        "timestampUnix": int(sample.when),
        "cpuCount": CPU_COUNT,
        "cpuUsedPct": sample.cpu,
        "memUsed": sample.memory,
        "memTotal": registry.options.memory,
        "memCache": 0,  # files live in the disk's share
        "diskUsed": sample.disk,
        "diskTotal": registry.options.disk,
    }


def journal(registry: Registry, sandbox_id: str) -> Journal:
    """The journal of a sandbox, also of one that died lately. Raises ApiError 404."""
    record = registry.records.get(sandbox_id)
    found = record.journal if record is not None else registry.journals.get(sandbox_id)
    if found is None:
        raise lifecycle.missing(sandbox_id)
    return found


async def logs(request: Request, registry: Registry, sandbox_id: str) -> Response:
    query = request.query
    start = number(query, "start", lowest=0, highest=_FAR) or 0
    limit = number(query, "limit", lowest=0, highest=_PAGE)
    entries = [
        entry for entry in journal(registry, sandbox_id).entries if _milliseconds(entry) >= start
    ][: _PAGE if limit is None else limit]
    lines = [{"timestamp": objects.timestamp(each.when), "line": _line(each)} for each in entries]
    return json_response({"logs": lines, "logEntries": [_entry(entry) for entry in entries]})


async def logs_page(request: Request, registry: Registry, sandbox_id: str) -> Response:
    query = request.query
    cursor = number(query, "cursor", lowest=0, highest=_FAR)
    limit = number(query, "limit", lowest=0, highest=_PAGE)
    direction, level = query.get("direction") or "forward", query.get("level") or "debug"
    if direction not in ("forward", "backward"):
        raise bad("direction", "forward or backward")
    if level not in _LEVELS:
        raise bad("level", "one of " + ", ".join(_LEVELS))
    backward, search = direction == "backward", query.get("search", "").casefold()
    entries = [
        entry
        for entry in journal(registry, sandbox_id).entries
        if _LEVELS.index(entry.level) >= _LEVELS.index(level)
        and search in entry.message.casefold()
        and _reached(entry, cursor, backward=backward)
    ]
    if backward:
        entries.reverse()
    shown = entries[: _PAGE if limit is None else limit]
    return json_response({"logs": [_entry(entry) for entry in shown]})


def _reached(entry: Entry, cursor: int | None, *, backward: bool) -> bool:
    if cursor is None:
        return True
    when = _milliseconds(entry)
    return when <= cursor if backward else when >= cursor


def _milliseconds(entry: Entry) -> int:
    return int(entry.when * 1000)


def _line(entry: Entry) -> str:
    return json.dumps(
        {"level": entry.level, "logger": "e2brun", "message": entry.message, **entry.fields}
    )


def _entry(entry: Entry) -> objects.Wire:
    return {**objects.logged(entry), "fields": dict(entry.fields)}
