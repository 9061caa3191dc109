"""Commands in a sandbox, for the service's own sake: a build's steps, what a template starts."""

from __future__ import annotations

import asyncio
import base64
import codecs
from collections.abc import Callable
from typing import Any

from e2brun.sandbox.local.host.process import Process, ProcessOrder
from e2brun.sandbox.local.host.processes import Processes
from e2brun.sandbox.local.host.running import RunningSandbox
from e2brun.sandbox.local.host.subscriptions import Subscription
from e2brun.sandbox.local.template_setup import Place

_READY_PAUSE = 0.25
_PATIENCE = 60.0  # between two looks at a program that says nothing
_LINE = 4000  # characters; a longer one is told in pieces

Told = Callable[[str, str], None]  # ("stdout" or "stderr", a line)


class NotReady(Exception):
    """What a template starts did not come up; the text says why."""


async def run(live: RunningSandbox, command: str, place: Place, tell: Told) -> str:
    """Run it to its own end, as `docker build` does: "" when it ended with 0, else how it ended.
    Raises StartRefused when it cannot be started, SandboxLost."""
    process, subscription = await begin(live, command, place)
    process.leave_children()
    lines = _Lines(tell)
    try:
        while True:
            try:
                event = await subscription.next(_PATIENCE)
            except TimeoutError:
                continue
            if event is None:
                return ""
            said: dict[str, Any] = event["event"]
            for stream, encoded in said.get("data", {}).items():
                lines.add(stream, base64.b64decode(encoded))
            if "end" in said:
                lines.end()
                return str(said["end"].get("error", ""))
    except asyncio.CancelledError:
        live.part(Processes).kill(process)
        raise
    finally:
        process.forsake(subscription)


async def begin(live: RunningSandbox, command: str, place: Place) -> tuple[Process, Subscription]:
    """Start it. Raises StartRefused, SandboxLost."""
    argv = ["/bin/bash", "-l", "-c", command]
    order = ProcessOrder(
        argv=argv,
        cwd=place.cwd,
        environment={**live.user_environment(place.user), **place.environment},
        user=place.user,
        config={"cmd": argv[0], "args": argv[1:]},
        tag=None,
        stdin=False,
        size=None,
    )
    processes = live.part(Processes)
    process = processes.prepare(order, lambda _: None)
    subscription = process.follow()
    await processes.start(process)
    return process, subscription


async def start(
    live: RunningSandbox, command: str, ready: str, place: Place, seconds: float
) -> None:
    """Start what a template starts, and wait until `ready` succeeds. Raises NotReady."""
    process: Process | None = None
    if command:
        process, subscription = await begin(live, command, place)
        process.forsake(subscription)
    if not ready:
        return
    try:
        async with asyncio.timeout(seconds):
            while await run(live, ready, place, lambda _stream, _line: None):
                _check(process)
                await asyncio.sleep(_READY_PAUSE)
    except TimeoutError:
        raise NotReady(f"the ready command did not succeed in {seconds:g} s") from None
    _check(process)


def _check(process: Process | None) -> None:
    if process is not None and process.over.is_set() and process.status != "exit status 0":
        raise NotReady(f"the start command failed: {process.status}")


class _Lines:
    """Output in pieces, told line by line."""

    def __init__(self, tell: Told) -> None:
        self._tell = tell
        self._decoders = {name: codecs.getincrementaldecoder("utf-8")("replace")
                          for name in ("stdout", "stderr")}  # fmt: skip
        self._rest = {"stdout": "", "stderr": ""}

    def add(self, stream: str, data: bytes) -> None:
        if stream not in self._rest:
            return
        *lines, rest = (self._rest[stream] + self._decoders[stream].decode(data)).split("\n")
        for line in lines:
            self._tell(stream, line.rstrip("\r"))
        while len(rest) > _LINE:
            self._tell(stream, rest[:_LINE])
            rest = rest[_LINE:]
        self._rest[stream] = rest

    def end(self) -> None:
        for stream, rest in self._rest.items():
            if rest:
                self._tell(stream, rest)
