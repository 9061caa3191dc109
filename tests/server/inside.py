"""A program inside a live sandbox, for tests that need one."""

from __future__ import annotations

import asyncio
import marshal
import os

from e2brun.sandbox.local.host.control import Exited
from e2brun.sandbox.local.host.running import RunningSandbox


async def python(live: RunningSandbox, code: str) -> None:
    """Run Python code inside; AssertionError with what it printed when it fails."""
    argv = [live.jail.interpreter.executable, "-c", code]
    read, write = os.pipe()
    null = os.open("/dev/null", os.O_RDWR)
    ended: asyncio.Future[Exited] = asyncio.get_running_loop().create_future()
    try:
        await live.link.ask(
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
