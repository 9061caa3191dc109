"""Coroutines at once: all of their results, or the first failure."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar, cast

T = TypeVar("T")


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
