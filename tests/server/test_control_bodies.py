"""Bodies, parameters and paths that no honest client sends are refused as every error is."""

from __future__ import annotations

from collections import Counter

import pytest

from e2brun.server.control import snapshots
from e2brun.server.http import messages
from e2brun.server.http.messages import Request
from tests.server.asgi import Client

pytestmark = pytest.mark.anyio
_DEEP = b"[" * 100_000
_FIELDS = (
    "templateID", "timeout", "metadata", "envVars", "autoPause", "autoPauseMemory", "autoResume",
    "secure", "network", "mcp", "allow_internet_access", "iam", "volumeMounts",
    "sidecars",
)  # fmt: skip
_ODD: list[object] = [1, -1, 1.5, 10**30, "x", "\ud800", [], [1], {"a": 1}, {"enabled": "x"}, True]


@pytest.mark.parametrize(
    "fields",
    [
        {"timeout": -1}, {"timeout": 86_401}, {"timeout": "60"}, {"timeout": True},
        {"envVars": {"": "x"}}, {"envVars": {"A=B": "x"}}, {"envVars": {"A": "x\0"}},
        {"envVars": {"A": 1}}, {"envVars": {"A": "x" * 100_000}}, {"metadata": {"A": None}},
        {"metadata": {"A": "\ud800"}}, {"autoPauseMemory": False},
        {"autoPause": True, "autoPauseMemory": False, "autoResume": {"enabled": True}},
        {"network": {"denyOut": ["example.com"]}}, {"network": {"allowOut": ["1.2.3.4/99"]}},
        {"network": {"allowOut": ["example.com"]}}, {"network": {"dnsServers": ["::1"]}},
        {"network": {"allowOut": ["example.com"], "denyOut": ["::/0"]}},
        {"network": {"rules": {"a.example": [{"transform": {"headers": {"x": "y"}}}]}}},
        {"network": {"egressProxy": {"address": "proxy.example:1080"}}},
        {"network": {"httpsPorts": [49983]}}, {"network": {"maskRequestHost": "a\r\nb: c"}},
        {"volumeMounts": [{"name": "x", "path": "/x"}]},
        {"volumeMounts": [{"name": "x", "path": "/mnt/\ud800"}]}, {"iam": {"tokens": {"a": {}}}},
        {"sidecars": [{"entry": "valkey"}]},
    ],
    ids=str,
)  # fmt: skip
async def test_a_field_that_cannot_be_is_refused(client: Client, fields: dict[str, object]) -> None:
    answer = await client.ask("POST", "/v2/sandboxes", {"templateID": "base", **fields})
    assert answer.status == 400, answer.body
    assert answer.json["code"] == 400


async def test_no_odd_value_in_any_field_is_a_failure_of_ours(client: Client) -> None:
    for name in _FIELDS:
        for value in _ODD:
            body = {"templateID": "base", name: value}
            answer = await client.ask("POST", "/sandboxes", body)
            assert answer.status in (201, 400, 404), (body, answer.body)
            if answer.status == 201:
                await client.ask("DELETE", f"/sandboxes/{answer.json['sandboxID']}")


async def test_a_secret_that_cannot_be_written_down_is_refused(client: Client) -> None:
    for fields in ({"name": "\ud800", "value": "x"}, {"name": "x", "value": "\ud800"}):
        answer = await client.ask("POST", "/secrets", fields)
        assert answer.status == 400, answer.body
    assert (await client.ask("GET", "/secrets")).json == []


@pytest.mark.parametrize(
    ("method", "path", "names"),
    [
        ("POST", "connect", ("timeout", "memory")), ("POST", "resume", ("timeout", "autoPause")),
        ("POST", "timeout", ("timeout",)), ("POST", "refreshes", ("duration",)),
        ("POST", "pause", ("memory", "requireHealthyGuest")), ("POST", "snapshots", ("name",)),
        ("POST", "fork", ("count",)), ("PUT", "network", ("allowOut", "rules", "dnsServers")),
    ],
)  # fmt: skip
async def test_no_odd_value_for_a_sandbox_is_a_failure_of_ours(
    client: Client, method: str, path: str, names: tuple[str, ...]
) -> None:
    sandbox = (await client.create(timeout=600))["sandboxID"]
    for body in (b"[]", b"{", _DEEP, *({name: value} for name in names for value in _ODD)):
        answer = await client.ask(method, f"/sandboxes/{sandbox}/{path}", body)
        assert answer.status < 500, (body, answer.body)
        assert answer.status < 300 or answer.json["code"] == answer.status
        sandbox = await _another(client, sandbox)


async def _another(client: Client, sandbox: str) -> str:
    if (await client.ask("POST", f"/sandboxes/{sandbox}/connect", {})).status < 300:
        for record in tuple(client.service.registry.records.values()):
            if record.id != sandbox:
                client.service.registry.kill(record, "a fork")
        return sandbox
    return str((await client.create(timeout=600))["sandboxID"])


@pytest.mark.parametrize(
    "target",
    [
        "/v2/sandboxes?limit=0", "/v2/sandboxes?limit=101", "/v2/sandboxes?limit=x",
        "/v2/sandboxes?limit=" + "9" * 5000, "/v2/sandboxes?state=dead",
        "/v2/sandboxes?order=up", "/v2/sandboxes?nextToken=%F0%9F%98%80",
        "/v2/sandboxes?nextToken=AAAA", "/v2/sandboxes?startedAfter=yesterday",
        "/v2/sandboxes?startedAfter=2026-13-01", "/snapshots?limit=-1",
        "/snapshots?nextToken=x", "/sandboxes/ID/metrics?start=x", "/sandboxes/ID/logs?limit=1e9",
        "/v2/sandboxes/ID/logs?direction=up", "/v2/sandboxes/ID/logs?level=loud",
        "/sandboxes/metrics?sandbox_ids=" + "a," * 200,
    ],
)  # fmt: skip
async def test_a_parameter_that_cannot_be_is_refused(client: Client, target: str) -> None:
    if "ID" in target:
        target = target.replace("ID", (await client.create())["sandboxID"])
    answer = await client.ask("GET", target)
    assert answer.status == 400, answer.body
    assert answer.json["code"] == 400


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/sandboxes/", 400),
        ("GET", "/sandboxes/../../etc/passwd", 404),
        ("GET", "/sandboxes/%2e%2e%2fetc", 400),
        ("GET", "/sandboxes/IABC", 400),
        ("GET", "/sandboxes/" + "a" * 5000, 400),
        ("GET", "/sandboxes/iabc", 404),
        ("DELETE", "/sandboxes/iabc-client", 404),
        ("GET", "/sandboxes/iabc/logs", 404),
        ("PATCH", "/sandboxes/iabc", 405),
        ("PUT", "/v2/sandboxes", 405),
        ("POST", "/v2/templates", 405),
        ("POST", "/v2/templates/x/builds/y", 404),
        ("GET", "/templates/x/files/y", 404),
        ("GET", "/templates/x/builds/y/status", 404),
        ("POST", "/templates/tags", 404),
        ("GET", "/volumes/nope", 404),
        ("PATCH", "/volumes", 405),
        ("GET", "/secrets/nope", 404),
        ("PUT", "/secrets", 405),
        ("GET", "/templates/aliases/nope", 404),
        ("DELETE", "/templates/base", 400),
        ("DELETE", "/templates/local%2Fnope%3Adefault", 404),
    ],
)
async def test_what_is_not_there_is_refused_in_the_shape_of_every_error(
    client: Client, method: str, target: str, status: int
) -> None:
    answer = await client.ask(method, target)
    assert (answer.status, answer.json["code"], answer.complete) == (status, status, True)
    assert answer.json["message"]
    if status in (400, 405) and "sandboxes" not in target:
        assert answer.headers["should-retry"] == "false"


async def test_a_request_that_is_over_keeps_nothing(client: Client) -> None:
    for body in ({"templateID": "none"}, b"[" * 100_000, b"x" * 9_000_000):
        assert (await client.ask("POST", "/v2/sandboxes", body)).status >= 400
        assert not Request.kept


async def test_a_sandbox_of_which_much_is_kept_keeps_no_other_request_out(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = (await client.create())["sandboxID"]
    monkeypatch.setattr(messages, "KEPT_LIMIT", 1_000_000)
    monkeypatch.setattr(Request, "kept", Counter({made: 600_000}))
    routing = {"e2b-sandbox-id": made, "e2b-sandbox-port": "49999"}
    body = {"templateID": "x" * 100_000}
    assert (await client.ask("POST", "/contexts", body, routing)).status == 503
    assert (await client.ask("POST", "/v2/sandboxes", body)).status == 404


async def test_there_is_an_end_to_snapshots(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = len(client.service.registry.snapshots.by_id)
    monkeypatch.setattr(snapshots, "_SNAPSHOTS", others + 1)
    path = f"/sandboxes/{(await client.create())['sandboxID']}/snapshots"
    asked = [await client.ask("POST", path, {"name": name}) for name in ("one", "two", "one")]
    assert [answer.status for answer in asked] == [201, 429, 201]
    await client.ask("DELETE", "/templates/one")
