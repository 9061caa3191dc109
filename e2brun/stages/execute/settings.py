"""How candidates are run: what `e2brun exec` has options for, and what only a pipeline has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from e2brun.errors import UsageError
from e2brun.jobs.prepare import check_size
from e2brun.sandbox.contract import INSTALL_SECONDS, MIB
from e2brun.stages.work import MAIN
from e2brun.values import Network

if TYPE_CHECKING:
    from collections.abc import Callable

    from e2brun.primitives.base import AnyPrimitive
    from e2brun.primitives.cache_store import CacheStore


@dataclass(frozen=True)
class ExecuteSettings:
    """Times in seconds, sizes in bytes; texts may hold `{{variables}}` of the case.

    `files` are LOCAL[:REMOTE], relative to `directory` as `requirements` are; `inline_files` are
    {remote: content}. `get` names files and directories that go to `get_to`/<case>. A `cell` runs
    as in a notebook. `repeat`: so many fresh sandboxes, each of which has to do. `cache` keeps
    what went well for `cache_ttl`. `file` is the name of code that came without one.
    """

    timeout: float = 30.0
    cell: bool = False
    install: tuple[str, ...] = ()
    requirements: tuple[Path, ...] = ()
    auto_install: bool = False
    install_timeout: float = INSTALL_SECONDS
    files: tuple[str, ...] = ()
    with_imports: bool = False
    inline_files: Mapping[str, str | bytes] = field(default_factory=dict[str, "str | bytes"])
    directory: Path = Path()
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    template: str | None = None
    cwd: str | None = None
    args: tuple[str, ...] = ()
    stdin: str | None = None
    parameters: Mapping[str, object] = field(default_factory=dict[str, object])  # of notebooks
    memory: int = 512 * MIB
    processes: int = 64
    disk: int = 512 * MIB
    network: Network | None = None
    fetch: bool = True
    python: str | None = None
    get: tuple[str, ...] = ()
    get_to: Path | None = None
    max_get: int | None = None  # None: as much as `disk`
    max_output: int = 10 * MIB
    repeat: int = 1
    retry: Callable[..., AnyPrimitive] | None = None  # of a step, one that tries again after `on`
    cache: CacheStore | None = None
    cache_ttl: float = 3600.0
    file: str = MAIN

    def __post_init__(self) -> None:
        if self.cache is not None and self.repeat > 1:
            raise UsageError("execute: repeat and cache contradict each other")
        if self.cache is not None and self.get:
            raise UsageError("execute: get and cache contradict each other: files are not kept")
        check_size(self.args, self.env)
        if "" in (*self.files, *self.get, *self.inline_files, self.cwd, self.file):
            raise UsageError("execute: a file or directory has an empty name")
        if "/" in self.file or "\0" in self.file:
            raise UsageError(f"execute: {self.file!r} is no file name")
        if self.get_to is not None and ":" in str(self.get_to):
            raise UsageError(f"execute: {self.get_to}: a directory for files has no colon")
        for name, value in self.env.items():
            if not name or "=" in name or "\0" in name + value:
                raise UsageError(f"execute: {name!r} cannot be an environment variable")
