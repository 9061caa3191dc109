from __future__ import annotations

import asyncio
from time import monotonic

import pytest

from e2brun import (
    AuthenticationFailed,
    MockPrimitive,
    RetryPrimitive,
    SandboxLost,
    SandboxUnavailable,
    UsageError,
    create_test_context,
)
from e2brun.primitives.events import Retried
from e2brun.primitives.retry import backoff
from tests.primitives.steps import Recorder

pytestmark = pytest.mark.anyio


async def test_an_infrastructure_fault_is_tried_again() -> None:
    recorder = Recorder()
    step = MockPrimitive(side_effect=[SandboxUnavailable("a"), SandboxLost("b"), "at last"])
    retry = RetryPrimitive(step, initial_delay=0.001)
    assert await retry.execute(0, create_test_context(recorder)) == "at last"
    retried = [event for event in recorder.events if isinstance(event, Retried)]
    assert [(event.attempt, str(event.error)) for event in retried] == [(1, "a"), (2, "b")]


async def test_after_the_last_attempt_its_failure_is_raised() -> None:
    step = MockPrimitive(side_effect=SandboxLost("gone"))
    with pytest.raises(SandboxLost, match="gone") as raised:
        await RetryPrimitive(step, max_retries=2, initial_delay=0.001).execute(
            0, create_test_context()
        )
    assert step.call_count == 3
    assert raised.value.__notes__ == ["given up after 3 attempts"]


@pytest.mark.parametrize(
    "error",
    [UsageError("u"), AuthenticationFailed("a"), ValueError("a bug"), asyncio.CancelledError()],
)
async def test_what_would_be_the_same_again_is_not_tried_again(error: BaseException) -> None:
    step = MockPrimitive(side_effect=error)
    with pytest.raises(type(error)):
        await RetryPrimitive(step, initial_delay=0.001).execute(0, create_test_context())
    assert step.call_count == 1


@pytest.mark.parametrize("error", [UsageError("u"), AuthenticationFailed("a")])
async def test_not_even_where_on_names_every_exception(error: Exception) -> None:
    step = MockPrimitive(side_effect=error)
    with pytest.raises(type(error)):
        await RetryPrimitive(step, on=(Exception,), initial_delay=0.001).execute(
            0, create_test_context()
        )
    assert step.call_count == 1


async def test_code_that_failed_is_a_result_and_not_run_again() -> None:
    step = MockPrimitive({"success": False, "error": "ValueError"})
    result = await RetryPrimitive(step).execute(0, create_test_context())
    assert result["error"] == "ValueError"
    assert step.call_count == 1


async def test_code_that_failed_is_run_again_when_asked() -> None:
    step = MockPrimitive(side_effect=[{"success": False}, {"success": True}])
    retry = RetryPrimitive(step, initial_delay=0.001, retry_failed_code=True)
    assert await retry.execute(0, create_test_context()) == {"success": True}


async def test_code_that_goes_on_failing_is_the_result_in_the_end() -> None:
    step = MockPrimitive({"success": False})
    retry = RetryPrimitive(step, max_retries=2, initial_delay=0.001, retry_failed_code=True)
    assert await retry.execute(0, create_test_context()) == {"success": False}
    assert step.call_count == 3


async def test_no_attempt_begins_after_the_deadline() -> None:
    step = MockPrimitive(side_effect=SandboxLost("gone"))
    started = monotonic()
    with pytest.raises(SandboxLost):
        await RetryPrimitive(
            step, max_retries=1000, initial_delay=0.02, factor=1, deadline=0.5
        ).execute(0, create_test_context())
    assert monotonic() - started < 10  # all of them take 20 s
    assert 2 <= step.call_count <= 40


async def test_waiting_can_be_cancelled() -> None:
    step = MockPrimitive(side_effect=SandboxLost("gone"))
    retry = RetryPrimitive(step, initial_delay=60, jitter=0)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(retry.execute(0, create_test_context()), 0.05)
    assert step.call_count == 1


def test_delays_grow_up_to_the_longest() -> None:
    assert [backoff(n, 0.5, 2, 3) for n in (1, 2, 3, 4)] == [0.5, 1, 2, 3]
    assert backoff(10_000, 0.5, 2, 30) == 30
