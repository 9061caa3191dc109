from __future__ import annotations

import asyncio

import pytest

from e2brun import MockPrimitive, ParallelPrimitive, create_test_context
from tests.primitives.steps import Adds, Hangs

pytestmark = pytest.mark.anyio


async def test_the_first_failure_cancels_the_rest_and_is_raised_as_itself() -> None:
    hangs = Hangs()
    step = ParallelPrimitive[object, object]((hangs, MockPrimitive(side_effect=KeyError("first"))))
    with pytest.raises(KeyError, match="first"):
        await step.execute(0, create_test_context())
    assert hangs.happened == ["started", "cancelled"]


async def test_how_the_others_take_being_cancelled_hides_nothing() -> None:
    async def sulks(_: object) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise RuntimeError("cancelled me!") from None

    step = MockPrimitive(side_effect=sulks) | MockPrimitive(side_effect=KeyError("first"))
    with pytest.raises(KeyError, match="first"):
        await step.execute(0, create_test_context())


async def test_a_group_that_a_step_raises_itself_is_not_taken_apart() -> None:
    group = ExceptionGroup("mine", [ValueError("a"), ValueError("b")])
    step = MockPrimitive() | MockPrimitive(side_effect=group)
    with pytest.raises(ExceptionGroup, match="mine"):
        await step.execute(0, create_test_context())


async def test_gathering_lets_all_end_and_puts_failures_in_their_place() -> None:
    failure = ValueError("second")
    step = ParallelPrimitive[int, object](
        (Adds(1), MockPrimitive(side_effect=failure), Adds(3)), gather=True
    )
    assert await step.execute(0, create_test_context()) == [1, failure, 3]


@pytest.mark.parametrize("gather", [False, True])
async def test_cancelling_it_cancels_every_branch(gather: bool) -> None:
    branches = (Hangs(), Hangs())
    step = ParallelPrimitive[object, object](branches, gather)
    task = asyncio.create_task(step.execute(0, create_test_context()))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [branch.happened[-1] for branch in branches] == ["cancelled", "cancelled"]


async def test_branches_run_at_the_same_time() -> None:
    meeting = asyncio.Barrier(3)

    async def meets(number: int) -> int:
        await asyncio.wait_for(meeting.wait(), 5)
        return number

    step = MockPrimitive(side_effect=meets) | meets | meets
    assert await step.execute(7, create_test_context()) == [7, 7, 7]
