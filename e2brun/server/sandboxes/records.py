"""One sandbox as the service knows it: who it is, how long it may live, who talks to it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from e2brun.sandbox.local.host.running import RunningSandbox
from e2brun.sandbox.local.template_setup import Setup
from e2brun.server.http.messages import ApiError
from e2brun.server.sandboxes.metering import Journal, Meter


class State(StrEnum):
    """Where a sandbox is in its life; a dead one is in no list any more."""

    RUNNING = "running"
    PAUSED = "paused"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """What happens when its time is up."""

    pause: bool = False
    keep_memory: bool = True  # False: that pause keeps the files only
    auto_resume: bool = False


@dataclass(frozen=True, slots=True)
class Mount:
    """A volume in a sandbox."""

    volume: str  # its id
    name: str
    path: str  # where inside


@dataclass(frozen=True, slots=True)
class Origin:
    """What a sandbox was created as; a fork is created as its source was."""

    template_id: str  # also a snapshot's
    alias: str | None
    setup: Setup
    metadata: Mapping[str, str]
    environment: Mapping[str, str]  # create-time envVars
    lifecycle: Lifecycle = Lifecycle()
    network: Mapping[str, Any] | None = None  # as the client sent it, without secrets
    internet: bool | None = None
    connected: bool = False  # whether it was given a way out
    mounts: tuple[Mount, ...] = ()
    secure: bool = True  # False: whoever knows its id may use it, as the SDKs 1.x do


@dataclass(slots=True, eq=False)
class Lasting:
    """What of a record can outlive the service (`durable`)."""

    id: str
    origin: Origin
    envd_token: str
    traffic_token: str | None
    timeout: float  # seconds it was last given
    lifecycle: Lifecycle
    network: Mapping[str, Any] | None  # may be changed while it runs
    internet: bool | None
    started_at: float = field(default_factory=time.time)
    ends_at: float = 0.0  # Unix time; stands still while paused
    saved: Path | None = None  # its files, while it is paused without its memory


@dataclass(slots=True, eq=False)
class Record(Lasting):
    """One sandbox. Planes call `live` only while it is running."""

    journal: Journal = field(default_factory=Journal)
    meter: Meter = field(default_factory=Meter)
    state: State = State.RUNNING
    running: RunningSandbox | None = None
    over_limit: bool = False  # its programs are being ended for that
    # One change of state at a time; death alone does not wait for it.
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _alarm: asyncio.TimerHandle | None = None
    _talking: set[asyncio.Task[Any]] = field(default_factory=set[asyncio.Task[Any]])
    _dropped: set[asyncio.Task[Any]] = field(default_factory=set[asyncio.Task[Any]])

    @property
    def live(self) -> RunningSandbox:
        """The running sandbox. Raises ApiError 502 when it is not there any more."""
        if self.running is None:
            raise not_found(self.id)
        return self.running

    @property
    def dead(self) -> bool:
        """Whether it was killed, has expired or ended by itself."""
        return self.state is State.DEAD

    def expire_after(self, seconds: float, expired: Callable[[Record], object]) -> None:
        """Call `expired` so many seconds from now, and at no other time."""
        self.never_expire()
        self._alarm = asyncio.get_running_loop().call_later(seconds, expired, self)

    def never_expire(self) -> None:
        """Its time stands still, or is over."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def join(self, task: asyncio.Task[Any]) -> None:
        """`task` answers a request to this sandbox: it is cancelled when the sandbox goes."""
        self._talking.add(task)

    def leave(self, task: asyncio.Task[Any]) -> bool:
        """`task` has answered. Whether it was cancelled because the sandbox went."""
        self._talking.discard(task)
        if task in self._dropped:
            self._dropped.discard(task)
            return True
        return False

    def drop(self) -> None:
        """Cut everybody off who is talking to it; only after `state` says why."""
        talking, self._talking = self._talking, set()
        self._dropped |= talking
        for task in talking:
            task.cancel()


def not_found(sandbox_id: str) -> ApiError:
    """What all traffic to a sandbox that is not running gets; clients look for the wording."""
    message = "The sandbox was not found"
    return ApiError(502, message, more={"sandboxId": sandbox_id})
