"""run_code of the asynchronous SDK."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


async def test_contexts_run_side_by_side(service: Any) -> None:
    from e2b_code_interpreter import AsyncSandbox

    sandbox = await AsyncSandbox.create(timeout=60)
    try:
        contexts = [await sandbox.create_code_context() for _ in range(3)]
        code = "import time; time.sleep(0.3); print('out'); 1 + 1"
        started = asyncio.get_running_loop().time()
        done = await asyncio.gather(
            *(sandbox.run_code(code, context=context) for context in contexts)
        )
        assert [one.text for one in done] == ["2"] * 3
        assert [one.logs.stdout for one in done] == [["out\n"]] * 3
        assert asyncio.get_running_loop().time() - started < 0.85
    finally:
        await sandbox.kill()


async def test_a_cancelled_execution_is_interrupted(service: Any) -> None:
    from e2b_code_interpreter import AsyncSandbox

    sandbox = await AsyncSandbox.create(timeout=60)
    try:
        await sandbox.run_code("kept = 1")
        running = asyncio.create_task(sandbox.run_code("import time; time.sleep(300)"))
        await asyncio.sleep(0.3)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        async with asyncio.timeout(10):
            assert (await sandbox.run_code("kept")).text == "1"
    finally:
        await sandbox.kill()
