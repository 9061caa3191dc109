"""Finding sandboxes: filters, order and pages; what is told about one."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

import pytest

from tests.server.asgi import Client

pytestmark = pytest.mark.anyio


async def _ids(client: Client, query: str = "") -> list[str]:
    answer = await client.ask("GET", f"/v2/sandboxes?{query}")
    assert answer.status == 200, answer.body
    return [entry["sandboxID"] for entry in answer.json]


async def _pages(client: Client, query: str) -> list[list[str]]:
    pages, token = [], ""
    while True:
        answer = await client.ask("GET", f"/v2/sandboxes?{query}&nextToken={token}")
        pages.append([entry["sandboxID"] for entry in answer.json])
        token = answer.headers.get("x-next-token", "")
        if not token:
            assert "x-next-token" not in answer.headers
            return pages


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_pages_hold_every_sandbox_once_also_those_of_the_same_moment(
    client: Client, order: str
) -> None:
    made = [(await client.create())["sandboxID"] for _ in range(5)]
    records = client.service.registry.records
    for sandbox_id in made[1:4]:
        records[sandbox_id].started_at = records[made[1]].started_at
    pages = await _pages(client, f"limit=2&order={order}")
    assert [len(page) for page in pages] == [2, 2, 1]
    seen = [sandbox_id for page in pages for sandbox_id in page]
    assert sorted(seen) == sorted(made)
    assert seen[0] == (made[0] if order == "asc" else made[-1])
    assert [len(page) for page in await _pages(client, "limit=1")] == [1] * 5


async def test_a_sandbox_killed_between_two_pages_hides_no_other(client: Client) -> None:
    made = [(await client.create())["sandboxID"] for _ in range(3)]
    first = await client.ask("GET", "/v2/sandboxes?limit=1")
    await client.ask("DELETE", f"/sandboxes/{made[2]}")
    rest = await _ids(client, f"nextToken={first.headers['x-next-token']}")
    assert rest == [made[1], made[0]]


async def test_metadata_is_compared_after_three_decodings(client: Client) -> None:
    wanted = {"a b&c=ü": "x y+%2B", "k": "v"}

    made = (await client.create(metadata={**wanted, "more": "1"}))["sandboxID"]
    await client.create(metadata={"k": "v"})
    text = quote(urlencode({quote(k): quote(v) for k, v in wanted.items()}))
    assert await _ids(client, f"metadata={text}") == [made]
    assert len(await _ids(client, "metadata=k%3Dv")) == 2
    assert await _ids(client, "metadata=k%3Dw") == []
    old = await client.ask("GET", f"/sandboxes?metadata={text}")
    assert [entry["sandboxID"] for entry in old.json] == [made]


async def test_states_and_templates_are_filters_and_both_states_the_default(client: Client) -> None:
    running = (await client.create())["sandboxID"]
    paused = (await client.create())["sandboxID"]
    assert (await client.ask("POST", f"/sandboxes/{paused}/pause")).status == 204
    assert await _ids(client) == [paused, running]
    assert await _ids(client, "state=running") == [running]
    assert await _ids(client, "state=paused") == [paused]
    assert len(await _ids(client, "state=running%2Cpaused")) == 2
    assert len(await _ids(client, "state=running&state=paused")) == 2
    assert len(await _ids(client, "template=base")) == 2
    assert await _ids(client, "template=nope") == []
    old = await client.ask("GET", "/sandboxes")
    assert [entry["sandboxID"] for entry in old.json] == [running]


async def test_started_after_includes_the_very_moment(client: Client) -> None:
    await client.create()
    second = (await client.create())["sandboxID"]
    listed = (await client.ask("GET", "/v2/sandboxes?limit=1")).json[0]
    assert await _ids(client, f"startedAfter={quote(listed['startedAt'])}") == [second]
    assert await _ids(client, f"startedAfter={listed['startedAt']}") == [second]
    assert await _ids(client, "startedAfter=2999-01-01T00:00:00Z") == []
    record = client.service.registry.records[second]
    for step in range(40):  # nine microseconds, as close as floats get
        record.started_at = 1_790_000_000 + step / 2**22
        told = (await client.ask("GET", f"/sandboxes/{second}")).json["startedAt"]
        assert second in await _ids(client, f"startedAfter={quote(told)}"), step


async def test_a_sandbox_tells_all_that_clients_parse(client: Client) -> None:
    made = await client.create(
        metadata={"a": "b"},
        autoPause=True,
        autoResume={"enabled": True},
        allow_internet_access=False,
        network={"denyOut": ["0.0.0.0/0"]},
    )
    answer = await client.ask("GET", f"/sandboxes/{made['sandboxID']}")
    detail: dict[str, Any] = answer.json
    assert detail["lifecycle"] == {"onTimeout": "pause", "autoResume": True}
    assert detail["allowInternetAccess"] is False
    assert detail["network"] == {"denyOut": ["0.0.0.0/0"]}
    assert detail["alias"] == "base"
    assert detail["metadata"] == {"a": "b"}
    for name in ("clientID", "cpuCount", "memoryMB", "diskSizeMB", "envdVersion", "endAt"):
        assert detail[name]


async def test_templates_are_listed_and_found_by_alias(client: Client) -> None:
    listed = (await client.ask("GET", "/templates")).json
    assert {entry["names"][0] for entry in listed} == {"base", "code-interpreter-v1"}
    base = next(entry for entry in listed if "base" in entry["aliases"])
    found = (await client.ask("GET", "/templates/aliases/base")).json
    assert found == {"templateID": base["templateID"], "public": True}
    first = await client.ask("GET", "/v2/templates?limit=1")
    token = first.headers["x-next-token"]
    second = await client.ask("GET", f"/v2/templates?limit=1&nextToken={token}")
    assert sorted(first.json + second.json, key=listed.index) == listed
    assert "x-next-token" not in second.headers
    assert (await client.ask("GET", "/teams")).json[0]["isDefault"]
