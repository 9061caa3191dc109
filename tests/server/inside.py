"""Sandboxes as the service has them, and programs in them, without the service."""

from __future__ import annotations

import asyncio
import marshal
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from e2brun.sandbox.local.host.control import Exited, ProgramStarted
from e2brun.sandbox.local.host.running import RunningSandbox
from e2brun.sandbox.local.interpreter import current_interpreter
from e2brun.sandbox.local.isolation.bubblewrap import Bubblewrap
from e2brun.sandbox.local.isolation.driver import Driver, Jail, new_id


@asynccontextmanager
async def living(
    jail: Jail | None = None, driver: Driver | None = None
) -> AsyncGenerator[RunningSandbox]:
    """A sandbox of its own; an ordinary one by bubblewrap where nothing else is wanted."""
    jail = jail or Jail(new_id(), current_interpreter())
    live = RunningSandbox(driver or Bubblewrap(), jail, "base")
    try:
        await live.ready()
        yield live
    finally:
        live.kill()
        await live.buried()


async def python(live: RunningSandbox, code: str) -> None:
    """Run Python code inside; AssertionError with what it printed when it fails."""
    argv = [live.jail.interpreter.executable, "-c", code]
    read, write = os.pipe()
    null = os.open("/dev/null", os.O_RDWR)
    ended: asyncio.Future[Exited] = asyncio.get_running_loop().create_future()
    try:
        await live.link.get(
            ProgramStarted,
            "start",
            [null, write, write],
            on_exit=ended.set_result,
            program=marshal.dumps((argv, dict(live.user_environment("user")))),
            cwd="/home/user",
            user="user",
            terminal=False,
        )
        os.close(write)
        exited = await asyncio.wait_for(ended, 30)
        said = os.read(read, 65536).decode()
    finally:
        os.close(read)
        os.close(null)
    assert (exited.code, exited.signal) == (0, 0), said
