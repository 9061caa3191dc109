"""Bodies and parameters that no honest client sends: 400 in the usual shape, never 500."""

from __future__ import annotations

import pytest

from tests.server.asgi import Answer, Client, Shared

_DEEP = b"[" * 100_000
_FIELDS = (
    "templateID", "timeout", "metadata", "envVars", "autoPause", "autoPauseMemory", "autoResume",
    "secure", "network", "mcp", "allow_internet_access", "iam", "volumeMounts",
    "sidecars",
)  # fmt: skip
_ODD: list[object] = [1, -1, 1.5, 10**30, "x", "\ud800", [], [1], {"a": 1}, {"enabled": "x"}, True]


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"[]", b"1", b"{", b"\xff\xfe", _DEEP, b'{"a":' + _DEEP, b"x" * (9 << 20),
        b'{"templateID": NaN}', b'{"templateID": "base", "timeout": 1e999}',
        b'{"templateID": "base", "timeout": ' + b"9" * 5000 + b"}",
        b'{"templateID": "base", "timeout": Infinity}',
    ],
)  # fmt: skip
def test_a_body_that_is_no_request_is_refused(shared: Shared, body: bytes) -> None:
    async def run(client: Client) -> Answer:
        return await client.ask("POST", "/v2/sandboxes", body)

    answer = shared.run(run)
    assert answer.status in (400, 413)
    assert answer.json["code"] == answer.status


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
        {"network": {"rules": {"a.example": [{"transform": {"headers": {"x": "y"}}}]}}},
        {"network": {"egressProxy": {"address": "proxy.example:1080"}}},
        {"network": {"httpsPorts": [49983]}}, {"network": {"maskRequestHost": "a\r\nb: c"}},
        {"volumeMounts": [{"name": "x", "path": "/x"}]}, {"iam": {"tokens": {"a": {}}}},
        {"sidecars": [{"entry": "valkey"}]},
    ],
    ids=str,
)  # fmt: skip
def test_a_field_that_cannot_be_is_refused(shared: Shared, fields: dict[str, object]) -> None:
    async def run(client: Client) -> Answer:
        return await client.ask("POST", "/v2/sandboxes", {"templateID": "base", **fields})

    answer = shared.run(run)
    assert answer.status == 400, answer.body
    assert answer.json["code"] == 400


def test_no_odd_value_in_any_field_is_a_failure_of_ours(shared: Shared) -> None:
    async def run(client: Client) -> None:
        for name in _FIELDS:
            for value in _ODD:
                body = {"templateID": "base", name: value}
                answer = await client.ask("POST", "/sandboxes", body)
                assert answer.status in (201, 400, 404), (body, answer.body)
                if answer.status == 201:
                    await client.ask("DELETE", f"/sandboxes/{answer.json['sandboxID']}")

    shared.run(run)


@pytest.mark.parametrize(
    ("method", "path", "names"),
    [
        ("POST", "connect", ("timeout", "memory")), ("POST", "resume", ("timeout", "autoPause")),
        ("POST", "timeout", ("timeout",)), ("POST", "refreshes", ("duration",)),
        ("POST", "pause", ("memory", "requireHealthyGuest")), ("POST", "snapshots", ("name",)),
        ("POST", "fork", ("count",)), ("PUT", "network", ("allowOut", "rules", "dnsServers")),
    ],
)  # fmt: skip
def test_no_odd_value_for_a_sandbox_is_a_failure_of_ours(
    shared: Shared, method: str, path: str, names: tuple[str, ...]
) -> None:
    async def run(client: Client) -> None:
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

    shared.run(run)


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
def test_a_parameter_that_cannot_be_is_refused(shared: Shared, target: str) -> None:
    async def run(client: Client) -> Answer:
        if "ID" in target:
            sandbox = (await client.create())["sandboxID"]
            return await client.ask("GET", target.replace("ID", sandbox))
        return await client.ask("GET", target)

    answer = shared.run(run)
    assert answer.status == 400, answer.body
    assert answer.json["code"] == 400
