"""Commands through the asynchronous SDK: what it does differently from the synchronous one."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from e2b import TimeoutException

pytestmark = pytest.mark.anyio


async def test_many_commands_at_once(async_sandbox: Any) -> None:
    began = time.monotonic()
    runs = [async_sandbox.commands.run(f"sleep 1; echo {number}") for number in range(20)]
    results = await asyncio.gather(*runs)
    assert [result.stdout for result in results] == [f"{number}\n" for number in range(20)]
    assert time.monotonic() - began < 15


async def test_a_deadline_is_a_timeout_after_output_too(async_sandbox: Any) -> None:
    seen: list[str] = []
    with pytest.raises(TimeoutException):
        await async_sandbox.commands.run("echo hi; sleep 60", timeout=0.3, on_stdout=seen.append)
    assert seen == ["hi\n"]


async def test_a_killed_sandbox_ends_a_command_with_an_error_that_says_so(
    async_sandbox: Any,
) -> None:
    command = await async_sandbox.commands.run("echo hi; sleep 60", background=True)
    await async_sandbox.kill()
    with pytest.raises(TimeoutException, match="killed or reached its end of life"):
        await command.wait()
