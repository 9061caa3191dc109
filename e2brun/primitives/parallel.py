"""The same input to several steps at once: `a | b`."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from e2brun.primitives.base import A, B, In, Other, Primitive
from e2brun.primitives.context import WorkflowContext

Item = TypeVar("Item")
T = TypeVar("T")


@dataclass(frozen=True)
class ParallelPrimitive(Primitive[In, list[Item]]):
    """Run `branches` at once, outputs in their order; the first failure cancels the rest.

    With `gather` no failure does: the exception stands in the list where an output would.
    """

    branches: tuple[Primitive[In, Item], ...]
    gather: bool = False

    async def execute(self, data: In, context: WorkflowContext) -> list[Item]:
        """One output for each branch."""
        runs = (branch.execute(data, context) for branch in self.branches)
        if self.gather:
            runs = (collected(run) for run in runs)
        return await together(runs)


async def together(runs: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """The results in order. The first failure cancels the rest and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(run) for run in runs]
    except BaseExceptionGroup as failures:
        # In order of time; what came after it is how the others took being cancelled.
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


async def collected(run: Coroutine[Any, Any, T]) -> T:
    """What it returns, or the exception it raises: whoever gathers types them as they like."""
    try:
        return await run
    except Exception as error:  # noqa: BLE001 - to collect failures is the order
        return cast("T", error)


def beside(one: Primitive[A, B], other: Primitive[A, Other]) -> ParallelPrimitive[A, B | Other]:
    """Both among the branches of one flat parallel step."""
    return ParallelPrimitive((*_branches(one), *_branches(other)))


def _branches(step: Primitive[A, Any]) -> tuple[Primitive[A, Any], ...]:
    one = (step,)
    if type(step) is ParallelPrimitive and not step.gather:
        return cast("ParallelPrimitive[A, Any]", step).branches
    return one
