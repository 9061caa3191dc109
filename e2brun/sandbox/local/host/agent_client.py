"""The agent's control socket on an event loop: many requests at once, none believed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from e2brun.errors import SandboxLost
from e2brun.sandbox.local.host.control import (
    Control,
    Exited,
    Handed,
    Hello,
    ModuleWanted,
    ProgramStarted,
    Report,
    RequestDone,
    RequestFailed,
    let_go,
)
from e2brun.sandbox.local.host.descriptors import Watched

_TURNS = 64  # reports taken before others have their turn
_PATIENCE = 20.0  # seconds for an answer; the agent itself never blocks for long
Answer = TypeVar("Answer", RequestDone, ProgramStarted, Handed)


class AgentRefused(Exception):
    """The agent could not do it: `errno` (0: none) and its text."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(text)
        self.errno, self.text = number, text


class AgentClient:
    """Requests to one agent, matched with its reports by number."""

    def __init__(self, control: Control, on_lost: Callable[[], None]) -> None:
        self._control, self._on_lost = control, on_lost
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[int, asyncio.Future[Report]] = {}
        self._exits: dict[int, Callable[[Exited], None]] = {}
        self.hello: asyncio.Future[Hello] = self._loop.create_future()
        self.on_wanted: Callable[[str], None] | None = None  # a module is missing inside
        self.closed = False
        self._watched = Watched(control.descriptor)
        os.set_blocking(control.descriptor, False)
        self._loop.add_reader(control.descriptor, self._readable)

    def request(self, do: str, descriptors: Sequence[int] = (), **fields: object) -> int:
        """Send one request; its number. Raises SandboxLost, ValueError for one too long."""
        try:
            return self._request(do, descriptors, fields)
        except BlockingIOError:
            raise SandboxLost("the sandbox takes no more requests") from None

    def _request(self, do: str, descriptors: Sequence[int], fields: Mapping[str, object]) -> int:
        if self.closed:
            raise SandboxLost("the sandbox went away")
        return self._control.request(do, descriptors, **fields)

    async def ask(self, do: str, *, patience: float = _PATIENCE, **fields: object) -> None:
        """Have something done. Raises as `get`."""
        await self.get(RequestDone, do, (), patience=patience, on_exit=None, **fields)

    async def get(
        self,
        answer: type[Answer],
        do: str,
        descriptors: Sequence[int] = (),
        *,
        patience: float = _PATIENCE,
        on_exit: Callable[[Exited], None] | None = None,
        **fields: object,
    ) -> Answer:
        """Send one request and wait for its first report.

        Raises AgentRefused when the agent could not do it, SandboxLost when it went away, did not
        answer, or otherwise than so. `on_exit` is told when the process that this request started
        ends.
        """
        number = 0
        try:
            async with asyncio.timeout(patience):
                number = await self._sent(do, descriptors, fields)
                if on_exit is not None:
                    self._exits[number] = on_exit
                future = self._waiting[number] = self._loop.create_future()
                try:
                    report: Report = await future
                except asyncio.CancelledError:
                    if future.done() and not future.cancelled() and future.exception() is None:
                        let_go(future.result())  # it came, but nobody takes it any more
                    raise
        except TimeoutError:
            self._lose()
            raise SandboxLost(f"the sandbox did not answer for {patience:g} s") from None
        finally:
            self._waiting.pop(number, None)
        if isinstance(report, RequestFailed):
            self._exits.pop(number, None)
            raise AgentRefused(report.errno, report.text)
        if not isinstance(report, answer):
            let_go(report)
            self._lose()
            raise SandboxLost("the sandbox's agent sent a malformed report")
        return report

    async def _sent(self, do: str, descriptors: Sequence[int], fields: Mapping[str, object]) -> int:
        """Send a request, when the agent has taken enough of those before it."""
        while True:
            try:
                return self._request(do, descriptors, fields)
            except BlockingIOError:
                await self._watched.writable()

    def close(self) -> None:
        """Hang up; whoever waits gets SandboxLost."""
        if self.closed:
            return
        self.closed = True
        self._loop.remove_reader(self._watched.forget())
        self._control.close()
        waiting: list[asyncio.Future[Any]] = [self.hello, *self._waiting.values()]
        for future in waiting:
            if not future.done():
                future.set_exception(SandboxLost("the sandbox went away"))
                future.exception()  # not every one is still awaited
        self._waiting.clear()
        self._exits.clear()

    def _readable(self) -> None:
        try:
            for _ in range(_TURNS):  # others wait as well, however much is said
                if (report := self._control.receive(0)) is None:
                    return
                self._take(report)
        except Exception:  # noqa: BLE001  # malformed, or gone: the sandbox is lost either way
            self._lose()

    def _take(self, report: Report) -> None:
        if isinstance(report, Hello):
            if not self.hello.done():
                self.hello.set_result(report)
            else:
                let_go(report)
            return
        if isinstance(report, Exited):
            if (callback := self._exits.pop(report.number, None)) is not None:
                callback(report)
            return
        if isinstance(report, ModuleWanted):
            if self.on_wanted is not None:
                self.on_wanted(report.module)
            return
        future = self._waiting.get(report.number)
        if future is not None and not future.done():
            future.set_result(report)
        else:
            let_go(report)

    def _lose(self) -> None:
        if not self.closed:
            self.close()
            self._on_lost()
