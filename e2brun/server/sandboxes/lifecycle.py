"""From running to paused and back: with all processes frozen, or with the files alone."""

from __future__ import annotations

import asyncio
import logging
import secrets
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from e2brun.errors import SandboxError, SandboxLost
from e2brun.sandbox.local.host.agent_client import AgentRefused
from e2brun.server.http.messages import ApiError, Refused
from e2brun.server.sandboxes.records import Record, State
from e2brun.server.sandboxes.totals import TREE

if TYPE_CHECKING:
    from e2brun.sandbox.local.host.running import RunningSandbox
    from e2brun.server.sandboxes.registry import Registry

_FAILURES = (SandboxError, AgentRefused, OSError)
log = logging.getLogger("e2brun.server")


def missing(sandbox_id: str) -> ApiError:
    """The control plane's word for a sandbox that is not there."""
    return ApiError(404, f"sandbox {sandbox_id[:64]!r} was not found")


async def pause(registry: Registry, record: Record, *, memory: bool) -> None:
    """Pause it. Raises ApiError 409 when it is paused already, 404 when it is dead."""
    async with record.changing:
        if record.state is State.PAUSED:
            raise ApiError(409, f"sandbox {record.id} is paused already")
        if record.state is not State.RUNNING or record.running is None:
            raise missing(record.id)
        live = record.running
        record.never_expire()
        record.state = State.PAUSED
        record.drop()
        with _told(record, "the sandbox could not be paused"):
            try:
                await live.freeze()
                if not memory or registry.durable:
                    record.saved = await _save(registry, live)
            except BaseException:
                await _undo(registry, record, live)
                raise
        if not memory:
            registry.stop(record)
        if record.dead:
            _discard(record)
            raise missing(record.id)
        registry.write_down()
        record.journal.note("sandbox paused", kept="memory" if memory else "filesystem")


async def pause_expired(registry: Registry, record: Record) -> None:
    """Its time was up, and it asked to be paused then."""
    try:
        await pause(registry, record, memory=record.lifecycle.keep_memory)
    except ApiError as error:
        if record.state is State.RUNNING:
            log.warning("sandbox %s is killed: %s", record.id, error)
            registry.kill(record, "its time was up, and it could not be paused")


async def resume(
    registry: Registry, record: Record, seconds: float, *, memory: bool = True
) -> bool:
    """Let it go on, for so many seconds; `memory` false: as after a reboot, files only. False when
    it was running already. Raises ApiError."""
    async with record.changing:
        if record.state is State.RUNNING:
            return False
        if record.dead:
            raise missing(record.id)
        with _told(record, "the sandbox could not be resumed"):
            if record.running is not None and not memory:
                if record.saved is None:
                    record.saved = await _save(registry, record.running)
                registry.stop(record)
            if record.running is None:
                registry.adopt(record, await registry.launch(record, record.saved))
            else:
                await record.running.thaw()
                record.state = State.RUNNING
            _discard(record)
        registry.write_down()
        registry.extend(record, seconds)
        record.journal.note("sandbox resumed")
        return True


async def capture(registry: Registry, record: Record) -> Path:
    """Its files as they are now, in a file of ours; it goes on as it was. Raises ApiError."""
    async with record.changing:
        if record.dead:
            raise missing(record.id)
        with _told(record, "the files could not be saved"):
            if record.running is None:
                return await _copy(registry, record)
            live, was_running = record.running, record.state is State.RUNNING
            if was_running:
                await live.freeze()
            try:
                return await _save(registry, live)
            finally:
                if was_running and not live.gone.is_set():
                    await live.thaw()


@contextmanager
def _told(record: Record, what: str) -> Generator[None, None, None]:
    """What fails in here fails because the sandbox is dead, or as a 500 that says why."""
    try:
        yield
    except ApiError:
        raise
    except Exception as error:
        if record.dead:
            raise missing(record.id) from error
        if isinstance(error, _FAILURES):
            raise ApiError(500, f"{what}: {error}") from error
        raise


async def _save(registry: Registry, live: RunningSandbox) -> Path:
    from e2brun.sandbox.local.host import trees

    path = _place(registry, 0 if live.watch is None else live.watch.usage()[1])
    try:
        await trees.save(live, path)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


async def _copy(registry: Registry, record: Record) -> Path:
    if record.saved is None:
        raise SandboxLost("its files are gone")
    path = _place(registry, record.saved.stat().st_size)
    await asyncio.to_thread(shutil.copyfile, record.saved, path)
    path.chmod(0o600)
    return path


def _place(registry: Registry, files: int) -> Path:
    """For so many bytes of files. Raises ApiError where there is no room for them."""
    if why := registry.totals.no_room(files):
        raise Refused(429, why)
    return registry.directory / f"{TREE}{secrets.token_hex(8)}"


async def _undo(registry: Registry, record: Record, live: RunningSandbox) -> None:
    """The pause failed half-way: let it run on, if it still can."""
    if record.dead:
        raise missing(record.id)
    try:
        await live.thaw()
    except (SandboxError, AgentRefused) as error:
        registry.kill(record, "it could not be paused")
        raise missing(record.id) from error
    record.state = State.RUNNING
    registry.extend(record, max(1.0, record.timeout))


def _discard(record: Record) -> None:
    if record.saved is not None:
        record.saved.unlink(missing_ok=True)
        record.saved = None
