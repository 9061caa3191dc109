"""E2B's Python SDK, synchronous: a sandbox is made, found, paused, copied and ended."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from e2b import Sandbox, SandboxQuery, SandboxState
from e2b.exceptions import (
    AuthenticationException,
    NotFoundException,
    SandboxException,
    SandboxNotFoundException,
    TimeoutException,
)

from tests.sdk.serving import Serving


@pytest.fixture
def made(service: Serving) -> Iterator[list[Sandbox]]:
    """Sandboxes to be killed at the end."""
    sandboxes: list[Sandbox] = []
    yield sandboxes
    for sandbox in sandboxes:
        sandbox.kill()


def test_what_a_sandbox_was_made_with_is_what_it_tells(made: list[Sandbox]) -> None:
    mark = uuid.uuid4().hex
    sandbox = Sandbox.create("base", timeout=100, metadata={"mark": mark}, envs={"A": "1 2"})
    made.append(sandbox)
    info = sandbox.get_info()
    assert (info.sandbox_id, info.name, info.metadata) == (
        sandbox.sandbox_id,
        "base",
        {"mark": mark},
    )
    assert info.state == SandboxState.RUNNING
    assert timedelta(seconds=99) < info.end_at - info.started_at < timedelta(seconds=101)
    assert sandbox.commands.run("echo $A").stdout == "1 2\n"
    assert sandbox.is_running()


def test_lists_filter_and_turn_pages(made: list[Sandbox]) -> None:
    mark = {"mark of ü&=": f"{uuid.uuid4().hex} +%"}
    made += [Sandbox.create("base", metadata=mark) for _ in range(3)]
    made[1].pause()
    query = SandboxQuery(metadata=mark)
    pages = Sandbox.list(query=query, limit=2)
    first = pages.next_items()
    assert pages.has_next
    found = [item.sandbox_id for item in first + pages.next_items()]
    assert not pages.has_next
    assert found == [sandbox.sandbox_id for sandbox in reversed(made)]
    paused = SandboxQuery(metadata=mark, state=[SandboxState.PAUSED])
    assert [item.sandbox_id for item in Sandbox.list(query=paused).next_items()] == [
        made[1].sandbox_id
    ]
    oldest = Sandbox.list(query=query, limit=1, order="asc").next_items()
    assert oldest[0].sandbox_id == made[0].sandbox_id


def test_killing_is_true_once(service: Serving) -> None:
    sandbox = Sandbox.create("base")
    assert sandbox.kill() is True
    assert sandbox.kill() is False
    assert Sandbox.kill(sandbox.sandbox_id) is False
    assert not sandbox.is_running()
    with pytest.raises(SandboxNotFoundException):
        sandbox.get_info()
    with pytest.raises(SandboxNotFoundException):
        sandbox.connect()
    with pytest.raises(TimeoutException, match="was not found"):
        sandbox.commands.run("true")


def test_its_time_can_be_changed_and_ends_it(service: Serving) -> None:
    sandbox = Sandbox.create("base", timeout=100)
    sandbox.connect(timeout=10)
    assert sandbox.get_info().end_at > datetime.now(UTC) + timedelta(seconds=80)
    sandbox.set_timeout(1)
    assert sandbox.is_running()
    time.sleep(1.3)
    assert not sandbox.is_running()


def test_a_pause_keeps_processes_and_a_file_pause_keeps_files(made: list[Sandbox]) -> None:
    sandbox = Sandbox.create("base", envs={"A": "kept"})
    made.append(sandbox)
    sandbox.files.write("kept", "content")
    boot = sandbox.files.read("/proc/sys/kernel/random/boot_id")
    command = sandbox.commands.run("read line; echo got $line", background=True, stdin=True)
    assert sandbox.pause() is True
    assert sandbox.pause() is False
    assert not sandbox.is_running()
    same = Sandbox.connect(sandbox.sandbox_id)
    assert [process.pid for process in same.commands.list()] == [command.pid]
    waiting = same.commands.connect(command.pid)
    same.commands.send_stdin(command.pid, "it\n")
    assert waiting.wait().stdout == "got it\n"
    assert same.files.read("/proc/sys/kernel/random/boot_id") == boot

    same.commands.run("sleep 100", background=True)
    assert sandbox.pause(mode="filesystem") is True
    same.connect()
    assert sandbox.files.read("kept") == "content"  # the old handle's token is still good
    assert sandbox.commands.list() == []
    assert sandbox.files.read("/proc/sys/kernel/random/boot_id") != boot
    assert sandbox.commands.run("echo $A").stdout == "kept\n"


def test_traffic_wakes_a_sandbox_that_asked_for_it(made: list[Sandbox]) -> None:
    sandbox = Sandbox.create(
        "base", timeout=60, lifecycle={"on_timeout": "pause", "auto_resume": True}
    )
    made.append(sandbox)
    sandbox.set_timeout(0)
    _until_paused(sandbox)
    assert sandbox.commands.run("echo awake").stdout == "awake\n"


def test_a_sandbox_paused_at_its_end_with_files_only_is_resumed_by_hand(
    made: list[Sandbox],
) -> None:
    sandbox = Sandbox.create(
        "base", lifecycle={"on_timeout": {"action": "pause", "mode": "filesystem"}}
    )
    made.append(sandbox)
    sandbox.files.write("f", "1")
    sandbox.set_timeout(0)
    _until_paused(sandbox)
    with pytest.raises(TimeoutException):
        sandbox.files.read("f")
    sandbox.connect()
    assert sandbox.files.read("f") == "1"


def _until_paused(sandbox: Sandbox) -> None:
    for _ in range(100):
        if sandbox.get_info().state == SandboxState.PAUSED:
            return
        time.sleep(0.05)
    pytest.fail("it was not paused")


def test_a_snapshot_makes_copies_that_go_their_own_ways(made: list[Sandbox]) -> None:
    source = Sandbox.create("base", envs={"A": "a"})
    made.append(source)
    source.files.write("f", "before")
    snapshot = source.create_snapshot(name="a-name")
    assert snapshot.names
    assert "a-name" in snapshot.names[0]
    source.files.write("f", "after")
    copy = Sandbox.create(snapshot.snapshot_id, envs={"B": "b"})
    made.append(copy)
    assert copy.files.read("f") == "before"
    assert copy.commands.run("echo $A $B").stdout == "a b\n"
    listed = Sandbox.list_snapshots(source.sandbox_id).next_items()
    assert [item.snapshot_id for item in listed] == [snapshot.snapshot_id]
    assert Sandbox.delete_snapshot(snapshot.snapshot_id) is True
    assert Sandbox.delete_snapshot(snapshot.snapshot_id) is False
    with pytest.raises(SandboxException, match="404"):
        Sandbox.create(snapshot.snapshot_id)
    with pytest.raises(SandboxException, match="filesystem only"):
        source.create_snapshot(mode="full")


def test_forks_have_the_files_and_the_source_its_life(made: list[Sandbox]) -> None:
    source = Sandbox.create("base", metadata={"a": "b"})
    made.append(source)
    source.files.write("f", "1")
    before = source.get_info().end_at
    forks: list[Any] = source.fork(count=2, timeout=60)
    made += forks
    assert [fork.files.read("f") for fork in forks] == ["1", "1"]
    assert len({fork.sandbox_id for fork in (*forks, source)}) == 3
    assert forks[0].get_info().metadata == {"a": "b"}
    assert source.get_info().end_at == before
    source.kill()
    with pytest.raises(SandboxNotFoundException):
        source.fork()


def test_metrics_are_there_from_the_beginning(made: list[Sandbox]) -> None:
    sandbox = Sandbox.create("base")
    made.append(sandbox)
    sandbox.commands.run("head -c 20000000 /dev/zero > big")
    time.sleep(0.6)
    last = sandbox.get_metrics()[-1]
    assert last.disk_used > 20_000_000
    assert 0 < last.mem_used < last.mem_total
    assert sandbox.get_metrics(start=datetime.now(UTC) + timedelta(minutes=1)) == []


def test_a_program_beyond_the_memory_limit_ends_and_the_sandbox_lives(made: list[Sandbox]) -> None:
    sandbox = Sandbox.create("base")
    made.append(sandbox)
    hoard = "python3 -c 'x = bytearray(900 << 20); print(sum(x[::4096]))'"
    with pytest.raises(SandboxException) as caught:
        sandbox.commands.run(hoard)
    assert "-1" in str(caught.value)
    assert sandbox.commands.run("echo alive").stdout == "alive\n"


def test_the_network_settings_are_kept_and_told(made: list[Sandbox]) -> None:
    sandbox = Sandbox.create("base", network={"allow_public_traffic": False})
    made.append(sandbox)
    assert sandbox.traffic_access_token
    sandbox.update_network({"allow_out": ["1.1.1.1"], "deny_out": ["0.0.0.0/0"]})
    network: Any = sandbox.get_info().network
    assert network["allow_out"] == ["1.1.1.1"]
    assert network["allow_public_traffic"] is False
    sandbox.update_network({})
    assert sandbox.get_info().network == {"allow_public_traffic": False}


def test_the_missing_mcp_gateway_is_named_and_its_sandbox_ends(service: Serving) -> None:
    before = {one.sandbox_id for one in Sandbox.list().next_items()}
    with pytest.raises(SandboxException, match="Failed to start MCP gateway"):
        Sandbox.create(mcp={"time": {}})
    assert {one.sandbox_id for one in Sandbox.list().next_items()} <= before


def test_refusals_come_at_once_and_say_why(service: Serving) -> None:
    for arguments, reason in (
        ({"template": "none-such"}, "none-such"),
        ({"volume_mounts": {"/x": "v"}}, "volume 'v'"),
        ({"timeout": 10**9}, "timeout"),
    ):
        began = time.monotonic()
        with pytest.raises(SandboxException, match=reason):
            Sandbox.create(**arguments)
        assert time.monotonic() - began < 5
    with pytest.raises(AuthenticationException):
        Sandbox.create(api_key="e2b_" + "0" * 40)
    with pytest.raises(NotFoundException):
        Sandbox.connect("ino-such")
