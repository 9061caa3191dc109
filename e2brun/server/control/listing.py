"""Finding sandboxes: lists with filters and pages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

from e2brun.server.control import objects, paging
from e2brun.server.http.fields import bad, metadata_filter
from e2brun.server.http.messages import ApiError, Request, Response, json_response
from e2brun.server.sandboxes.records import Record, State
from e2brun.server.sandboxes.registry import Registry

_STATES = frozenset({"running", "paused"})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


async def page(request: Request, registry: Registry) -> Response:
    query = request.query
    order = query.get("order") or "desc"
    if order not in ("asc", "desc"):
        raise bad("order", "asc or desc")
    states, since = _states(request), _since(query.get("startedAfter", ""))
    wanted = metadata_filter(query.get("metadata", ""))
    template = query.get("template", "")
    found = [
        record
        for record in registry.records.values()
        if record.state in states
        and _microseconds(record.started_at) >= since
        and _matches(record, wanted)
        and (not template or template in (record.origin.template_id, record.origin.alias))
    ]
    running = sum(record.state is State.RUNNING for record in found)
    return paging.page(
        ((_microseconds(record.started_at), record.id, record) for record in found),
        query,
        lambda record: objects.listed(record, registry.options),
        ascending=order == "asc",
        headers={"x-total-running": str(running)},
    )


async def running(request: Request, registry: Registry) -> Response:
    """Of older clients."""
    wanted = metadata_filter(request.query.get("metadata", ""))
    found = [
        record
        for record in registry.records.values()
        if record.state is State.RUNNING and _matches(record, wanted)
    ]
    found.sort(key=lambda record: record.started_at)
    return json_response([objects.listed(record, registry.options) for record in found])


def _matches(record: Record, wanted: dict[str, str]) -> bool:
    metadata = record.origin.metadata
    return all(metadata.get(key) == value for key, value in wanted.items())


def _states(request: Request) -> frozenset[str]:
    """Joined by commas, or given several times, as clients do it."""
    pairs = parse_qsl(request.query_string, errors="replace")
    given = {word for name, value in pairs if name == "state" for word in value.split(",") if word}
    if not given <= _STATES:
        raise bad("state", "running or paused")
    return frozenset(given) or _STATES


def _since(text: str) -> int:
    """Microseconds since 1970."""
    if not text:
        return 0
    try:
        # A plus sign that was not escaped arrives as a blank.
        when = datetime.fromisoformat(text.replace(" ", "+"))
        if when.tzinfo is None:
            when = when.replace(tzinfo=UTC)
        return _since_epoch(when)
    except (ValueError, OverflowError):
        raise ApiError(400, "startedAfter must be a time as of RFC 3339") from None


def _microseconds(when: float) -> int:
    """The time that clients are told: a datetime rounds otherwise than a product of floats."""
    return _since_epoch(datetime.fromtimestamp(when, UTC))


def _since_epoch(when: datetime) -> int:
    return (when - _EPOCH) // timedelta(microseconds=1)
