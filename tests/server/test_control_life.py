"""The life of a sandbox: its time, its pauses, its end, and what is remembered of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from types import SimpleNamespace

import pytest

from e2brun.server.http.messages import Request, Response, Stream
from e2brun.server.sandboxes.records import Record
from tests.server.asgi import Answer, Client, serving

pytestmark = pytest.mark.anyio


async def _state(client: Client, sandbox_id: str) -> str | None:
    answer = await client.ask("GET", f"/sandboxes/{sandbox_id}")
    return str(answer.json["state"]) if answer.status == 200 else None


async def _until(client: Client, sandbox_id: str, state: str | None) -> None:
    for _ in range(500):
        if await _state(client, sandbox_id) == state:
            return
        await asyncio.sleep(0.02)
    pytest.fail(f"it did not become {state}")


def _to(sandbox_id: str) -> dict[str, str]:
    return {"e2b-sandbox-id": sandbox_id, "e2b-sandbox-port": "49983"}


async def _left(client: Client, sandbox_id: str) -> float:
    return client.service.registry.records[sandbox_id].ends_at - time.time()


async def test_a_timeout_of_nothing_ends_it_at_once(client: Client) -> None:
    for timeout in (0, -1, -(10**9)):
        made = (await client.create())["sandboxID"]
        body = {"timeout": timeout}
        assert (await client.ask("POST", f"/sandboxes/{made}/timeout", body)).status == 204
        await _until(client, made, None)
        assert (await client.ask("POST", f"/sandboxes/{made}/timeout", body)).status == 404


async def test_connecting_makes_it_live_longer_and_never_shorter(client: Client) -> None:
    made = (await client.create(timeout=100))["sandboxID"]
    for version in ("", "/v2"):
        path = f"{version}/sandboxes/{made}/connect"
        assert (await client.ask("POST", path, {"timeout": 10})).status == 200
        assert await _left(client, made) > 90
    await client.ask("POST", f"/sandboxes/{made}/connect", {"timeout": 200})
    assert await _left(client, made) > 190
    await client.ask("POST", f"/sandboxes/{made}/refreshes", {"duration": 5})
    assert await _left(client, made) > 190
    await client.ask("POST", f"/sandboxes/{made}/timeout", {"timeout": 5})
    assert await _left(client, made) < 6


async def test_a_pause_stops_the_clock_and_all_traffic_until_it_is_resumed(client: Client) -> None:
    made = (await client.create(timeout=1))["sandboxID"]
    pause = f"/sandboxes/{made}/pause"
    assert (await client.ask("POST", pause)).status == 204
    assert (await client.ask("POST", pause, {})).status == 409
    assert (await client.ask("GET", "/health", headers=_to(made))).status == 502
    await asyncio.sleep(1.1)
    detail = (await client.ask("GET", f"/sandboxes/{made}")).json
    assert (detail["state"], detail["pauseMode"]) == ("paused", "full")
    resumed = await client.ask("POST", f"/v2/sandboxes/{made}/connect", {"timeout": 50})
    assert resumed.status == 201
    assert (await client.ask("GET", "/health", headers=_to(made))).status == 204
    assert await _left(client, made) > 40
    assert (await client.ask("POST", f"/sandboxes/{made}/resume")).status == 409
    assert (await client.ask("DELETE", f"/sandboxes/{made}")).status == 204
    assert (await client.ask("POST", pause)).status == 404


@pytest.mark.parametrize("end", ["DELETE", "pause", "death"])
async def test_whoever_talks_to_it_is_cut_off_when_it_goes(
    client: Client, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    made = (await client.create())["sandboxID"]
    record = client.service.registry.records[made]
    begun, closed = asyncio.Event(), asyncio.Event()
    resets: list[bool] = []
    app = client.service.app
    monkeypatch.setattr(client, "connection", SimpleNamespace(reset=lambda: resets.append(True)))
    monkeypatch.setattr(app, "planes", {**app.planes, **_planes(record, closed, begun)})

    def ask(port: int) -> asyncio.Task[Answer]:
        headers = {"e2b-sandbox-id": made, "e2b-sandbox-port": str(port)}
        return asyncio.ensure_future(client.ask("GET", "/", headers=headers))

    streaming, ending, waiting = ask(1), ask(2), ask(3)
    await begun.wait()
    if end == "death":
        record.live.kill()
    elif end == "pause":
        await client.ask("POST", f"/sandboxes/{made}/pause")
    else:
        await client.ask("DELETE", f"/sandboxes/{made}")
    async with asyncio.timeout(2):
        cut, quiet, refused = await streaming, await ending, await waiting
    assert (cut.status, cut.complete) == (200, False)
    assert (quiet.status, quiet.complete) == (200, False)
    assert (refused.status, refused.json["code"]) == (502, 502)
    assert "was not found" in refused.json["message"]
    assert resets == [True] * 2
    assert closed.is_set()
    assert (await client.ask("GET", "/health", headers=_to(made))).status == 502


def _planes(
    record: Record, closed: asyncio.Event, begun: asyncio.Event
) -> dict[int, Callable[[Request, Record], Awaitable[Response | Stream]]]:
    """By port: one that streams for ever, one whose stream would end in good order when the sandbox
    is gone, and one that never answers."""
    live = record.live

    async def ends() -> AsyncIterator[bytes]:
        yield b"x"
        await live.gone.wait()

    async def endless() -> AsyncIterator[bytes]:
        try:
            begun.set()
            while True:
                yield b"x"
                await asyncio.sleep(0.001)
        finally:
            closed.set()

    async def streams(_request: Request, _record: Record) -> Stream:
        return Stream(endless())

    async def streams_to_the_end(_request: Request, _record: Record) -> Stream:
        return Stream(ends())

    async def hangs(_request: Request, _record: Record) -> Response:
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    return {1: streams, 2: streams_to_the_end, 3: hangs}


async def test_a_time_that_was_changed_does_not_come_when_its_neighbours_does(
    client: Client,
) -> None:
    first, second = [(await client.create())["sandboxID"] for _ in range(2)]
    registry = client.service.registry
    for sandbox, seconds in ((first, 0.05), (second, 0.05), (second, 50)):
        registry.extend(registry.records[sandbox], seconds)
    await asyncio.sleep(0.15)
    assert list(registry.records) == [second]


def test_a_pause_that_fails_leaves_it_running() -> None:
    async def run() -> None:
        async with serving() as client:
            made = (await client.create())["sandboxID"]
            client.service.registry.directory.rmdir()  # nowhere to keep the files
            body = {"memory": False}
            answer = await client.ask("POST", f"/sandboxes/{made}/pause", body)
            assert answer.status == 500
            assert await _state(client, made) == "running"
            assert (await client.ask("GET", "/health", headers=_to(made))).status == 204
            client.service.registry.directory.mkdir()

    asyncio.run(run())


def test_no_more_sandboxes_than_allowed_and_the_refusal_says_what_to_do() -> None:
    async def run() -> None:
        async with serving(max_sandboxes=2) as client:
            await client.create()
            body = {"templateID": "base"}
            answers = await asyncio.gather(
                *(client.ask("POST", "/v2/sandboxes", body) for _ in range(4))
            )
            assert sorted(answer.status for answer in answers) == [201, 429, 429, 429]
            refused = next(answer for answer in answers if answer.status == 429)
            assert "--max-sandboxes" in refused.json["message"]
            assert refused.headers["should-retry"] == "false"

    asyncio.run(run())


async def test_a_create_that_is_sent_again_makes_no_second_sandbox(client: Client) -> None:
    key = {"idempotency-key": "0-a"}
    body = {"templateID": "base"}
    both = await asyncio.gather(*(client.ask("POST", "/v2/sandboxes", body, key) for _ in range(2)))
    assert both[0].json == both[1].json
    assert len(client.service.registry.records) == 1
    other = await client.ask("POST", "/v2/sandboxes", {**body, "timeout": 5}, key)
    assert (other.status, other.json["error_code"]) == (422, "idempotency_request_mismatch")
    bad = await client.ask("POST", "/v2/sandboxes", body, {"idempotency-key": "A_"})
    assert bad.status == 400


async def test_there_is_a_sample_at_once_and_none_from_the_future(client: Client) -> None:
    made = (await client.create())["sandboxID"]
    path = f"/sandboxes/{made}/metrics"
    sample = (await client.ask("GET", path)).json[0]
    assert sample["memTotal"] == 512 << 20
    assert abs(sample["timestampUnix"] - time.time()) < 5
    now = int(time.time())
    assert (await client.ask("GET", f"{path}?start={now + 60}")).json == []
    assert (await client.ask("GET", f"{path}?end={now - 60}")).json == []
    assert (await client.ask("GET", f"{path}?start={now - 60}&end={now + 60}")).json
    many = await client.ask("GET", f"/sandboxes/metrics?sandbox_ids={made},inone")
    assert list(many.json["sandboxes"]) == [made]


async def test_the_log_of_a_sandbox_outlives_it(client: Client) -> None:
    made = (await client.create())["sandboxID"]
    client.service.registry.records[made].journal.note("odd\nline", "warn", pid="7")
    await client.ask("DELETE", f"/sandboxes/{made}")
    old = (await client.ask("GET", f"/sandboxes/{made}/logs")).json
    assert len(old["logs"]) == 3
    assert '"level": "warn"' in old["logs"][1]["line"]
    path = f"/v2/sandboxes/{made}/logs"
    messages = [entry["message"] for entry in (await client.ask("GET", path)).json["logs"]]
    assert messages[1] == "odd\nline"
    backward = (await client.ask("GET", f"{path}?direction=backward&limit=1")).json["logs"]
    assert backward[0]["message"].startswith("sandbox killed")
    loud = (await client.ask("GET", f"{path}?level=warn")).json["logs"]
    assert [entry["fields"] for entry in loud] == [{"pid": "7"}]
    assert (await client.ask("GET", f"{path}?search=ODD")).json["logs"]
