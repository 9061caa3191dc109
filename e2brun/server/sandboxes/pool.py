"""Sandboxes made ahead: a create hands out one that is ready, and another is made meanwhile. Only
of kinds that were asked for before. Nothing has run in one that was not handed out."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from e2brun.errors import SandboxError
from e2brun.sandbox.local.host.contexts import Contexts, NotStarted
from e2brun.sandbox.local.host.languages import PYTHON
from e2brun.sandbox.local.host.running import RunningSandbox
from e2brun.sandbox.local.isolation.driver import Driver, Jail, new_id

_AHEAD = 6  # of each kind: making one takes longer than using one up
_KINDS = 4  # kept at once; the one that was asked for longest ago goes
_PAUSE = 0.002  # seconds before another is made: the client's next request comes first


class Pool:
    """Makes sandboxes, some of them before they are wanted. A kind is a jail without an id."""

    def __init__(
        self,
        driver: Driver,
        chore: Callable[[Coroutine[Any, Any, object]], object],
        admit: Callable[[int], int],
    ) -> None:
        """`chore` runs a thing in the background, awaited at the end; `admit`: RunningSandbox's."""
        self._driver, self._chore, self._admit = driver, chore, admit
        self._ready: dict[Jail, deque[RunningSandbox]] = {}
        self._making: set[Jail] = set()
        self._closed = False

    async def take(self, kind: Jail, template: str) -> RunningSandbox:
        """A sandbox of this kind, with an id of its own. Raises SandboxError."""
        waiting = self._ready.pop(kind, deque[RunningSandbox]())
        self._ready[kind] = waiting  # now the one that was asked for last
        while len(self._ready) > _KINDS:
            self._end(self._ready.pop(next(iter(self._ready))))
        found = self._usable(waiting)
        if found is None:
            found = self._started(kind, template)
            await found.ready()
        self._refill(kind, template)
        return found

    def warm(self, kind: Jail, template: str) -> None:
        self._ready.setdefault(kind, deque())
        self._refill(kind, template)

    def close(self) -> None:
        """End those that nobody got."""
        self._closed = True
        while self._ready:
            self._end(self._ready.popitem()[1])

    def _started(self, kind: Jail, template: str) -> RunningSandbox:
        return RunningSandbox(self._driver, kind.but(sandbox_id=new_id()), template, self._admit)

    def _usable(self, waiting: deque[RunningSandbox]) -> RunningSandbox | None:
        while waiting:
            live = waiting.popleft()
            if live.whole:
                return live
            self._end(deque([live]))
        return None

    def _end(self, waiting: deque[RunningSandbox]) -> None:
        for live in waiting:
            live.kill()
            self._chore(live.buried())

    def _refill(self, kind: Jail, template: str) -> None:
        if kind not in self._making and not self._closed:
            self._making.add(kind)
            self._chore(self._make(kind, template))

    async def _make(self, kind: Jail, template: str) -> None:
        try:
            while not self._closed and len(self._ready.get(kind, ())) < _AHEAD:
                await asyncio.sleep(_PAUSE)
                if kind not in self._ready:  # forgotten meanwhile
                    return
                live = None
                try:
                    live = self._started(kind, template)
                    await live.ready()
                    if live.jail.notebook:  # its first user would wait for it
                        await live.part(Contexts).default(PYTHON).warm()
                except (SandboxError, NotStarted):  # whoever wants one will be told
                    self._end(deque([live] if live is not None else []))
                    return
                waiting = self._ready.get(kind)
                if waiting is None or self._closed:
                    self._end(deque([live]))
                    return
                waiting.append(live)
        finally:
            self._making.discard(kind)
