"""Every sandbox of the service: made, found, given time, and ended."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import ChainMap, OrderedDict
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from e2brun.errors import E2brunError, SandboxError
from e2brun.sandbox.contract import MIB
from e2brun.sandbox.local.host import commands
from e2brun.sandbox.local.host.output import Outflow
from e2brun.sandbox.local.host.processes import StartRefused
from e2brun.sandbox.local.host.running import RunningSandbox
from e2brun.sandbox.local.isolation.driver import Jail, new_id
from e2brun.sandbox.local.isolation.forkserver import Forkserver
from e2brun.sandbox.local.memory.cgroup import Cgroup
from e2brun.sandbox.local.mirror.link import Mirror
from e2brun.sandbox.local.template_setup import Setup
from e2brun.sandbox.local.templates import CODE_INTERPRETER
from e2brun.server.egress.rules import limits
from e2brun.server.http.messages import ApiError, Refused
from e2brun.server.sandboxes.durable import PausedSandboxes, sweep
from e2brun.server.sandboxes.fairness import FairShares
from e2brun.server.sandboxes.idempotency import Idempotency
from e2brun.server.sandboxes.memory_monitor import MemoryMonitor
from e2brun.server.sandboxes.metering import Journal, Sampler
from e2brun.server.sandboxes.metrics import ExecutionMetrics
from e2brun.server.sandboxes.pool import Pool
from e2brun.server.sandboxes.records import Origin, Record, State
from e2brun.server.sandboxes.secrets import Secrets
from e2brun.server.sandboxes.snapshots import Snapshots
from e2brun.server.sandboxes.templates import TemplateStore
from e2brun.server.sandboxes.totals import TREE, Totals, available_memory
from e2brun.server.sandboxes.volume_watch import VolumeWatch
from e2brun.server.sandboxes.volumes import Volumes
from e2brun.values import Network

if TYPE_CHECKING:
    from e2brun.server.builds.builder import Builder
    from e2brun.server.options import ServiceOptions

T = TypeVar("T")
log = logging.getLogger("e2brun.server")

_REMEMBERED = 256  # journals of dead sandboxes
_SPARE_MEMORY = 256 * MIB  # what the host keeps for itself
_GIVE_UP_SECONDS = 10.0
_READY_SECONDS = 60.0  # for what a template starts


class Registry:
    """The sandboxes of one service."""

    def __init__(
        self, options: ServiceOptions, directory: Path, make_builder: Callable[[Registry], Builder]
    ) -> None:
        self.options, self.directory = options, directory
        self.records: dict[str, Record] = {}
        self.journals: OrderedDict[str, Journal] = OrderedDict()  # of dead ones
        self.idempotency = Idempotency()
        durable = options.state is not None
        self.snapshots = Snapshots(directory, durable=durable)
        self.secrets = Secrets(directory, durable=durable)
        self._make_builder = make_builder
        self._paused = PausedSandboxes(directory) if durable else None
        self._driver = Forkserver()
        self._building: dict[str, Record] = {}  # sandboxes of builds, which no list shows
        everybody = ChainMap(self.records, self._building)
        self.volumes = Volumes(directory, options.volume_size, durable=durable)
        self.totals = Totals(
            everybody, options.total_memory, options.total_disk, directory, self.volumes.total
        )
        self._watches: tuple[Callable[[], Coroutine[Any, Any, NoReturn]], ...] = (
            Sampler(self.records).run,
            FairShares(self.records).run,
            MemoryMonitor(everybody, self.totals, self.kill, self.chore).run,
            VolumeWatch(self.volumes, self.totals, self.kill).run,
        )
        self._watching: list[asyncio.Task[None]] = []  # ended by `close`
        self.executions = ExecutionMetrics()
        self._stock = TemplateStore(options)
        self._mirror = Mirror(options.environment or None, options.room)
        self._pool = Pool(self._driver, self.chore, self._mirror.admit)
        self._chores: set[asyncio.Task[Any]] = set()
        self._starting = 0
        self.closed = False

    @property
    def busy(self) -> bool:
        """Whether there is a sandbox, or one is being made."""
        return bool(self.records or self._starting)

    async def start(self) -> None:
        """Be ready for requests; called once, on the loop that serves them."""
        Cgroup.settle()
        if self._paused is not None and self.builder:  # which tells what is damaged
            for record in self._paused.read():
                self.records[record.id] = record
            trees = [record.saved.name for record in self.records.values() if record.saved]
            trees += [snapshot.tree.name for snapshot in self.snapshots.by_id.values()]
            sweep(self.directory, f"{TREE}*", trees)
        self._watching = [self.chore(watch()) for watch in self._watches]
        self._watching.append(self.chore(self._warm()))
        self.chore(self.volumes.take_stock())

    async def _warm(self) -> None:
        """Have sandboxes of the usual template ready, unless its packages are still to come."""
        if self._stock.ready(CODE_INTERPRETER.packages):
            await self._stock.find_node_packages()
            setup = Setup(CODE_INTERPRETER.name, CODE_INTERPRETER.packages)
            jail = await self._stock.jail(setup, connected=True)
            self._pool.warm(jail, CODE_INTERPRETER.name)

    async def close(self) -> None:
        """Kill every sandbox and wait, not for ever, until all are gone."""
        self.closed = True
        for task in self._watching:
            task.cancel()
        self._pool.close()
        for record in tuple(self._building.values()):
            self.stop(record)  # its build then fails, and is not waited for
        for record in tuple(self.records.values()):
            if self._paused is not None and record.state is State.PAUSED and record.saved:
                self.stop(record)  # the next service has it
            else:
                self.kill(record, "the service ends")
        try:
            await self._quiet()
        finally:
            self.volumes.close()
            self._driver.close()
            self._mirror.close()
            Cgroup.leave()

    async def _quiet(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_GIVE_UP_SECONDS):
                while self._chores or self._starting:
                    await asyncio.wait((*self._chores, asyncio.create_task(asyncio.sleep(0.01))))

    @cached_property
    def builder(self) -> Builder:
        """What builds templates; made when it is first needed."""
        return self._make_builder(self)

    @property
    def durable(self) -> bool:
        """Whether paused sandboxes outlive the service."""
        return self._paused is not None

    def write_down(self) -> None:
        """A sandbox was paused, or is not any more."""
        if self._paused is not None:
            self._paused.write(self.records.values())

    def chore(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Do something that no request waits for; `close` waits for it."""
        task = asyncio.get_running_loop().create_task(work)
        self._chores.add(task)
        task.add_done_callback(self._chore_done)
        return task

    def _chore_done(self, task: asyncio.Task[Any]) -> None:
        self._chores.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("work in the background failed", exc_info=error)

    async def create(self, origin: Origin, seconds: float, *, tree: Path | None = None) -> Record:
        """Make a sandbox that lives so long; `tree`: with these files in it. Raises ApiError."""
        record = _record(origin, seconds)
        live = await self.launch(record, tree, fresh=True)
        self.adopt(record, live)
        self.records[record.id] = record
        self.extend(record, seconds)
        record.journal.note("sandbox created", template=origin.setup.base)
        return record

    @asynccontextmanager
    async def borrowed(self, origin: Origin, tree: Path | None) -> AsyncGenerator[RunningSandbox]:
        """A sandbox of the service's own, in no list, that ends with the context."""
        record = _record(origin, 0.0)
        live = await self.launch(record, tree, fresh=True)
        self.adopt(record, live)
        self._building[record.id] = record
        try:
            yield live
        finally:
            del self._building[record.id]
            self.stop(record)

    def take_back(self, live: RunningSandbox) -> None:
        """End a borrowed one: what it was borrowed for fails."""
        self.stop(self._building[live.id])

    def extend(self, record: Record, seconds: float) -> None:
        """It expires in so many seconds from now."""
        record.timeout = seconds or record.timeout
        record.ends_at = time.time() + seconds
        record.expire_after(seconds, self._expired)

    def adopt(self, record: Record, live: RunningSandbox) -> None:
        """`live` is what `record` is from now on."""
        record.running, record.state = live, State.RUNNING
        live.executed = self.executions.count
        live.outflow = Outflow(self.options.output)
        live.on_gone(lambda: self._died(record, live))

    async def launch(
        self, record: Record, tree: Path | None, *, fresh: bool = False
    ) -> RunningSandbox:
        """Start the processes of a sandbox, with the files of `tree`; a fresh one gets its id
        here. Raises ApiError."""
        self._admit(tree)
        self._starting += 1
        live = None
        try:
            origin, setup = record.origin, record.origin.setup
            jail = await self._stock.jail(setup, connected=origin.connected)
            if fresh and not origin.mounts:
                live = await self._pool.take(jail, setup.base)
                record.id = live.id
            else:
                live = await self._started(record, jail)
                await live.ready()
            if tree is not None:
                from e2brun.sandbox.local.host import trees

                await trees.restore(live, tree)
            live.more_packages = self._stock.on_demand if live.jail.template_layers else None
            live.environment["E2B_TEMPLATE_ID"] = origin.template_id
            live.environment.update(origin.environment)
            await self._begin(record, live)
        except BaseException as error:
            self._end(live)
            if record.dead and isinstance(error, Exception):  # which is why it failed
                raise _killed(record) from error
            if isinstance(error, SandboxError | OSError):
                log.warning("a sandbox could not be made: %s", error)
                raise Refused(500, _reason(error)) from error
            raise
        finally:
            self._starting -= 1
        if self.closed or record.dead or live.gone.is_set():  # while we were at it
            self._end(live)
            raise _killed(record)
        return live

    async def _started(self, record: Record, jail: Jail) -> RunningSandbox:
        """Not out of the pool: it has an id already, or mounts, which nobody else is to see."""
        record.id = record.id or new_id()
        base, mounts = record.origin.setup.base, record.origin.mounts
        async with self.volumes.mounts(record, mounts) as made:
            jail = jail.but(sandbox_id=record.id, mounts=made)
            live = RunningSandbox(self._driver, jail, base, self._mirror.admit)
        self.volumes.watch(record, live)
        return live

    async def _begin(self, record: Record, live: RunningSandbox) -> None:
        """What it may reach; and what its template says: who programs run as and where, what runs
        from the start."""
        if live.jail.network is Network.INTERNET:
            from e2brun.server.egress.names import Egress

            await live.part(Egress).follow(record.network, record.internet)
        elif live.jail.network is Network.PACKAGES:
            await live.offer_packages(not limits(record.network, record.internet))
        setup = record.origin.setup
        live.user, live.directory = setup.place.user, setup.place.directory
        try:
            await commands.start(live, setup.start, setup.ready, setup.place, _READY_SECONDS)
        except (commands.NotReady, StartRefused) as error:
            record.journal.note(f"what its template starts is not ready: {error}", "warn")

    def kill(self, record: Record, why: str) -> None:
        """End it. Nobody finds it any more when this returns; its processes are being reaped."""
        if record.state is State.DEAD:
            return
        was, record.state = record.state, State.DEAD
        self.records.pop(record.id, None)
        record.never_expire()
        record.journal.note(f"sandbox killed: {why}")
        self.journals[record.id] = record.journal
        while len(self.journals) > _REMEMBERED:
            self.journals.popitem(last=False)
        record.drop()  # only now: who is cut off asks at once whether it is still there
        if record.saved is not None:
            record.saved.unlink(missing_ok=True)
        self.stop(record)
        if was is State.PAUSED:
            self.write_down()

    def stop(self, record: Record) -> None:
        """End its processes, whatever becomes of the record."""
        live, record.running = record.running, None
        self._end(live)

    def _end(self, live: RunningSandbox | None) -> None:
        if live is not None:
            live.kill()
            self.chore(live.buried())

    def _died(self, record: Record, live: RunningSandbox) -> None:
        """It ended by itself, or something inside ended it."""
        if record.running is live:
            log.warning("sandbox %s ended unexpectedly", record.id)
            self.kill(record, "it ended unexpectedly")

    def _expired(self, record: Record) -> None:
        if record.state is not State.RUNNING:
            return
        if not record.lifecycle.pause:
            self.kill(record, "its time was up")
            return
        from e2brun.server.sandboxes import lifecycle

        self.chore(lifecycle.pause_expired(self, record))

    def _admit(self, tree: Path | None) -> None:
        """Raises ApiError when there is no room for another sandbox."""
        alive = sum(record.running is not None for record in self.records.values())
        alive += len(self._building) + self._starting
        if alive >= self.options.max_sandboxes:
            message = (
                f"the limit of {self.options.max_sandboxes} sandboxes at once is reached: "
                "kill some, or start the service with a higher --max-sandboxes"
            )
            raise Refused(429, message)
        if tree is not None and not tree.is_file():
            raise Refused(500, f"its files are gone: {tree.name} is not there")
        if why := self.totals.refusal(self._starting, tree):
            raise Refused(429, why)
        if available_memory() < _SPARE_MEMORY:
            raise Refused(503, "this machine's memory is nearly used up")


def _record(origin: Origin, seconds: float) -> Record:
    private = (origin.network or {}).get("allowPublicTraffic") is False
    return Record(
        id="",
        origin=origin,
        envd_token=secrets.token_hex(20),
        traffic_token=secrets.token_hex(20) if private else None,
        timeout=seconds,
        lifecycle=origin.lifecycle,
        network=origin.network,
        internet=origin.internet,
    )


def _killed(record: Record) -> ApiError:
    return ApiError(404, f"sandbox {record.id} was killed")


def _reason(error: Exception) -> str:
    hint = error.hint if isinstance(error, E2brunError) else ""
    return f"{error}. {hint}" if hint else str(error)
