"""The process behind one context, as the service holds it: its pid, its pipes, its end.

Its output is read all the time, by whoever listens; between cells nobody does, and what a
thread or a server of the user's prints then is dropped, slowly (a full pipe would stop it).
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from e2brun.sandbox.contract import USER
from e2brun.sandbox.local.host import languages
from e2brun.sandbox.local.host.channels import BrokenChannel, PipeWriter
from e2brun.sandbox.local.host.control import Exited, ProgramStarted
from e2brun.sandbox.local.host.languages import Language
from e2brun.sandbox.local.host.running import RunningSandbox
from e2brun.sandbox.local.host.streams import in_pipe, pipe

if TYPE_CHECKING:
    from e2brun.sandbox.local.host.cell_events import CellExecution

PIECE = 256 * 1024
_IDLE_PAUSE = 0.05  # seconds between looks at what nobody listens to


class Kernel:
    """One started process; `alive` until it ended or was given up."""

    def __init__(self, live: RunningSandbox) -> None:
        self._live = live
        self._loop = asyncio.get_running_loop()
        self._number = 0
        self._listener: CellExecution | None = None
        self._reading: set[str] = set()
        self.outlets: dict[str, int] = {}  # name -> the end of the pipe that we read
        self._cells: PipeWriter | None = None
        self.alive = False
        self.fresh = True  # nobody has used it yet
        self.environment: dict[str, str] = {}  # as it was started
        self.apart = False  # every piece that is read was written as one
        self.over = asyncio.Event()

    async def start(self, language: Language, cwd: str) -> None:
        """Start it. Raises AgentRefused with the reason, JavaMissing, SandboxLost."""
        self.apart = language.apart
        theirs: list[int] = []
        try:
            for name in ("stdout", "stderr", "frames"):
                self.outlets[name], write = pipe()
                theirs.append(write)
                os.set_blocking(self.outlets[name], False)
            cells, write = pipe()
            os.set_blocking(write, False)
            self._cells = PipeWriter(write)
            theirs.insert(2, cells)
            if language.attached is not None:  # which may take seconds
                await asyncio.to_thread(language.attached.make)
            languages.complete(language, theirs)
            await self._ask_for(theirs, language, cwd)
        except BaseException:
            self.close()
            raise
        finally:
            for descriptor in theirs:
                os.close(descriptor)

    async def _ask_for(self, theirs: list[int], language: Language, cwd: str) -> None:
        self.alive = True
        self.environment = self._live.user_environment(USER)
        request = languages.request(language, self._live.jail, cwd, self.environment)
        started = await self._live.link.get(
            ProgramStarted, "context", theirs, on_exit=self._exited, **request
        )
        self._number = started.number
        self.listen(None)

    def listen(self, listener: CellExecution | None) -> None:
        """Tell `listener` from now on; None: drop what comes."""
        self._listener = listener
        for name in self.outlets:
            self.resume(name)

    def resume(self, name: str) -> None:
        descriptor = self.outlets.get(name)
        if descriptor is None or not self.alive or name in self._reading:
            return
        self._reading.add(name)
        self._loop.add_reader(descriptor, self._readable, name)

    def pause(self, name: str) -> None:
        """Stop watching a pipe; whoever writes to it waits once it is full."""
        if name in self._reading:
            self._reading.discard(name)
            self._loop.remove_reader(self.outlets[name])

    def _readable(self, name: str) -> None:
        if self._listener is not None:
            self._listener.readable(name)
            return
        self.pause(name)
        if self.read(name) is not None:
            self._loop.call_later(_IDLE_PAUSE, self.resume, name)

    def waiting(self, name: str) -> int:
        """How many bytes are in a pipe now."""
        descriptor = self.outlets.get(name)
        return 0 if descriptor is None else in_pipe(descriptor)

    def read(self, name: str, most: int = PIECE) -> bytes | None:
        """What is in a pipe; b"" for nothing, None for its end."""
        descriptor = self.outlets.get(name)
        if descriptor is None:
            return None
        try:
            return os.read(descriptor, most) or None
        except BlockingIOError:
            return b""

    async def send(self, cell: bytes) -> None:
        """Hand over a cell. One that the process does not take waits until it does or is gone."""
        with suppress(BrokenChannel):  # it closed it or is ending: its end will tell
            if self._cells is not None:
                await self._cells.write(cell)

    async def signal(self, number: int) -> None:
        """A signal for its process group."""
        if self.alive and self._number:
            await self._live.link.ask("context", run=self._number, signal=int(number))

    def _exited(self, exited: Exited) -> None:
        listener, self._listener = self._listener, None
        self.over.set()
        if listener is not None:
            listener.ended(exited)
        self.close()

    def close(self) -> None:
        """Let go of it: the process finds its pipes closed and leaves by itself."""
        for name in tuple(self._reading):
            self.pause(name)
        self.alive = False
        self.over.set()
        for descriptor in self.outlets.values():
            os.close(descriptor)
        self.outlets.clear()
        if self._cells is not None:
            self._cells.close()
