from __future__ import annotations

import asyncio

import pytest

from e2brun import MockPrimitive, StepTimeout, TimeoutPrimitive, create_test_context
from tests.primitives.steps import Hangs

pytestmark = pytest.mark.anyio


async def test_timeout_cancels_the_step_it_gives_up_on() -> None:
    step = Hangs()
    with pytest.raises(StepTimeout, match=r"Hangs took longer than 0\.01 s"):
        await TimeoutPrimitive(step, timeout_seconds=0.01).execute("x", create_test_context())
    assert step.happened == ["started", "cancelled"]


async def test_a_step_in_time_is_left_alone() -> None:
    assert await TimeoutPrimitive(MockPrimitive(5), 5).execute("x", create_test_context()) == 5


async def test_it_can_be_a_result_instead() -> None:
    step = TimeoutPrimitive(Hangs(), 0.01, raise_on_timeout=False)
    result = await step.execute("x", create_test_context())
    assert isinstance(result, dict)
    assert (result["success"], result["outcome"]) == (False, "timeout")
    assert result["error"] == "Hangs took longer than 0.01 s"


async def test_a_timeout_of_the_steps_own_is_not_taken_for_ours() -> None:
    step = MockPrimitive(side_effect=TimeoutError("my own"))
    for raise_on_timeout in (True, False):
        with pytest.raises(TimeoutError, match="my own") as raised:
            await TimeoutPrimitive(step, 5, raise_on_timeout).execute("x", create_test_context())
        assert not isinstance(raised.value, StepTimeout)


async def test_the_inner_of_two_limits_names_itself() -> None:
    step = TimeoutPrimitive(TimeoutPrimitive(Hangs(), 0.01), 5)
    with pytest.raises(StepTimeout, match=r"Hangs took longer than 0\.01 s"):
        await step.execute("x", create_test_context())


async def test_cancellation_from_outside_is_no_timeout() -> None:
    step = TimeoutPrimitive(Hangs(), 5, raise_on_timeout=False)
    task = asyncio.create_task(step.execute("x", create_test_context()))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
