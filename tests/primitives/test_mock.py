from __future__ import annotations

import pytest

from e2brun import MockPrimitive, WorkflowContext, create_test_context

pytestmark = pytest.mark.anyio


async def test_it_remembers_what_it_was_asked() -> None:
    mock, context = MockPrimitive(return_value={"success": True}), create_test_context()
    assert await mock.execute({"code": "1"}, context) == {"success": True}
    assert mock.call_count == 1
    assert mock.calls[0].data == {"code": "1"}
    assert mock.calls[0].context.correlation_id == context.correlation_id


@pytest.mark.parametrize("effect", [ValueError("x"), ValueError])
async def test_an_exception_is_raised_and_the_call_still_counts(effect: object) -> None:
    mock = MockPrimitive(side_effect=effect)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"x|^$"):
        await mock.execute(1, create_test_context())
    assert mock.call_count == 1


async def test_a_function_answers_async_or_not_with_or_without_the_context() -> None:
    async def later(data: int, context: WorkflowContext) -> str:
        return f"{data} {context.workflow_id}"

    context = create_test_context(workflow_id="w")
    assert await MockPrimitive(side_effect=lambda data: data + 1).execute(1, context) == 2
    assert await MockPrimitive(side_effect=later).execute(1, context) == "1 w"
    assert (
        await MockPrimitive("default", side_effect=lambda _: None).execute(1, context) == "default"
    )


async def test_answers_come_one_by_one_and_asking_for_more_is_an_error() -> None:
    mock = MockPrimitive(side_effect=[1, KeyError("two")])
    context = create_test_context()
    assert await mock.execute(0, context) == 1
    with pytest.raises(KeyError, match="two"):
        await mock.execute(0, context)
    with pytest.raises(AssertionError, match="more often than it has answers"):
        await mock.execute(0, context)
