"""One step over many inputs, so many at a time."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from e2brun.errors import RateLimited, UsageError
from e2brun.primitives.base import Primitive, collected, together
from e2brun.primitives.context import WorkflowContext
from e2brun.primitives.events import Retried
from e2brun.primitives.retry import backoff

Entry = TypeVar("Entry")
Item = TypeVar("Item")
E = TypeVar("E")
T = TypeVar("T")


@dataclass(frozen=True)
class BatchPrimitive(Primitive[Iterable[Entry], list[Item]]):
    """Run `primitive` on every input, `max_concurrent` at once; outputs in the inputs' order.

    The first failure cancels the rest; with `gather`, exceptions stand in the list instead.
    When the provider says RateLimited, the batch goes on with one fewer at once, down to one,
    which then waits and asks again, `rate_limit_retries` times at most for each input. The
    whole of `primitive` is run again: what must not be repeated has no place in it.
    """

    primitive: Primitive[Entry, Item]
    max_concurrent: int = 10
    gather: bool = False
    rate_limit_retries: int = 5
    initial_delay: float = 0.5  # seconds, doubled each time, less up to half by chance

    def __post_init__(self) -> None:
        if self.max_concurrent < 1:
            raise UsageError(f"max_concurrent is at least 1, not {self.max_concurrent!r}")

    async def execute(self, data: Iterable[Entry], context: WorkflowContext) -> list[Item]:
        batch: _Batch[Entry, Item] = _Batch(deque(enumerate(data)))
        count = len(batch.waiting)
        batch.workers = min(self.max_concurrent, count)
        # Not a task for each input: there may be very many.
        await together([self._work(batch, context) for _ in range(batch.workers)])
        return [batch.outputs[number] for number in range(count)]

    async def _work(self, batch: _Batch[Entry, Item], context: WorkflowContext) -> None:
        try:
            while batch.waiting:
                number, entry = batch.waiting.popleft()
                run = self._one(entry, batch, context)
                try:
                    batch.outputs[number] = await (collected(run) if self.gather else run)
                except _OneTooMany:
                    batch.waiting.appendleft((number, entry))
                    return
        finally:
            batch.workers -= 1

    async def _one(
        self, entry: Entry, batch: _Batch[Entry, Item], context: WorkflowContext
    ) -> Item:
        attempt = 1
        while True:
            try:
                return await self.primitive.execute(entry, context)
            except RateLimited as error:
                alone = batch.workers == 1
                if alone and attempt > self.rate_limit_retries:
                    raise
                delay = backoff(attempt, self.initial_delay, 2, 30) if alone else 0.0
                delay *= random.uniform(0.5, 1)  # noqa: S311 - not a secret
                context.emit(Retried(context.span, attempt, self.rate_limit_retries, delay, error))
                if not alone:
                    raise _OneTooMany from None
            await asyncio.sleep(delay)
            attempt += 1


class _OneTooMany(BaseException):
    """This worker is more than the provider bears; the others take its input."""


@dataclass
class _Batch(Generic[E, T]):
    waiting: deque[tuple[int, E]]
    outputs: dict[int, T] = field(default_factory=dict[int, T])
    workers: int = 0
