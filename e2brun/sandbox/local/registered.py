"""The templates that were built here: their names, tags and builds, kept in one JSON file."""

from __future__ import annotations

import os
import re
import secrets
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from e2brun.private import load, store
from e2brun.sandbox.local.template_setup import Setup

Read = Callable[[Path | None, Any, Any], Any]
TEAM = "local"
DEFAULT_TAG = "default"
# `name`, `name:tag`, with or without a team before it.
_NAME = re.compile(r"(?:[a-z0-9][a-z0-9_-]*/)?([a-z0-9][a-z0-9_-]{0,127})(?::([a-z0-9._-]{1,64}))?")
_TREE = re.compile(r"(?:[0-9a-f-]{36}\.tree)?", re.ASCII)
_LOG_ENTRIES = 20_000
_LINE = 4000  # characters
_LOG = 4 * 1024**2  # likewise, of all lines: what a step prints stays in the service's memory
WAITING, BUILDING, READY, FAILED = "waiting", "building", "ready", "error"
_INTERRUPTED = "the service ended while it was built"


def split_name(text: str) -> tuple[str, str] | None:
    """(name, tag), the tag "default" where none is given; None: nothing can be called so."""
    match = _NAME.fullmatch(text)
    return (match[1], match[2] or DEFAULT_TAG) if match else None


def full_name(text: str) -> str:
    """`local/name:tag`; "" for what is no name."""
    split = split_name(text)
    return f"{TEAM}/{split[0]}:{split[1]}" if split else ""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a build's log. `step`: "base", a number from 1, "finalize", or ""."""

    when: float
    level: str
    message: str
    step: str = ""


@dataclass(frozen=True, slots=True)
class Made:
    """What came of a build: all that a sandbox needs to be made of it."""

    setup: Setup
    key: str  # names its files, for builds that start from it
    tree: str = ""  # the name of the file that holds them; "": those of the built-in template

    def __post_init__(self) -> None:
        """What a list from before says is opened, and in the end removed."""
        if not _TREE.fullmatch(self.tree):
            raise ValueError("that is no name of a template's files")


@dataclass(slots=True, eq=False)
class Build:
    """One build of a template."""

    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    status: str = WAITING
    tags: tuple[str, ...] = (DEFAULT_TAG,)  # assigned once it is ready
    created: float = field(default_factory=time.time)
    updated: float = field(default_factory=time.time)
    reason: str = ""
    step: str = ""  # that failed
    made: Made | None = None
    log: list[Line] = field(default_factory=list[Line])
    said: int = 0  # characters in it

    def say(self, message: str, level: str = "info", step: str = "") -> None:
        message = message[:_LINE]
        if len(self.log) < _LOG_ENTRIES and self.said + len(message) <= _LOG:
            self.log.append(Line(time.time(), level, message, step))
            self.said += len(message)

    def become(self, status: str, reason: str = "", step: str = "") -> None:
        self.status, self.reason, self.step = status, reason, step
        self.updated = time.time()


@dataclass(slots=True, eq=False)
class Registered:
    """One template."""

    name: str
    id: str = field(default_factory=lambda: secrets.token_hex(10))
    created: float = field(default_factory=time.time)
    spawned: int = 0
    last_spawned: float = 0.0
    builds: dict[str, Build] = field(default_factory=dict[str, Build])
    tags: dict[str, tuple[str, float]] = field(default_factory=dict[str, tuple[str, float]])

    def build(self, tag: str) -> Build | None:
        """The ready build of this tag, or of this id: a build is its own tag at E2B."""
        found = self.builds.get(self.tags[tag][0] if tag in self.tags else tag)
        return found if found is not None and found.status == READY else None

    @property
    def newest(self) -> Build:
        """The build that was asked for last."""
        return next(reversed(self.builds.values()))

    def assign(self, build: Build, tags: tuple[str, ...]) -> None:
        for tag in tags:
            self.tags[tag] = (build.id, time.time())


class RegisteredTemplates:
    """All of a service, with their files in `directory`; those from before where `durable`."""

    def __init__(self, directory: Path, *, durable: bool, read: Read = load) -> None:
        """`read`: as `load` does."""
        self._directory, self._durable = directory, durable
        self._index = directory / "index.json"
        self.templates: dict[str, Registered] = {}
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if durable:
            self.templates = read(self._index, dict[str, Registered], {})
        for build in self.unfinished():
            build.become(FAILED, _INTERRUPTED)

    def find(self, text: str) -> Registered | None:
        """By id or name, with or without a tag."""
        name, _ = split_name(text) or (text, "")
        if name in self.templates:
            return self.templates[name]
        return next((one for one in self.templates.values() if one.name == name), None)

    def unfinished(self) -> list[Build]:
        return [build for build in self._builds() if build.status in (WAITING, BUILDING)]

    def trees(self) -> list[str]:
        """The names of the files that hold what was built."""
        return [build.made.tree for build in self._builds() if build.made is not None]

    def _builds(self) -> Iterator[Build]:
        return (build for one in self.templates.values() for build in one.builds.values())

    @classmethod
    def of(cls, state: Path | None) -> RegisteredTemplates | None:
        """Those of a service that keeps its state there, as they are now: it may build others at
        any time. None where it has built none."""
        there = None if state is None else state / "templates"
        return None if there is None or not os.path.isdir(there) else cls(there, durable=True)

    def ready(self, text: str) -> tuple[Registered, Made, Path | None] | None:
        """What a sandbox is made of: the build of the tag in `text`, "default" where none is; and
        the file with its files, for `host.trees`, None: those of its base."""
        template = self.find(text)
        if template is None:
            return None
        split = split_name(text)
        build = template.build(split[1] if split else DEFAULT_TAG)
        if build is None and text == template.id:  # ids are what a build of other tags tells
            build = next((b for b in reversed(template.builds.values()) if b.status == READY), None)
        if build is None or build.made is None:
            return None
        made = build.made
        return template, made, self._directory / made.tree if made.tree else None

    def keep_tree(self, build: Build, tree: Path) -> str:
        """Hold on to a layer, whatever becomes of the cache; what to call it in `Made`."""
        name = f"{build.id}.tree"
        (self._directory / name).hardlink_to(tree)
        return name

    def delete(self, template: Registered) -> None:
        """It is gone, with its files."""
        del self.templates[template.id]
        for build in template.builds.values():
            self.forget(build)
        self.save()

    def save(self) -> None:
        """Write down what there is, whole or not at all."""
        if self._durable:
            but = {"__all__": {"builds": {"__all__": {"log", "said"}}}}
            store(self._index, dict[str, Registered], self.templates, but)

    def trim(self, template: Registered) -> None:
        """Let go of builds that no tag means any more, but the newest."""
        meant = {build_id for build_id, _ in template.tags.values()} | {template.newest.id}
        for build in list(template.builds.values()):
            if build.id not in meant and build.status in (READY, FAILED):
                self.forget(build)
                del template.builds[build.id]

    def forget(self, build: Build) -> None:
        """Its files go."""
        if build.made is not None and build.made.tree:
            (self._directory / build.made.tree).unlink(missing_ok=True)
