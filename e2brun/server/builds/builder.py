"""Runs builds: finds what is kept of them, does the rest in a sandbox, keeps that."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import secrets
import shlex
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from e2brun.errors import SandboxError
from e2brun.sandbox.local import templates as built_in
from e2brun.sandbox.local.host import commands, trees
from e2brun.sandbox.local.host.processes import StartRefused
from e2brun.sandbox.local.host.running import RunningSandbox
from e2brun.sandbox.local.registered import (
    BUILDING,
    FAILED,
    READY,
    Build,
    Made,
    Registered,
    RegisteredTemplates,
)
from e2brun.sandbox.local.template_setup import Place, Setup
from e2brun.server.builds.context import StepFailed, acting, after, resolved
from e2brun.server.builds.images import NoSuchImage, StandIn, stand_in
from e2brun.server.builds.plan import CHANGING, Plan, Step, copied
from e2brun.server.http.messages import ApiError
from e2brun.server.sandboxes.durable import recovered, sweep
from e2brun.server.sandboxes.records import Origin
from e2brun.server.sandboxes.registry import Registry

log = logging.getLogger("e2brun.server")

BASE_STEP, LAST_STEP = "base", "finalize"
_AT_ONCE = 2
_SECONDS, _READY_SECONDS = 3600.0, 300.0
_GIB = 1024**3
_LAYERS, _FILES = 10 * _GIB, 4 * _GIB


@dataclass(frozen=True, slots=True)
class _Base:
    """What a build starts from."""

    made: Made
    tree: Path | None
    check: StandIn | None = None


@dataclass(frozen=True, slots=True)
class _Task:
    """One step, what it is to be called in the log, and what names its result."""

    number: int
    step: Step
    label: str
    key: str
    before: Place
    after: Place


class Builder:
    """The builds of one service; `directory` is where templates and layers are kept."""

    def __init__(self, registry: Registry, directory: Path, *, durable: bool) -> None:
        self._registry = registry
        self.templates = RegisteredTemplates(
            directory / "templates", durable=durable, read=recovered
        )
        sweep(directory / "templates", "*.tree", self.templates.trees())
        self.files = KeptFiles(directory / "files", _FILES)
        self.layers = KeptFiles(directory / "layers", _LAYERS)  # by the keys of steps
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self.at_work: dict[str, RunningSandbox] = {}  # by the ids of builds

    def ready(self, name: str) -> tuple[Registered, Made, Path | None] | None:
        """What a sandbox of this name is made of, and its files: built here, or by the service
        whose templates we have as well."""
        found = self.templates.ready(name)
        others = RegisteredTemplates.of(self._registry.options.templates_of)
        return others.ready(name) if found is None and others is not None else found

    def start(self, template: Registered, build: Build, plan: Plan) -> None:
        """Build it in the background; `build` tells how far it is."""
        build.become(BUILDING)
        self._registry.chore(self._build(template, build, plan))

    def delete(self, template: Registered) -> None:
        """It is gone, with its files, and is built no further."""
        self.templates.delete(template)
        for build in template.builds.values():
            if build.status == BUILDING:
                self._fail(build, "the template was deleted")
            if (live := self.at_work.get(build.id)) is not None:
                self._registry.take_back(live)

    async def _build(self, template: Registered, build: Build, plan: Plan) -> None:
        try:
            async with self._turns, asyncio.timeout(_SECONDS):
                build.made = await _Run(self, self._registry, build).made_of(plan)
            template.assign(build, build.tags)
            build.say("Build finished", step=LAST_STEP)
            build.become(READY)
        except StepFailed as failed:
            self._fail(build, failed.message, failed.step)
        except TimeoutError:
            self._fail(build, f"the build took longer than {_SECONDS:g} s")
        except (ApiError, SandboxError, OSError) as error:
            self._fail(build, str(error))
        except asyncio.CancelledError:
            self._fail(build, "the service ends")
            raise
        finally:
            if build.status == BUILDING:  # a bug, whose trace is in the log
                self._fail(build, "the service failed; its log says why")
            if template.id in self.templates.templates:
                self.templates.trim(template)
                self.templates.save()
            else:
                self.templates.forget(build)

    def _fail(self, build: Build, message: str, step: str = "") -> None:
        build.say(f"Build failed: {message}", "error", step)
        build.become(FAILED, message, step)

    async def base(self, plan: Plan) -> _Base:
        """What `plan` starts from. Raises StepFailed."""
        if plan.template:
            found = self.templates.ready(plan.template)
            if found is not None:
                return _Base(*found[1:])
            name, check = plan.template, None
        else:
            try:
                check = await asyncio.to_thread(stand_in, plan.image)
            except NoSuchImage as no:
                raise StepFailed(BASE_STEP, str(no)) from None
            name = check.template
        template = built_in.find(name)
        if template is None:
            raise StepFailed(BASE_STEP, f"template {plan.template[:100]!r} was not found")
        packages = (*template.packages, *(check.packages if check else ()))
        python = check.python if check else ""
        told = f"{template.name} {packages} {python} {self._registry.options.install}"
        key = hashlib.sha256(told.encode()).hexdigest()
        return _Base(Made(Setup(template.name, packages, python=python), key), None, check)


class _Run:
    """One build."""

    def __init__(self, builder: Builder, registry: Registry, build: Build) -> None:
        self._builder, self._registry, self._build = builder, registry, build
        self._layers = builder.layers

    async def made_of(self, plan: Plan) -> Made:
        """Raises StepFailed, ApiError, SandboxError."""
        say = self._build.say
        say(f"[base] FROM {plan.image or plan.template}", step=BASE_STEP)
        base = await self._builder.base(plan)
        if base.check is not None and base.check.note:
            say(f"[base] {base.check.note}", step=BASE_STEP)
        tasks = _tasks(plan, base.made)
        done = 0 if plan.force else self._done(tasks)
        for task in tasks[:done]:
            say(f"CACHED {task.label}", step=str(task.number))
        kept = [t for t in tasks[:done] if t.step.kind in CHANGING]
        tree = self._layers.find(kept[-1].key) if kept else base.tree
        if kept and tree is None:  # its room was needed in this very moment
            done, tree = 0, base.tree
        last = tasks[-1].after if tasks else base.made.setup.place
        below = base.made.setup
        setup = replace(
            below, place=last, start=plan.start or below.start, ready=plan.ready or below.ready
        )
        if tasks[done:] or plan.start or plan.ready or (base.check and base.check.packages):
            tree = await self._work(tree, tasks[done:], setup)
        return Made(
            setup,
            key=tasks[-1].key if tasks else base.made.key,
            tree=self._builder.templates.keep_tree(self._build, tree) if tree else "",
        )

    def _done(self, tasks: Sequence[_Task]) -> int:
        """How many of the first steps need not be done again."""
        forced = next((i for i, task in enumerate(tasks) if task.step.force), len(tasks))
        changing = [i for i in range(forced) if tasks[i].step.kind in CHANGING]
        found = next((i for i in reversed(changing) if self._layers.find(tasks[i].key)), -1)
        done = found + 1
        while done < forced and tasks[done].step.kind not in CHANGING:
            done += 1
        return done

    async def _work(self, tree: Path | None, tasks: Sequence[_Task], last: Setup) -> Path | None:
        """Do `tasks` in a sandbox, and try what it is to start; the files in the end."""
        bare = Setup(last.base, last.packages, python=last.python)
        origin = Origin(last.base, None, bare, metadata={}, environment={}, connected=True)
        async with self._at_work(origin, tree) as live:
            for task in tasks:
                self._build.say(task.label, step=str(task.number))
                await self._step(live, task)
                if task.step.kind in CHANGING:
                    written = self._layers.begin()
                    await trees.save(live, written)
                    tree = self._layers.keep(task.key, written)
            await self._finalize(live, last)
        return tree

    @asynccontextmanager
    async def _at_work(self, origin: Origin, tree: Path | None) -> AsyncGenerator[RunningSandbox]:
        """A sandbox to build in. Raises StepFailed where nobody wants that any more."""
        async with self._registry.borrowed(origin, tree) as live:
            if self._build.status == FAILED:
                raise StepFailed("", self._build.reason)
            self._builder.at_work[self._build.id] = live
            try:
                yield live
            finally:
                del self._builder.at_work[self._build.id]

    async def _step(self, live: RunningSandbox, task: _Task) -> None:
        step, number = task.step, str(task.number)
        try:
            if step.kind == "RUN":
                place = acting(task.number, step, task.before)
                await self._command(live, step.args[0], place, task)
            elif step.kind == "WORKDIR":
                place = Place(task.before.user, "/")
                await self._command(
                    live, f"mkdir -p {shlex.quote(task.after.directory)}", place, task
                )
            elif step.kind == "COPY":
                await self._copy(live, task)
        except StartRefused as error:
            raise StepFailed(number, f"failed to run {step.line[:200]!r}: {error}") from None

    async def _command(self, live: RunningSandbox, command: str, place: Place, task: _Task) -> None:
        def tell(stream: str, line: str) -> None:
            self._build.say(f"{task.label.partition(']')[0]}] [{stream}]: {line}", step=number)

        number = str(task.number)
        bad = await commands.run(live, command, place, tell)
        if bad:
            raise StepFailed(number, f"failed to run command {command[:200]!r}: {bad}")

    async def _copy(self, live: RunningSandbox, task: _Task) -> None:
        step, number = task.step, str(task.number)
        archive = self._builder.files.find(step.files_hash)
        if archive is None:
            raise StepFailed(number, f"the files of {step.line[:200]!r} were not uploaded")
        pattern, target, *more = step.args
        mode = more[1] if len(more) > 1 else ""
        if mode and not (mode.isdigit() and set(mode) <= set("01234567") and len(mode) < 6):
            raise StepFailed(number, f"COPY: {mode[:20]!r} is no mode in octal digits")
        try:
            await trees.unpack(
                live,
                archive,
                source=copied(pattern),
                target=resolved(target, task.before),
                mode=int(mode, 8) if mode else -1,
            )
        except trees.TreeLost as lost:
            raise StepFailed(number, f"failed to copy {pattern[:200]!r}: {lost}") from None

    async def _finalize(self, live: RunningSandbox, setup: Setup) -> None:
        if setup.start:
            self._build.say(f"[finalize] START {setup.start}", step=LAST_STEP)
        try:
            await commands.start(live, setup.start, setup.ready, setup.place, _READY_SECONDS)
        except (commands.NotReady, StartRefused) as error:
            raise StepFailed(LAST_STEP, str(error)) from None


def _tasks(plan: Plan, made: Made) -> list[_Task]:
    """Raises StepFailed for a step that cannot be done, before any is."""
    tasks: list[_Task] = []
    place, key, count = made.setup.place, made.key, len(plan.steps)
    for number, step in enumerate(plan.steps, 1):
        then = after(number, step, place)
        key = step.key(key)
        label = f"[builder {number}/{count}] {step.line}"
        tasks.append(_Task(number, step, label, key, place, then))
        place = then
    return tasks


class KeptFiles:
    """Files under hexadecimal keys in a directory (made where it is missing) of bounded size: what
    was not used for longest goes first."""

    def __init__(self, directory: Path, limit: int) -> None:
        self._directory, self._limit = directory, limit
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for begun in directory.glob(".*"):  # by a service that was killed
            with suppress(OSError):
                begun.unlink()

    def find(self, key: str) -> Path | None:
        """The file of this key, which counts as used now."""
        path = self._directory / key
        try:
            os.utime(path)
        except OSError:
            return None
        return path

    def begin(self) -> Path:
        """A name for a file that is being written; `keep` or remove it."""
        return self._directory / f".{secrets.token_hex(8)}"

    def keep(self, key: str, written: Path) -> Path:
        """`written` is the file of this key from now on; makes room for it."""
        path = self._directory / key
        written.replace(path)
        self._make_room(but=path)
        return path

    def _make_room(self, but: Path) -> None:
        found: list[tuple[float, int, Path]] = []
        for path in self._directory.iterdir():
            with suppress(OSError):
                facts = path.stat()
                found.append((facts.st_mtime, facts.st_size, path))
        total = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if total <= self._limit:
                return
            if path != but and not path.name.startswith("."):
                path.unlink(missing_ok=True)
                total -= size
