"""E2B's Python SDK, asynchronous: the same life, many at a time."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from e2b import AsyncSandbox, SandboxQuery
from e2b.exceptions import SandboxNotFoundException, TimeoutException

from tests.sdk.serving import Serving

pytestmark = pytest.mark.anyio


async def test_many_sandboxes_at_once_are_made_found_and_ended(service: Serving) -> None:
    mark = {"mark": uuid.uuid4().hex}
    made = await asyncio.gather(*(AsyncSandbox.create("base", metadata=mark) for _ in range(10)))
    pages = AsyncSandbox.list(query=SandboxQuery(metadata=mark), limit=4)
    found: list[str] = []
    while pages.has_next:
        found += [item.sandbox_id for item in await pages.next_items()]
    assert sorted(found) == sorted(sandbox.sandbox_id for sandbox in made)
    said = await asyncio.gather(*(each.commands.run("echo $E2B_SANDBOX_ID") for each in made))
    assert [result.stdout.strip() for result in said] == [each.sandbox_id for each in made]
    assert all(await asyncio.gather(*(sandbox.kill() for sandbox in made)))


async def test_it_is_paused_resumed_copied_and_killed(service: Serving) -> None:
    sandbox = await AsyncSandbox.create("base", timeout=60)
    try:
        await sandbox.files.write("f", "1")
        assert await sandbox.pause()
        assert not await sandbox.is_running()
        await sandbox.connect()
        snapshot = await sandbox.create_snapshot()
        copy = await AsyncSandbox.create(snapshot.snapshot_id)
        assert await copy.files.read("f") == "1"
        assert await copy.kill()
        assert await AsyncSandbox.delete_snapshot(snapshot.snapshot_id)
        assert (await sandbox.get_metrics())[0].cpu_count
    finally:
        assert await sandbox.kill()
    with pytest.raises(SandboxNotFoundException):
        await sandbox.set_timeout(5)


async def test_a_pause_cuts_a_command_off_and_the_program_goes_on(async_sandbox: Any) -> None:
    command = await async_sandbox.commands.run("sleep 0.6; echo done > f", background=True)
    await async_sandbox.pause()
    with pytest.raises(TimeoutException):
        await command.wait()
    await async_sandbox.connect()
    again = await async_sandbox.commands.connect(command.pid)
    await again.wait()
    assert await async_sandbox.files.read("f") == "done\n"
