"""One program in a sandbox, and those who follow it."""

from __future__ import annotations

import asyncio
import base64
import fcntl
import os
import struct
import termios
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from e2brun.sandbox.endings import SIGNAL_NAMES
from e2brun.sandbox.local.host.channels import PipeReader, PipeWriter
from e2brun.sandbox.local.host.control import Exited, ProgramStarted
from e2brun.sandbox.local.host.output import Allowance, Outflow
from e2brun.sandbox.local.host.subscriptions import Event, Subscription

_LINE_LIMIT = 500  # characters of a command in the sandbox's log
KEEPALIVE: Event = {"event": {"keepalive": {}}}


@dataclass(frozen=True, slots=True)
class ProcessOrder:
    """What a client asked for."""

    argv: list[str]
    cwd: str
    environment: dict[str, str]  # the whole of it
    user: str
    config: dict[str, Any]  # as sent, for List
    tag: str | None
    stdin: bool
    size: tuple[int, int] | None  # columns, rows of its terminal; None: pipes

    @property
    def line(self) -> str:
        return " ".join(self.argv)[:_LINE_LIMIT]


class Process:
    """Reads what a program says, for all who follow it; over when it has ended and all it said
    has been read. A child of it that holds its output open keeps it running."""

    def __init__(self, order: ProcessOrder, outflow: Outflow, on_over: Callable[[], None]) -> None:
        self.order, self._outflow, self._on_over = order, outflow, on_over
        self._allowances: dict[str, Allowance] = {}
        self._resting: asyncio.TimerHandle | None = None  # nothing is read until it rings
        self.pid, self.number = 0, 0
        self.stdin: PipeWriter | None = None
        self.terminal = -1
        self.over = asyncio.Event()
        self.status = ""  # how it ended
        self._last: Event | None = None
        self._readers: list[PipeReader] = []
        self._followers: list[Subscription] = []
        self._exited: Exited | None = None
        self._reaped = asyncio.Event()
        self._alone = False
        self._alarm: asyncio.TimerHandle | None = None

    def run(
        self, started: ProgramStarted, outputs: dict[str, int], stdin: int | None, terminal: int
    ) -> None:
        """It has started; our ends of its pipes, or of its terminal, are given into our keep."""
        self.pid, self.number = started.pid, started.number
        self.terminal = terminal
        if stdin is not None:
            self.stdin = PipeWriter(stdin)
        for name, descriptor in outputs.items():
            self._allowances[name] = self._outflow.allowance()
            reader = PipeReader(descriptor, partial(self._said, name), self._check_over)
            self._readers.append(reader)

    def exit(self, exited: Exited) -> None:
        self._exited = exited
        self._reaped.set()
        self._check_over()

    def follow(self) -> Subscription:
        """All its events from now on."""
        subscription = Subscription(self._resume)
        if self._last is not None:
            subscription.put(self._last)
            subscription.end()
        else:
            self._followers.append(subscription)
        return subscription

    def forsake(self, subscription: Subscription) -> None:
        """Its client has gone; the program goes on."""
        if subscription in self._followers:
            self._followers.remove(subscription)
            self._resume()

    def leave_children(self) -> None:
        """What its children still say when it has ended is not waited for."""
        self._alone = True
        self._check_over()

    async def reaped(self, seconds: float) -> None:
        """Wait so long for its end."""
        try:
            async with asyncio.timeout(seconds):
                await self._reaped.wait()
        except TimeoutError:
            return

    def end_at(self, when: float, kill: Callable[[], object]) -> None:
        """Call `kill` at a time of the loop's clock, unless it is over by then; only once."""
        if self._alarm is not None:
            self._alarm.cancel()
        if not self.over.is_set():
            self._alarm = asyncio.get_running_loop().call_at(when, kill)

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def lose(self) -> None:
        """The sandbox is gone."""
        self._let_go()
        for reader in self._readers:
            reader.close()
        self.over.set()
        self._reaped.set()
        followers, self._followers = self._followers, []
        for follower in followers:
            follower.lose()

    def _said(self, name: str, data: bytes) -> None:
        size, data = len(data), self._allowances[name].cut(data)
        # Read all the same when nobody follows, or the program would stop.
        heard = bool(data and self._followers)
        if (wait := self._outflow.passed(size, heard=heard)) > 0:
            self._rest(wait)
        if not heard:
            return
        encoded = base64.b64encode(data).decode("ascii")
        event: Event = {"event": {"data": {name: encoded}}}
        for follower in self._followers:
            follower.put(event, len(encoded))
        if any(follower.full for follower in self._followers):
            self._pause()

    def _rest(self, seconds: float) -> None:
        self._pause()
        if self._resting is None and not self.over.is_set():
            self._resting = asyncio.get_running_loop().call_later(seconds, self._rested)

    def _rested(self) -> None:
        self._resting = None
        self._resume()

    def _pause(self) -> None:
        for reader in self._readers:
            reader.pause()

    def _resume(self) -> None:
        if self._resting is None and not any(follower.full for follower in self._followers):
            for reader in self._readers:
                reader.resume()

    def _check_over(self) -> None:
        self._readers = [reader for reader in self._readers if reader.open]
        if self._exited is None or self.pid == 0 or self.over.is_set():
            return
        if self._readers and not self._alone:
            return
        self.over.set()  # first: draining ends in here again
        for reader in list(self._readers):
            reader.drain()
            reader.close()  # children that say more find nobody there
        ending = _ending(self._exited)
        self.status = str(ending["status"])
        self._last = {"event": {"end": ending}}
        followers, self._followers = self._followers, []
        for follower in followers:
            follower.put(self._last)
            follower.end()
        self._let_go()
        self._on_over()

    def _let_go(self) -> None:
        for timer in (self._alarm, self._resting):
            if timer is not None:
                timer.cancel()
        if self.stdin is not None:
            self.stdin.close()
        if self.terminal >= 0:
            os.close(self.terminal)
            self.terminal = -1


def _ending(exited: Exited) -> dict[str, Any]:
    if exited.signal:
        name = SIGNAL_NAMES.get(exited.signal, f"signal {exited.signal}")
        status = f"signal: {name}"
        return {"exitCode": -1, "exited": False, "status": status, "error": status}
    status = f"exit status {exited.code}"
    ending: dict[str, Any] = {"exitCode": exited.code, "exited": True, "status": status}
    return ending if exited.code == 0 else {**ending, "error": status}
