"""The code-interpreter contexts of one sandbox; a part of its RunningSandbox."""

from __future__ import annotations

import asyncio
import errno
import signal
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar
from uuid import uuid4

from e2brun.errors import SandboxLost
from e2brun.sandbox.contract import HOME, USER
from e2brun.sandbox.local.host.agent_client import AgentRefused
from e2brun.sandbox.local.host.java import JavaMissing
from e2brun.sandbox.local.host.kernel import Kernel
from e2brun.sandbox.local.host.languages import JAVASCRIPT, PYTHON, Language, find
from e2brun.sandbox.local.host.running import RunningSandbox

T = TypeVar("T")

_END_SECONDS = 2.0
_NO_DIRECTORY = {errno.ENOENT, errno.ENOTDIR, errno.EACCES}


class NotStarted(Exception):
    """A context's process could not be started; the text says why and what to do."""


class UnknownLanguage(Exception):
    """No context speaks it."""


class Context:
    """One context. Its process starts when first needed, and anew after it died."""

    def __init__(self, live: RunningSandbox, language: Language, cwd: str) -> None:
        self.live, self.language, self.cwd = live, language, cwd
        self.id = str(uuid4())
        self.turn = asyncio.Lock()  # one cell at a time
        self.kernel: Kernel | None = None
        self._starting = asyncio.Lock()

    def described(self) -> dict[str, str]:
        return {"id": self.id, "language": self.language.name, "cwd": self.cwd}

    async def started(self) -> Kernel:
        """Its process, running, and from now on in use. Raises NotStarted, SandboxLost."""
        kernel = await self.warm()
        if kernel.fresh and kernel.environment != self.live.user_environment(USER):
            await self.end()  # it was started before the sandbox got its environment
            kernel = await self.warm()
        kernel.fresh = False
        return kernel

    async def warm(self) -> Kernel:
        """Its process, running. Raises NotStarted, SandboxLost."""
        if self.kernel is not None and self.kernel.alive:
            return self.kernel
        async with self._starting:
            if self.kernel is None or not self.kernel.alive:
                try:
                    kernel = await self._begun()
                except JavaMissing as error:
                    raise NotStarted(f"No {self.language.name} kernel: {error}") from error
                except AgentRefused as error:
                    raise NotStarted(self._explained(error)) from error
                except ValueError as error:
                    raise NotStarted("the sandbox's environment is too large") from error
                self.kernel = kernel
        return self.kernel

    async def _begun(self) -> Kernel:
        """Its process. Python's stands in the home where its directory is none, as at E2B, whose
        `%cd` tells nobody that it failed."""
        kernel = Kernel(self.live)
        try:
            await kernel.start(self.language, self.cwd)
        except AgentRefused as error:
            if self.language.argv or error.errno not in _NO_DIRECTORY:
                raise
            kernel = Kernel(self.live)
            await kernel.start(self.language, HOME)
        return kernel

    def _explained(self, error: AgentRefused) -> str:
        name, text = self.language.name, error.text
        missing = error.errno in {errno.ENOENT, errno.ENOTDIR} and self.cwd not in text
        if missing and self.language.argv:
            hint = self.language.install or "its interpreter is not in the sandbox"
            return f"No {name} kernel: {hint}"
        return f"The {name} kernel could not be started in {self.cwd}: {text}"

    async def end(self) -> None:
        """Kill its process; state is lost, and the next cell starts a new one."""
        kernel, self.kernel = self.kernel, None
        if kernel is None or not kernel.alive:
            return
        with suppress(SandboxLost, AgentRefused, TimeoutError):
            await kernel.signal(signal.SIGKILL)
            async with asyncio.timeout(_END_SECONDS):
                await kernel.over.wait()
        kernel.close()


class Contexts:
    """All contexts of a sandbox, the defaults of languages included, oldest first."""

    def __init__(self, live: RunningSandbox) -> None:
        self._live = live
        self._all: dict[str, Context] = {}
        self._defaults: dict[str, str] = {}
        self._chores: set[asyncio.Task[Any]] = set()
        for name in (PYTHON, JAVASCRIPT):  # listed from the start, as E2B's are
            self.default(name)

    def close(self) -> None:
        for chore in self._chores:
            chore.cancel()
        for context in self._all.values():
            if context.kernel is not None:
                context.kernel.close()

    def chore(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Do something that goes on when its client has left."""
        task = asyncio.get_running_loop().create_task(work)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)
        return task

    def listed(self) -> list[Context]:
        """In the order of their creation."""
        return list(self._all.values())

    def get(self, context_id: str) -> Context | None:
        return self._all.get(context_id)

    def default(self, language: str) -> Context:
        """The context for cells that name none. Raises UnknownLanguage."""
        found = self._all.get(self._defaults.get(language, ""))
        if found is None:
            found = self._new(language, HOME)
            self._defaults[language] = found.id
        return found

    async def create(self, language: str, cwd: str) -> Context:
        """A new context, started. Raises UnknownLanguage, NotStarted, SandboxLost."""
        context = self._new(language, cwd)
        try:
            await context.started()
        except BaseException:
            self._all.pop(context.id, None)
            raise
        return context

    async def remove(self, context: Context) -> None:
        self._all.pop(context.id, None)
        await context.end()

    def _new(self, name: str, cwd: str) -> Context:
        language = find(name)
        if language is None:
            raise UnknownLanguage(name)
        context = Context(self._live, language, cwd)
        self._all[context.id] = context
        return context
