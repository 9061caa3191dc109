"""Modules of the template that programs in a sandbox import and have not; a part of it.

What the agent says is believed in nothing: a name is one of the template's list or ignored, asked
for by one sandbox one after the other, so many in its life, and not again for a while. Cells say
what they import beforehand (`execution`).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING

from e2brun.errors import SandboxLost

if TYPE_CHECKING:
    from e2brun.sandbox.local.host.running import RunningSandbox

_NAMES = 60
_QUIET_SECONDS = 30.0  # the agent itself does not ask again for longer


class Demand:
    """Has them fetched, and tells the agent where they are."""

    def __init__(self, live: RunningSandbox) -> None:
        self._live = live
        self._quiet: dict[str, float] = {}  # module -> until when nothing more is heard of it
        self._queue: list[str] = []
        self._answering: asyncio.Task[None] | None = None

    def wanted(self, module: str) -> None:
        """Asked for by something inside, perhaps as fast as it can."""
        until = self._quiet.get(module)
        if (until is None and len(self._quiet) >= _NAMES) or monotonic() < (until or 0.0):
            return
        self._quiet[module] = float("inf")
        self._queue.append(module)
        if self._answering is None or self._answering.done():
            self._answering = asyncio.get_running_loop().create_task(self._answer())

    async def _answer(self) -> None:
        while self._queue:
            module = self._queue.pop(0)
            packages = self._live.more_packages
            missing = packages.missing(f"import {module}", self._live.jail) if packages else None
            place = await packages.place(missing) if packages and missing else None
            self._quiet[module] = monotonic() + _QUIET_SECONDS
            with suppress(SandboxLost):
                self._live.link.request("placed", module=module, place=place or "")

    def close(self) -> None:
        """What is being fetched is for others, too, and goes on."""
        self._queue.clear()
