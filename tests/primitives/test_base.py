from __future__ import annotations

import asyncio
import functools
from typing import Any, cast

import pytest

from e2brun import (
    FunctionPrimitive,
    MockPrimitive,
    ParallelPrimitive,
    Primitive,
    SequentialPrimitive,
    WorkflowContext,
    create_test_context,
    primitive,
)
from tests.primitives.steps import Adds, Recorder, add_one, double, say_id

pytestmark = pytest.mark.anyio


async def test_a_sequence_passes_each_output_on() -> None:
    chain = Adds(1) >> Adds(10) >> double
    assert await chain.execute(0, create_test_context()) == 22


async def test_sequences_are_flat_however_they_are_joined() -> None:
    chain = (Adds(1) >> Adds(2)) >> (Adds(3) >> Adds(4))
    assert isinstance(chain, SequentialPrimitive)
    assert chain.steps == (Adds(1), Adds(2), Adds(3), Adds(4))


async def test_a_very_long_chain_needs_no_deep_stack() -> None:
    chain: Primitive[int, int] = Adds(0)
    for _ in range(3000):
        chain = chain >> Adds(1)
    assert await chain.execute(0, create_test_context()) == 3000


async def test_bare_functions_are_lifted_on_either_side() -> None:
    context = create_test_context(correlation_id="c-7")
    assert await (add_one >> Adds(1) >> say_id).execute(1, context) == "3 for c-7"
    assert await (Adds(1) | add_one | say_id).execute(1, context) == [2, 2, "1 for c-7"]
    assert await (add_one | Adds(5)).execute(1, context) == [2, 6]


async def test_parallel_steps_of_an_operator_are_flat_and_in_order() -> None:
    both = Adds(1) | (Adds(2) | Adds(3))
    assert isinstance(both, ParallelPrimitive)
    assert both.branches == (Adds(1), Adds(2), Adds(3))
    assert await both.execute(0, create_test_context()) == [1, 2, 3]


async def test_a_decorated_function_is_a_step_with_its_name() -> None:
    @primitive
    async def shout(text: str) -> str:
        return text.upper()

    assert shout.name == "shout"
    assert await shout.execute("hi", create_test_context()) == "HI"


async def test_a_partial_and_a_callable_object_can_be_steps() -> None:
    async def add(number: int, amount: int = 0) -> int:
        return number + amount

    class Doubles:
        async def __call__(self, number: int) -> int:
            return number * 2

    step = FunctionPrimitive[int, int](functools.partial(add, amount=4)) >> Doubles()
    assert await step.execute(1, create_test_context()) == 10
    assert FunctionPrimitive(functools.partial(add)).name == "add"


def test_a_function_that_is_not_async_is_refused_with_what_to_write() -> None:
    with pytest.raises(TypeError, match="is no step: write it as `async def`"):
        primitive(cast("Any", len))
    with pytest.raises(TypeError, match="async def"):
        Adds(1) >> cast("Any", lambda number: number)


def test_a_function_of_the_wrong_number_of_arguments_is_refused() -> None:
    async def nothing() -> None: ...
    async def three(one: int, two: int, three: int) -> None: ...
    async def named(one: int, *, needed: int) -> None: ...

    for function in (nothing, three, named):
        with pytest.raises(TypeError, match="it takes the data, and the context if it wants"):
            primitive(cast("Any", function))


async def test_every_step_tells_when_it_starts_and_ends() -> None:
    recorder = Recorder()
    await (Adds(1) >> add_one).execute(0, create_test_context(recorder))
    assert recorder.told() == [
        "SequentialPrimitive started",
        "Adds started",
        "Adds finished",
        "add_one started",
        "add_one finished",
        "SequentialPrimitive finished",
    ]
    outer, inner = recorder.events[0], recorder.events[1]
    assert outer.parent_span_id is None
    assert inner.parent_span_id == outer.span_id
    assert {event.correlation_id for event in recorder.events} == {"test-correlation"}
    assert [event.time for event in recorder.events] == sorted(e.time for e in recorder.events)


async def test_failure_and_cancellation_are_told_apart() -> None:
    recorder = Recorder()
    with pytest.raises(ValueError, match="no"):
        await MockPrimitive(side_effect=ValueError("no")).execute(1, create_test_context(recorder))
    step = MockPrimitive(side_effect=asyncio.CancelledError())
    with pytest.raises(asyncio.CancelledError):
        await step.execute(1, create_test_context(recorder))
    assert recorder.told()[1::2] == ["MockPrimitive failed", "MockPrimitive cancelled"]


async def test_a_subclass_that_calls_its_parents_execute_is_one_step() -> None:
    class More(Adds):
        async def execute(self, data: int, context: WorkflowContext) -> int:
            return await super().execute(data, context) + 100

    recorder = Recorder()
    assert await More(1).execute(1, create_test_context(recorder)) == 102
    assert recorder.told() == ["More started", "More finished"]


async def test_a_subscriber_that_raises_is_reported_and_stops_nothing() -> None:
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, about: reported.append(about))
    recorder = Recorder()

    def broken(_: object) -> None:
        raise RuntimeError("broken subscriber")

    assert await Adds(1).execute(1, create_test_context(broken, recorder)) == 2
    assert len(recorder.events) == len(reported) == 2
    assert str(reported[0]["exception"]) == "broken subscriber"
