"""Outputs that are kept for a while."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

from e2brun.errors import UsageError
from e2brun.primitives.base import Choice, In, Out, Primitive, decide
from e2brun.primitives.cache_store import CacheStore, MemoryCache
from e2brun.primitives.context import WorkflowContext
from e2brun.primitives.events import Cached
from e2brun.primitives.fingerprint import default_key
from e2brun.primitives.retry import failed


@dataclass(frozen=True)
class CachePrimitive(Primitive[In, Out]):
    """Run `primitive` once for each key in `ttl_seconds`, and give its output again until then.

    The default key is the step's settings and its input; `key_fn(data)` or
    `key_fn(data, context)` is another. Equal keys at one time run once. Failures, exceptions as
    well as results that say so, are not kept. Outputs must be JSON values (UsageError).
    """

    primitive: Primitive[In, Out]
    ttl_seconds: float = 3600.0
    key_fn: Choice[In, str] | None = None
    store: CacheStore = field(default_factory=MemoryCache)
    _turns: dict[tuple[int, str], _Turn] = field(
        default_factory=dict[tuple[int, str], "_Turn"], init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        if not self.ttl_seconds > 0:
            raise UsageError(f"ttl_seconds is a number above 0, not {self.ttl_seconds!r}")

    async def execute(self, data: In, context: WorkflowContext) -> Out:
        key = self._key(data, context)
        async with self._turn(key):
            kept = await self.store.get(key)
            if kept is not None:
                context.emit(Cached(context.span, key))
                return cast("Out", json.loads(kept))  # it was an Out when it was written
            output = await self.primitive.execute(data, context)
            if not failed(output):
                await self.store.set(key, _written(output, self.primitive.name), self.ttl_seconds)
            return output

    def _key(self, data: In, context: WorkflowContext) -> str:
        if self.key_fn is None:
            return default_key(self.primitive, data)
        return decide(self.key_fn, data, context)

    @asynccontextmanager
    async def _turn(self, key: str) -> AsyncGenerator[None]:
        """One at a time for each key. Who waited looks again: if the one before was cancelled or
        failed there is nothing to find, and the next one runs."""
        place = (id(asyncio.get_running_loop()), key)
        turn = self._turns.setdefault(place, _Turn())
        turn.waiting += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.waiting -= 1
            if not turn.waiting:
                del self._turns[place]


@dataclass(slots=True)
class _Turn:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0


def _written(output: object, step: str) -> str:
    if not _is_json(output):
        raise UsageError(
            f"the output of {step} cannot be cached: it is not made of JSON values",
            hint="Cache a step that returns dicts, lists, text and numbers.",
        )
    return json.dumps(output)


def _is_json(value: object) -> bool:
    """Whether it comes back from JSON as it is: no tuples, no keys that are not text."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if type(item) is dict:
            entries = cast("dict[object, object]", item)
            if not all(type(key) is str for key in entries):
                return False
            waiting += entries.values()
        elif type(item) is list:
            waiting += cast("list[object]", item)
        elif type(item) not in {str, int, float, bool, type(None)}:
            return False
    return True
