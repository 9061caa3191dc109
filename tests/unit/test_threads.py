from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from time import monotonic

import pytest

from e2brun.sandbox.threads import in_thread

pytestmark = pytest.mark.anyio


async def test_what_it_returns_or_raises_comes_back() -> None:
    assert await in_thread(lambda: 5) == 5
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 // 0)
    with pytest.raises(RuntimeError, match="StopIteration"):
        await asyncio.wait_for(in_thread(lambda: next(iter(()))), 5)


async def test_cancelling_stops_the_work_and_waits_for_its_end() -> None:
    stop, ended = threading.Event(), threading.Event()

    def work() -> None:
        stop.wait(30)
        ended.set()

    task = asyncio.create_task(in_thread(work, stop=stop.set))
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def test_work_that_does_not_stop_is_left_behind_in_time() -> None:
    release = threading.Event()
    task = asyncio.create_task(in_thread(lambda: release.wait(30), grace=0.1))
    await asyncio.sleep(0.02)
    started = monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert monotonic() - started < 10
    release.set()


async def test_cancelling_again_and_again_does_not_cut_the_clean_up_short() -> None:
    stop, ended = threading.Event(), threading.Event()

    def work() -> None:
        stop.wait(30)
        threading.Event().wait(0.2)
        ended.set()

    task = asyncio.create_task(in_thread(work, stop=stop.set))
    await asyncio.sleep(0.02)
    for _ in range(5):
        task.cancel()
        await asyncio.sleep(0.01)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def test_there_may_be_more_at_once_than_a_pool_has_threads() -> None:
    barrier = threading.Barrier(70)
    await asyncio.gather(*(in_thread(lambda: barrier.wait(20)) for _ in range(70)))


def test_work_that_is_left_behind_does_not_keep_python_from_exiting() -> None:
    code = """
import asyncio, time
from e2brun.sandbox.threads import in_thread
async def main():
    await asyncio.wait_for(in_thread(lambda: time.sleep(60), grace=0.1), 0.1)
asyncio.run(main())
"""
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, timeout=20, check=False
    )
    assert b"TimeoutError" in ended.stderr
