"""One cell, from a request to its last line, interrupted when nobody listens any more."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from e2brun.errors import SandboxLost
from e2brun.sandbox.local.host import event_lines
from e2brun.sandbox.local.host.agent_client import AgentRefused
from e2brun.sandbox.local.host.cell_events import KEEPALIVE_SECONDS, CellExecution
from e2brun.sandbox.local.host.contexts import Context, Contexts, NotStarted
from e2brun.sandbox.local.host.frames import encode_cell
from e2brun.sandbox.local.host.languages import PYTHON

_INTERRUPT_ROUNDS, _ROUND_SECONDS = 3, 1.0


def _fetching(
    contexts: Contexts, context: Context, cell: RequestedCell
) -> asyncio.Task[str | None] | None:
    """Finds where that is which the cell uses of the template, and its sandbox has not."""
    packages = context.live.more_packages
    if packages is None or context.language.name != PYTHON:
        return None
    missing = packages.missing(cell.code, context.live.jail)
    if not missing:
        return None
    return contexts.chore(packages.place(missing))


@dataclass(frozen=True, slots=True)
class RequestedCell:
    """What is to be run: `env` for this cell alone; `spoken`: a kernel may know more languages."""

    code: str
    env: Mapping[str, str]
    spoken: str | None = None


async def _turn(context: Context) -> AsyncIterator[bytes]:
    """Ours at its end."""
    while context.turn.locked():
        try:
            async with asyncio.timeout(KEEPALIVE_SECONDS):
                await context.turn.acquire()
            return
        except TimeoutError:
            yield event_lines.KEEPALIVE
    await context.turn.acquire()


async def execute(
    contexts: Contexts, context: Context, cell: RequestedCell
) -> AsyncIterator[bytes]:
    """The lines of one execution of a cell. Closed before its end, the cell is interrupted."""
    async for line in _turn(context):
        yield line
    run: CellExecution | None = None
    began = asyncio.get_running_loop().time()
    try:
        paths: tuple[str, ...] = ()
        if fetching := _fetching(contexts, context, cell):
            while not (await asyncio.wait((fetching,), timeout=KEEPALIVE_SECONDS))[0]:
                yield event_lines.KEEPALIVE
            place = fetching.result()
            paths = () if place is None else (place,)
        message = encode_cell(cell.code, cell.env, cell.spoken, paths)
        kernel = await context.started()
        run = CellExecution(kernel, context.live.outflow)
        kernel.listen(run)
        contexts.chore(kernel.send(message))
        while not run.over.is_set():
            yield await run.lines()
        while rest := await run.lines():
            yield rest
    except NotStarted as error:
        yield event_lines.error("KernelNotStarted", str(error), "") + event_lines.END
    finally:
        if run is not None:
            seconds = asyncio.get_running_loop().time() - began
            context.live.executed(run.status, seconds)
        _let_go(contexts, context, run)


def _let_go(contexts: Contexts, context: Context, run: CellExecution | None) -> None:
    if run is None:
        context.turn.release()
    elif run.over.is_set() and not run.broken:
        run.kernel.listen(None)
        context.turn.release()
    else:
        contexts.chore(_follow(context, run))


async def _follow(context: Context, run: CellExecution) -> None:
    """Bring a deserted cell to its end: interrupt it, and kill what does not listen to that."""
    kernel = run.kernel
    run.desert()
    try:
        for _ in range(_INTERRUPT_ROUNDS):
            if run.over.is_set():
                break
            await kernel.signal(signal.SIGINT)
            await _unfrozen(context, run)
        kernel.listen(None)
        if (run.broken or not run.over.is_set()) and context.kernel is kernel:
            await context.end()
    except (SandboxLost, AgentRefused):
        pass
    finally:
        context.turn.release()


async def _unfrozen(context: Context, run: CellExecution) -> None:
    """Wait for the end of the run, one round, not counting the time of a pause."""
    left = _ROUND_SECONDS
    while left > 0 and not run.over.is_set():
        with suppress(TimeoutError):
            async with asyncio.timeout(0.1):
                await run.over.wait()
        left -= 0.0 if context.live.frozen else 0.1
