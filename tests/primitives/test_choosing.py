from __future__ import annotations

import pytest

from e2brun import (
    ConditionalPrimitive,
    FallbackPrimitive,
    MockPrimitive,
    RouterPrimitive,
    SandboxError,
    UsageError,
    WorkflowContext,
    create_test_context,
)
from e2brun.primitives.events import FellBack
from tests.primitives.steps import Adds, Hangs, Recorder

pytestmark = pytest.mark.anyio


async def test_a_condition_picks_one_of_two() -> None:
    step = ConditionalPrimitive(lambda number: number > 5, Adds(100), Adds(-100))
    assert await step.execute(6, create_test_context()) == 106
    assert await step.execute(5, create_test_context()) == -95


async def test_a_condition_may_look_at_the_context() -> None:
    def allowed(_: int, context: WorkflowContext) -> bool:
        return bool(context.metadata.get("allowed"))

    step = ConditionalPrimitive(allowed, Adds(1), Adds(2))
    assert await step.execute(0, create_test_context(metadata={"allowed": True})) == 1
    assert await step.execute(0, create_test_context()) == 2


async def test_a_router_takes_the_route_of_that_name() -> None:
    step = RouterPrimitive(
        {"small": Adds(1), "large": Adds(1000)}, lambda n: "small" if n < 10 else "large"
    )
    assert await step.execute(1, create_test_context()) == 2
    assert await step.execute(10, create_test_context()) == 1010


async def test_what_no_route_is_for_goes_to_the_default() -> None:
    by_step = RouterPrimitive({"a": Adds(1)}, lambda _: "z", default=Adds(9))
    by_name = RouterPrimitive({"a": Adds(1)}, lambda _: "z", default="a")
    assert await by_step.execute(0, create_test_context()) == 9
    assert await by_name.execute(0, create_test_context()) == 1


async def test_no_route_and_no_default_says_which_there_are() -> None:
    step = RouterPrimitive({"fast": Adds(1), "slow": Adds(2)}, lambda _: "fst")
    with pytest.raises(UsageError, match=r"no route 'fst' \(did you mean \"fast\""):
        await step.execute(0, create_test_context())
    with pytest.raises(UsageError, match=r"no route 'zzz' \(known: fast, slow"):
        RouterPrimitive(step.routes, step.router_fn, default="zzz")


async def test_fallbacks_are_tried_in_order_until_one_does_not_fail() -> None:
    recorder = Recorder()
    step = FallbackPrimitive(
        MockPrimitive(side_effect=ValueError("one")),
        MockPrimitive(side_effect=ValueError("two")),
        MockPrimitive("three"),
        MockPrimitive("four"),
    )
    assert await step.execute(0, create_test_context(recorder)) == "three"
    errors = [str(event.error) for event in recorder.events if isinstance(event, FellBack)]
    assert errors == ["one", "two"]


async def test_when_every_fallback_fails_the_last_failure_counts() -> None:
    step = FallbackPrimitive(
        MockPrimitive(side_effect=ValueError("one")), MockPrimitive(side_effect=KeyError("two"))
    )
    with pytest.raises(KeyError, match="two"):
        await step.execute(0, create_test_context())


async def test_what_on_does_not_name_is_raised_at_once() -> None:
    spare = MockPrimitive("spare")
    primary = MockPrimitive(side_effect=ValueError("a bug"))
    with pytest.raises(ValueError, match="a bug"):
        await FallbackPrimitive(primary, spare, on=(SandboxError,)).execute(
            0, create_test_context()
        )
    assert spare.call_count == 0


async def test_code_that_failed_moves_a_fallback_only_when_asked() -> None:
    failed, spare = MockPrimitive({"success": False}), MockPrimitive({"success": True})
    context = create_test_context()
    assert await FallbackPrimitive(failed, spare).execute(0, context) == {"success": False}
    asked = FallbackPrimitive(failed, spare, on_failed_code=True)
    assert await asked.execute(0, context) == {"success": True}


async def test_cancellation_is_no_failure_to_fall_back_from() -> None:
    import asyncio

    spare = MockPrimitive("spare")
    task = asyncio.create_task(FallbackPrimitive(Hangs(), spare).execute(0, create_test_context()))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert spare.call_count == 0
