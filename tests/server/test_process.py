"""envd's process service message by message: what no SDK shows."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from e2brun.sandbox.local.host.processes import Processes
from e2brun.sandbox.local.host.running import RunningSandbox
from e2brun.server.http.messages import ApiError, Response, Stream
from tests.server.inside import living
from tests.server.process_calls import Envd, envelope, eventually, start

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def live(anyio_backend: str) -> AsyncIterator[RunningSandbox]:
    async with living() as one:
        yield one


@pytest.fixture
async def envd(live: RunningSandbox) -> AsyncIterator[Envd]:
    """Of a sandbox in which nothing is left running."""
    yield Envd(live)
    processes = live.part(Processes)
    for process in processes.running():
        processes.kill(process)
    await eventually(lambda: processes.running() == [])


def said(events: list[dict[str, Any]], name: str = "stdout") -> bytes:
    data = [event["data"].get(name, "") for event in events if "data" in event]
    return b"".join(map(base64.b64decode, data))


async def test_events_come_in_order_and_end_with_the_exit(envd: Envd) -> None:
    events = await envd.run("echo out; exit 3")
    assert list(events[0]) == ["start"]
    assert events[0]["start"]["pid"] > 1
    assert said(events) == b"out\n"
    status = "exit status 3"
    end = {"exitCode": 3, "exited": True, "status": status, "error": status}
    assert events[-2:] == [{"end": end}, {"over": {}}]
    [*_, end_event, _] = await envd.run("true")
    assert end_event == {"end": {"exitCode": 0, "exited": True, "status": "exit status 0"}}


async def test_a_silent_program_shows_signs_of_life(envd: Envd) -> None:
    message = start("sleep 2.5")
    events = [e async for e in envd.stream("Start", message, keepalive_ping_interval="1")]
    assert [next(iter(event)) for event in events] == [
        "start", "keepalive", "keepalive", "end", "over",
    ]  # fmt: skip


async def test_at_the_deadline_the_client_is_told_first_and_never_of_an_end(envd: Envd) -> None:
    stream = envd.stream("Start", start("sleep 60"), connect_timeout_ms="200")
    events: list[dict[str, Any]] = []
    async for event in stream:
        events.append(event)
        if "over" in event:
            assert len(envd.live.part(Processes).running()) == 1
    assert [next(iter(event)) for event in events] == ["start", "over"]
    assert events[-1]["over"]["error"]["code"] == "deadline_exceeded"
    await eventually(lambda: envd.live.part(Processes).running() == [])


async def test_a_program_is_ended_at_its_deadline_though_its_client_has_gone(envd: Envd) -> None:
    stream = envd.stream("Start", start("sleep 60"), connect_timeout_ms="100")
    await anext(stream)
    await stream.aclose()
    assert len(envd.live.part(Processes).running()) == 1
    await eventually(lambda: envd.live.part(Processes).running() == [])


async def test_processes_are_found_by_tag_and_remembered_after_their_end(envd: Envd) -> None:
    stream = envd.stream("Start", start("read line; echo $line", tag="mine", stdin=True))
    pid = (await anext(stream))["start"]["pid"]
    _, listed = await envd.call("List", {})
    config = {"cmd": "/bin/bash", "args": ["-c", "read line; echo $line"]}
    assert listed == {"processes": [{"config": config, "pid": pid, "tag": "mine"}]}
    line = base64.b64encode(b"hello\n").decode()
    message = {"process": {"tag": "mine"}, "input": {"stdin": line}}
    assert await envd.call("SendInput", message) == (200, {})
    assert said([event async for event in stream]) == b"hello\n"
    assert (await envd.call("List", {}))[1] == {"processes": []}
    order = envd.live.part(Processes).find_or_remember(pid, "").order
    assert (order.argv, order.environment, order.config) == ([], {}, {})  # megabytes, maybe
    for process in ({"pid": pid}, {"tag": "mine"}):
        again = [event async for event in envd.stream("Connect", {"process": process})]
        assert [next(iter(event)) for event in again] == ["start", "end", "over"]
    [end] = [event async for event in envd.stream("Connect", {"process": {"pid": 4711}})]
    error = {"code": "not_found", "message": "process with pid 4711 not found"}
    assert end["over"]["error"] == error


async def test_a_term_signal_ends_a_command_whose_child_holds_the_output(envd: Envd) -> None:
    stream = envd.stream("Start", start("sleep 60 & echo up; wait"))
    pid = (await anext(stream))["start"]["pid"]
    await anext(stream)
    message = {"process": {"pid": pid}, "signal": "SIGNAL_SIGTERM"}
    assert await envd.call("SendSignal", message) == (200, {})
    [end, _] = [event async for event in stream]
    status = "signal: terminated"
    assert end["end"] == {"exitCode": -1, "exited": False, "status": status, "error": status}
    message["signal"] = "SIGNAL_SIGHUP"
    assert (await envd.call("SendSignal", message))[0] == 404


async def test_a_client_that_does_not_read_holds_the_program_and_costs_little(envd: Envd) -> None:
    line = "head -c 8000000 /dev/zero; echo > /tmp/done"  # several times what is queued
    stream = envd.stream("Start", start(line))
    await anext(stream)
    await asyncio.sleep(1)
    assert said(await envd.run("test -e /tmp/done || echo held")) == b"held\n"
    await stream.aclose()
    wait = "for i in $(seq 200); do test -e /tmp/done && break; sleep 0.1; done; echo $i"
    assert int(said(await envd.run(wait))) < 200


async def test_streamed_input_is_written_as_it_comes_and_leaves_stdin_open(envd: Envd) -> None:
    stream = envd.stream("Start", start("head -n 3", stdin=True))
    pid = (await anext(stream))["start"]["pid"]
    line = base64.b64encode(b"x\n").decode()
    data = envelope({"data": {"input": {"stdin": line}}})
    messages = [envelope({"start": {"process": {"pid": pid}}}), data, envelope({"keepalive": {}})]
    headers = {"content-type": "application/connect+json"}
    for _ in range(3):
        path = "/process.Process/StreamInput"
        answer = await envd.ask(path, b"".join(messages), headers=headers)
        assert isinstance(answer, Stream)
        pieces = [piece async for piece in answer.body]
        assert [json.loads(piece[5:]) for piece in pieces] == [{}, {}]
    assert said([event async for event in stream]) == b"x\nx\nx\n"


@pytest.mark.parametrize(
    "message",
    [
        {}, {"process": None}, {"process": []}, {"process": {"cmd": 1}}, {"process": {"cmd": ""}},
        {"process": {"cmd": "x", "args": "y"}}, {"process": {"cmd": "x", "args": [1]}},
        {"process": {"cmd": "x", "envs": {"a": 1}}}, {"process": {"cmd": "x", "envs": {"": "1"}}},
        {"process": {"cmd": "a\0b"}}, {"process": {"cmd": "\ud800"}},
        {"process": {"cmd": "true", "cwd": "/" + "x" * 5000}}, {"process": {"cmd": "/"}},
        {"process": {"cmd": "no-such-program"}}, {"process": {"cmd": "true"}, "stdin": "no"},
        {"process": {"cmd": "true"}, "pty": {"size": {"cols": -1, "rows": 1}}},
        {"process": {"cmd": "true"}, "pty": {"size": {"cols": 1e300}}},
        {"process": {"cmd": "true", "cwd": "/etc/passwd"}},
    ],
)  # fmt: skip
async def test_what_cannot_start_is_an_invalid_argument(
    envd: Envd, message: dict[str, Any]
) -> None:
    [end] = [event async for event in envd.stream("Start", message)]
    assert end["over"]["error"]["code"] == "invalid_argument"
    assert said(await envd.run("echo alive")) == b"alive\n"


async def test_malformed_calls_are_errors_of_the_caller(envd: Envd) -> None:
    for method in ("SendInput", "SendSignal", "CloseStdin", "Update"):
        for process in (None, {}, {"pid": "x"}, {"pid": -1}, {"pid": 2**70}, {"tag": 5}):
            status, error = await envd.call(method, {"process": process})
            assert (status, error["code"]) in ((400, "invalid_argument"), (404, "not_found"))
    stream = envd.stream("Start", start("sleep 60", stdin=True))
    selector = {"process": (await anext(stream))["start"]}
    for given in ({}, {"stdin": "*"}, {"pty": "eA=="}, {"stdin": 5}):
        status, error = await envd.call("SendInput", {**selector, "input": given})
        assert status >= 400, given
    signals: tuple[object, ...] = (None, 5, "SIGNAL_SIGINT", [], {}, True)
    for signal in signals:
        status, error = await envd.call("SendSignal", {**selector, "signal": signal})
        assert (status, error["code"]) == (501, "unimplemented")
    status, error = await envd.call("Update", {**selector, "pty": {"size": {"cols": 1}}})
    assert (status, error["code"]) == (500, "internal")
    await stream.aclose()


async def test_a_sandbox_out_of_processes_says_so_and_recovers(envd: Envd) -> None:
    streams = [envd.stream("Start", start("exec sleep 60")) for _ in range(80)]
    firsts = [await anext(stream) for stream in streams]
    errors = [event["over"]["error"] for event in firsts if "over" in event]
    assert errors
    assert "limit of processes" in errors[-1]["message"]
    for event in firsts:
        if "start" in event:
            message = {"process": event["start"], "signal": "SIGNAL_SIGKILL"}
            await envd.call("SendSignal", message)
    assert said(await envd.run("echo alive")) == b"alive\n"
    for stream in streams:
        await stream.aclose()


async def test_small_endpoints_and_who_may_ask(envd: Envd) -> None:
    health = await envd.ask("/health", method="GET", headers={"x-access-token": "wrong"})
    assert isinstance(health, Response)
    assert (health.status, health.body, health.headers["cache-control"]) == (
        204, b"", "no-store",
    )  # fmt: skip
    environment = await envd.ask("/envs", method="GET")
    assert isinstance(environment, Response)
    assert json.loads(environment.body)["E2B_SANDBOX_ID"] == envd.live.id
    metrics = await envd.ask("/metrics", method="GET")
    assert isinstance(metrics, Response)
    measured = json.loads(metrics.body)
    assert measured["mem_total_mib"] == envd.live.jail.limits.memory // 1024**2
    assert abs(measured["ts"] - time.time()) < 5
    for path in ("/envs", "/metrics", "/process.Process/List", "/nothing"):
        with pytest.raises(ApiError) as refused:
            await envd.ask(path, headers={"x-access-token": "wrong"})
        assert refused.value.status == 401
    for path in ("/init", "/freeze", "/upgrade", "/process.Process/Nothing", "/"):
        with pytest.raises(ApiError) as refused:
            await envd.ask(path)
        assert refused.value.status == 404
