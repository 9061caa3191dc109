"""One running sandbox as the service sees it: the agent on an event loop. What the planes
(processes, files, contexts) keep for a sandbox are its parts: made on first use, closed with it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from typing import Protocol, TypeVar

from e2brun.errors import SandboxError, SandboxLost
from e2brun.sandbox.contract import USER
from e2brun.sandbox.local.host.agent_client import AgentClient, AgentRefused
from e2brun.sandbox.local.host.control import Control, Handed, ProgramStarted, let_go
from e2brun.sandbox.local.host.demand import Demand
from e2brun.sandbox.local.host.descriptors import Watched
from e2brun.sandbox.local.host.inside import Inside
from e2brun.sandbox.local.host.output import Outflow, OutputBounds
from e2brun.sandbox.local.isolation.driver import INDEX_PORT, Driver, Jail, has_ended
from e2brun.sandbox.local.isolation.egress import Rules, enforce
from e2brun.sandbox.local.isolation.environment import environment, resource_limits
from e2brun.sandbox.local.memory.watch import MemoryWatch
from e2brun.sandbox.local.template_setup import USERS
from e2brun.sandbox.local.templates import find
from e2brun.values import Network

_END_SECONDS = 2.0


class Part(Protocol):
    """What one plane keeps for one sandbox."""

    def __init__(self, live: RunningSandbox) -> None: ...

    def close(self) -> None:
        """The sandbox is gone: let go of descriptors and tell whoever waits. Never raises."""
        ...


class MorePackages(Protocol):
    """Has packages that a sandbox did not start with."""

    def missing(self, code: str, jail: Jail) -> frozenset[str]:
        """What a cell uses of them, and its sandbox has not."""
        ...

    async def place(self, names: Iterable[str]) -> str | None:
        """Where a sandbox finds these; None: they cannot be had."""
        ...


AnyPart = TypeVar("AnyPart", bound=Part)


class RunningSandbox:
    """The agent behind its link, until it is killed or dies."""

    def __init__(
        self, driver: Driver, jail: Jail, template: str, admit: Callable[[int], int] | None = None
    ) -> None:
        """Start it; `ready` waits for it. `admit` has somebody answer for the package indexes at
        a socket of its, until what it returns is closed. Raises SandboxUnavailable."""
        self.id, self.jail, self.template = jail.sandbox_id, jail, template
        built_in = find(template)
        template_id = built_in.template_id if built_in is not None else template
        self.environment = environment(jail, template_id)  # the sandbox's global one ("/envs")
        self.user, self.directory = USER, ""  # where a client does not say; "": the home
        self.gone = asyncio.Event()
        self.frozen = False
        # Told how each execution ended (ok, error, killed, cancelled), and what it took.
        self.executed: Callable[[str, float], object] = lambda _status, _seconds: None
        self.more_packages: MorePackages | None = None  # where its code finds more packages
        self.outflow = Outflow(OutputBounds())  # as the service was told, likewise
        self.watch: MemoryWatch | None = None
        self._admit = admit
        self._offering = asyncio.Lock()
        self._parts: dict[type, Part] = {}
        self._buried = False
        self._farewells: list[Callable[[], object]] = []
        control = Control()
        self._jailed = control.start(driver, jail)
        self.link = AgentClient(control, self._end)
        self.link.request("limit", limits=resource_limits(jail))
        if jail.notebook:
            self.link.request("health")
        if jail.template_layers:
            self.link.on_wanted = lambda module: self.part(Demand).wanted(module)
            self.link.request("demand")

    async def ready(self) -> None:
        """Wait until the agent is up. Raises SandboxError, and then it is gone."""
        try:
            async with asyncio.timeout(20):
                hello = await asyncio.shield(self.link.hello)
            self._jailed.greeted(hello.pid)
            self.watch = MemoryWatch(hello.pid, self.jail.limits, hello.views)
            if self.jail.online:
                await self._plug_in()
            if self._admit is not None and self.jail.network is Network.PACKAGES:
                await self.offer_packages(True)
        except (TimeoutError, OSError, SandboxError, AgentRefused) as error:
            reason = self._jailed.complaint() or str(error) or "it did not answer"
            self.kill()
            raise SandboxLost(f"the sandbox did not start: {reason}") from error

    async def _plug_in(self) -> None:
        from e2brun.sandbox.local.isolation.slirp4netns import START_SECONDS, Uplink

        with closing(Uplink(self._jailed, await self.handed("network"))) as uplink:
            with suppress(TimeoutError):
                async with asyncio.timeout(START_SECONDS):
                    await Watched(uplink.ready).readable()
            uplink.check()

    async def offer_packages(self, wanted: bool) -> None:
        """Have the package indexes answer inside, or not. Raises AgentRefused, SandboxError."""
        lifelines = self._jailed.lifelines
        async with self._offering:
            if wanted and not lifelines and self._admit is not None:
                listener = await self.handed("listen", INDEX_PORT)
                lifelines.append(os.dup(listener))
                lifelines.append(self._admit(listener))
            elif lifelines and not wanted:
                door, lifeline = lifelines
                lifelines.clear()
                with socket.socket(fileno=door) as listening, suppress(OSError):
                    listening.shutdown(socket.SHUT_RDWR)  # for all who have it, at once
                os.close(lifeline)

    @property
    def whole(self) -> bool:
        """Whether it is there, and what stands behind its network is, too."""
        return not self.gone.is_set() and self._jailed.attended

    def user_environment(self, user: str) -> dict[str, str]:
        """The environment for programs of `user` (a key of USERS)."""
        return {**self.environment, "HOME": USERS[user], "USER": user, "LOGNAME": user}

    def part(self, kind: type[AnyPart]) -> AnyPart:
        """The part of this kind. Raises SandboxLost when the sandbox is gone."""
        if self.gone.is_set():
            raise SandboxLost("the sandbox went away")
        found = self._parts.get(kind)
        if found is None:
            found = self._parts[kind] = kind(self)
        return found  # type: ignore[return-value]

    def on_gone(self, farewell: Callable[[], object]) -> Callable[[], None]:
        """Call `farewell` when the sandbox is gone; what is returned takes that back."""
        self._farewells.append(farewell)

        def forget() -> None:
            with suppress(ValueError):
                self._farewells.remove(farewell)

        return forget

    async def handed(self, do: str, port: int = 0) -> int:
        """The one descriptor that a request is answered with, of whatever kind; ours to close.
        Raises AgentRefused, SandboxLost."""
        report = await self.link.get(Handed, do, port=port)
        if len(report.descriptors) != 1:
            let_go(report)
            raise SandboxLost("the sandbox's agent sent a malformed report")
        return report.descriptors[0]

    async def file_worker(self, channel: int, on_end: Callable[[], None]) -> Callable[[], None]:
        """Have one serve `channel`; what is returned kills it. Raises AgentRefused, SandboxLost."""
        report = await self.link.get(ProgramStarted, "files", [channel], on_exit=lambda _: on_end())

        def kill() -> None:
            with suppress(SandboxLost):
                if not self.gone.is_set():
                    self.link.request("signal", run=report.number, signal=int(signal.SIGKILL))

        return kill

    async def connect(self, port: int) -> Inside:
        """A connection to a port that something inside listens on. Raises AgentRefused when nobody
        listens, SandboxLost."""
        descriptor = await self.handed("port", port)
        try:
            return Inside(descriptor)
        except OSError:
            os.close(descriptor)
            raise SandboxLost("the sandbox's agent sent a malformed report") from None

    async def confine(self, rules: Rules | None) -> list[int]:
        """It reaches no more than these say from now on, all that its way out leads to where there
        are none; see `enforce`. Raises OSError."""
        if self._jailed.way_out is None:
            return []
        return await asyncio.to_thread(enforce, self._jailed.way_out, rules or Rules())

    async def freeze(self) -> None:
        """Stop every process inside; memory and pids stay."""
        await self.link.ask("freeze")
        self.frozen = True

    async def thaw(self) -> None:
        self.frozen = False
        await self.link.ask("thaw")

    def kill(self) -> None:
        """End everything in it. Returns at once; `buried` waits."""
        self._jailed.end()
        self._end()

    async def buried(self) -> None:
        """Wait (2 s at most) until its last process is gone, and let go of it."""
        if self._jailed.agent < 0 or self._buried:
            return
        self._buried = True
        with suppress(TimeoutError):
            async with asyncio.timeout(_END_SECONDS):
                if not has_ended(self._jailed.agent, 0):
                    await Watched(self._jailed.agent).readable()
                for pid in self._jailed.children:
                    await _ended(pid)
        self._jailed.reap()

    def _end(self) -> None:
        """It is dead or dying: nothing here counts any more."""
        if self.gone.is_set():
            return
        self.gone.set()
        for part in self._parts.values():
            part.close()
        self.link.close()
        if self.watch is not None:
            self.watch.close()
        farewells, self._farewells = self._farewells, []
        for farewell in farewells:
            farewell()


async def _ended(pid: int) -> None:
    """A child of ours is over: slirp4netns takes its interface down first, which takes 25 ms."""
    descriptor = os.pidfd_open(pid)
    try:
        await Watched(descriptor).readable()
    finally:
        os.close(descriptor)
