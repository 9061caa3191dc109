"""Who is let in: keys, Host and Origin headers, routing headers, and the shape of every error."""

from __future__ import annotations

from typing import Any

import pytest

from e2brun.server.access.signatures import signature
from tests.server.asgi import Answer, Client, Shared


def _one(shared: Shared, method: str, target: str, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return shared.run(lambda client: client.ask(method, target, None, named))


def _refused(answer: Answer, status: int) -> None:
    assert answer.status == status
    assert answer.json["code"] == status
    assert answer.json["message"]
    assert answer.complete


@pytest.mark.parametrize(
    "key", ["", "e2b_wrong", "e2b_" + "5" * 39, "ключ".encode().decode("latin-1")]
)
def test_a_wrong_key_is_refused(shared: Shared, key: str) -> None:
    _refused(_one(shared, "GET", "/v2/sandboxes", x_api_key=key), 401)


@pytest.mark.parametrize("target", ["/v2/sandboxes", "/sandboxes/iabc", "/", "/teams", "/health"])
def test_no_endpoint_answers_without_a_key(shared: Shared, target: str) -> None:
    async def run(client: Client) -> Answer:
        client.key = None
        return await client.ask("GET", target)

    _refused(shared.run(run), 401)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:80",
        "localhost.evil.example",
        "",
        "10.0.0.1",
        "127.0.0.1.nip.io",
    ],
)
def test_a_name_that_an_attacker_rebinds_is_refused(shared: Shared, host: str) -> None:
    _refused(_one(shared, "GET", "/v2/sandboxes", host=host), 421)


@pytest.mark.parametrize(
    "host", ["localhost:3", "127.0.0.1", "[::1]:80", "LOCALHOST.", "a.localhost"]
)
def test_loopback_goes_by_all_its_names(shared: Shared, host: str) -> None:
    assert _one(shared, "GET", "/v2/sandboxes", host=host).status == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:2", "file://", ""]
)
def test_a_web_page_is_refused(shared: Shared, origin: str) -> None:
    _refused(_one(shared, "GET", "/v2/sandboxes", origin=origin), 403)


def test_the_services_own_pages_may_ask(shared: Shared) -> None:
    assert _one(shared, "GET", "/v2/sandboxes", origin="http://127.0.0.1:1").status == 200


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
def test_what_is_not_there_is_refused_in_the_shape_of_every_error(
    shared: Shared, method: str, target: str, status: int
) -> None:
    answer = _one(shared, method, target)
    _refused(answer, status)
    if status in (400, 405) and "sandboxes" not in target:
        assert answer.headers["should-retry"] == "false"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"e2b_sandbox_id": "iabc"}, 400),
        ({"e2b_sandbox_port": "49983"}, 400),
        ({"e2b_sandbox_id": "iabc", "e2b_sandbox_port": "0"}, 400),
        ({"e2b_sandbox_id": "iabc", "e2b_sandbox_port": "65536"}, 400),
        ({"e2b_sandbox_id": "iabc", "e2b_sandbox_port": "+80"}, 400),
        ({"e2b_sandbox_id": "iabc", "e2b_sandbox_port": "٣"}, 400),
        ({"e2b_sandbox_id": "iabc", "e2b_sandbox_port": "49983"}, 502),
        ({"e2b_sandbox_id": "../x", "e2b_sandbox_port": "80"}, 502),
        ({"host": "8000-iabc.whatever.example"}, 502),
    ],
)
def test_traffic_to_no_sandbox(shared: Shared, headers: dict[str, str], status: int) -> None:
    async def run(client: Client) -> Answer:
        client.key = None
        named = {
            name.replace("_", "-"): value.encode().decode("latin-1")
            for name, value in headers.items()
        }
        return await client.ask("GET", "/health", headers=named)

    answer = shared.run(run)
    _refused(answer, status)
    if status == 502:
        assert "was not found" in answer.json["message"]
        assert "sandboxId" in answer.json


def test_a_signed_url_finds_its_sandbox_and_no_other(shared: Shared) -> None:
    async def run(client: Client) -> None:
        first, second = await client.create(), await client.create()
        client.key = None
        query = {"path": "/home/user/none", "signature_expiration": "1"}
        for token, message in (
            (first["envdAccessToken"], "signature is already expired"),
            (second["envdAccessToken"], "signature is already expired"),
            ("0" * 40, "invalid signature"),
        ):
            made = signature(query, "read", token).replace("+", "%2B")
            target = "/files?" + "&".join(f"{k}={v}" for k, v in query.items())
            answer = await client.ask("GET", f"{target}&signature={made}")
            assert (answer.status, answer.json["message"]) == (401, message)
        _refused(await client.ask("GET", "/files?path=/etc/passwd"), 401)

    shared.run(run)


def test_ports_demand_the_traffic_token_where_there_is_one(shared: Shared) -> None:
    async def run(client: Client) -> None:
        made = await client.create(network={"allowPublicTraffic": False})
        token = made["trafficAccessToken"]
        statuses: list[int] = []
        for port, given in (("49983", ""), ("8000", ""), ("8000", "x"), ("8000", token)):
            headers = {"e2b-sandbox-id": made["sandboxID"], "e2b-sandbox-port": port}
            headers["e2b-traffic-access-token"] = given
            answer = await Client(client.service, None).ask("GET", "/health", headers=headers)
            statuses.append(answer.status)
        assert statuses == [204, 403, 403, 502]
        assert "trafficAccessToken" not in (await _detail(client, made["sandboxID"]))

    shared.run(run)


async def _detail(client: Client, sandbox_id: str) -> dict[str, Any]:
    return dict((await client.ask("GET", f"/sandboxes/{sandbox_id}")).json)
