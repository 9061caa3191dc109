from __future__ import annotations

import asyncio
import secrets
import threading
from pathlib import Path
from time import monotonic

import pytest

from e2brun import CodeExecutionPrimitive, StepTimeout, TimeoutPrimitive, create_test_context
from tests.primitives.backends import processes_of, watched
from tests.primitives.steps import Recorder

pytestmark = pytest.mark.anyio

_STUBBORN = """
import signal, subprocess, time
subprocess.Popen(["sleep", "1000"])  # has the marker in its environment
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
while True:
    try:
        time.sleep(60)
    except BaseException:
        pass
"""


def _wait(event: threading.Event) -> None:
    event.wait(30)


def _step(marker: str) -> CodeExecutionPrimitive:
    return CodeExecutionPrimitive(on="local", environment_vars={"MARKER": marker})


async def _running(marker: str) -> None:
    end = monotonic() + 30
    while not processes_of(marker) and monotonic() < end:
        await asyncio.sleep(0.02)
    await asyncio.sleep(0.2)


async def _none_left(marker: str) -> None:
    """Nobody waits for the end of what was killed: on a busy machine it takes a moment."""
    end = monotonic() + 10  # the programs would go on for a minute, or for ever
    while left := processes_of(marker):
        assert monotonic() < end, left
        await asyncio.sleep(0.02)


async def test_a_time_limit_around_it_ends_the_sandbox_too() -> None:
    marker = secrets.token_hex(8)
    started = monotonic()
    with pytest.raises(StepTimeout):
        await TimeoutPrimitive(_step(marker), 0.5).execute(
            {"code": _STUBBORN}, create_test_context()
        )
    assert monotonic() - started < 10
    await _none_left(marker)


async def test_a_sandbox_still_being_created_is_ended_when_it_is_there(tmp_path: Path) -> None:
    go = threading.Event()
    with watched(tmp_path, lambda _: _wait(go)) as backend:
        step, recorder = CodeExecutionPrimitive(backend=backend), Recorder()
        task = asyncio.create_task(step.execute({"code": "1"}, create_test_context(recorder)))
        await asyncio.sleep(0.05)
        task.cancel()
        asyncio.get_running_loop().call_later(0.1, go.set)
        with pytest.raises(asyncio.CancelledError):
            await task
        (sandbox,) = backend.created
        assert sandbox._killed  # type: ignore[attr-defined]
        assert "CodeExecutionPrimitive sandboxready" not in recorder.told()


async def test_cancelling_ends_the_sandboxes_and_all_in_them_at_once() -> None:
    marker, recorder = secrets.token_hex(8), Recorder()
    step, context = _step(marker), create_test_context(recorder)
    tasks = [asyncio.create_task(step.execute({"code": _STUBBORN}, context)) for _ in range(8)]
    await _running(marker)
    assert processes_of(marker)
    started = monotonic()
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(result) for result in results} == {asyncio.CancelledError}
    assert monotonic() - started < 10  # the programs would go on for a minute
    await _none_left(marker)
    assert recorder.told().count("CodeExecutionPrimitive cancelled") == 8


async def test_an_execution_leaves_nothing_whatever_the_code_started() -> None:
    marker = secrets.token_hex(8)
    code = "import subprocess\nsubprocess.Popen(['sleep', '60'], start_new_session=True)"
    assert (await _step(marker).execute({"code": code}, create_test_context()))["success"]
    await _none_left(marker)
