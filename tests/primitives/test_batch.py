from __future__ import annotations

import asyncio

import pytest

from e2brun import BatchPrimitive, MockPrimitive, RateLimited, UsageError, create_test_context
from e2brun.primitives.events import Retried
from tests.primitives.steps import Adds, Hangs, Recorder

pytestmark = pytest.mark.anyio


class Account:
    """Refuses whoever comes while `limit` are inside."""

    def __init__(self, limit: int) -> None:
        self.limit, self.inside, self.most, self.refused = limit, 0, 0, 0

    async def __call__(self, data: int) -> int:
        if self.inside >= self.limit:
            self.refused += 1
            raise RateLimited("too many sandboxes")
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            await asyncio.sleep(0.005)
        finally:
            self.inside -= 1
        return data * 10


async def test_outputs_stand_in_the_order_of_the_inputs() -> None:
    async def unevenly(data: int) -> int:
        await asyncio.sleep(0.001 * (7 - data % 7))
        return data

    batch = BatchPrimitive(MockPrimitive(side_effect=unevenly), 5)
    assert await batch.execute(range(1, 40), create_test_context()) == list(range(1, 40))


async def test_never_more_at_once_than_allowed() -> None:
    account = Account(1000)
    await BatchPrimitive(MockPrimitive(side_effect=account), 4).execute(
        range(30), create_test_context()
    )
    assert account.most == 4


async def test_nothing_to_do_is_done_at_once() -> None:
    assert await BatchPrimitive(Adds(1)).execute([], create_test_context()) == []


async def test_the_first_failure_cancels_the_rest_and_starts_nothing_more() -> None:
    hangs = Hangs()

    async def work(data: int) -> object:
        if data == 1:
            await asyncio.sleep(0.01)
            raise ValueError("one")
        return await hangs.execute(data, create_test_context())

    step = MockPrimitive(side_effect=work)
    with pytest.raises(ValueError, match="one"):
        await BatchPrimitive(step, 3).execute(range(50), create_test_context())
    assert step.call_count == 3
    assert hangs.happened == ["started", "started", "cancelled", "cancelled"]


async def test_gathering_goes_on_after_failures() -> None:
    failure = ValueError("odd")

    def even_only(data: int) -> int:
        if data % 2:
            raise failure
        return data + 100

    batch = BatchPrimitive(MockPrimitive(side_effect=even_only), 2, gather=True)
    assert await batch.execute(range(4), create_test_context()) == [100, failure, 102, failure]


@pytest.mark.parametrize("gather", [False, True])
async def test_an_accounts_limit_lowers_what_runs_at_once_and_loses_nothing(gather: bool) -> None:
    account, recorder = Account(3), Recorder()
    batch = BatchPrimitive(MockPrimitive(side_effect=account), 10, gather)
    outputs = await batch.execute(range(60), create_test_context(recorder))
    assert outputs == [n * 10 for n in range(60)]
    assert account.refused == 7  # each of the seven too many learns it once
    assert sum(isinstance(event, Retried) for event in recorder.events) == 7


async def test_an_account_that_refuses_everything_is_asked_a_bounded_number_of_times() -> None:
    account = Account(0)
    step = MockPrimitive(side_effect=account)
    batch = BatchPrimitive(step, 4, rate_limit_retries=2, initial_delay=0.001)
    with pytest.raises(RateLimited):
        await batch.execute(range(10), create_test_context())
    assert step.call_count == 3 + 3  # three give way, the last one asks three times


async def test_an_account_that_is_full_for_a_while_is_waited_for() -> None:
    account = Account(0)
    asyncio.get_running_loop().call_later(0.03, lambda: setattr(account, "limit", 1))
    batch = BatchPrimitive(MockPrimitive(side_effect=account), 2, initial_delay=0.02)
    assert await batch.execute([1, 2], create_test_context()) == [10, 20]


def test_none_at_once_is_refused() -> None:
    with pytest.raises(UsageError, match="max_concurrent is at least 1"):
        BatchPrimitive(Adds(1), 0)
