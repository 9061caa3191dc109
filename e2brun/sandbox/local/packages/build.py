"""What fills a package layer: checked requirements, as wheels, compiled."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from e2brun.errors import UsageError
from e2brun.sandbox.contract import Room
from e2brun.sandbox.local.interpreter import Interpreter
from e2brun.sandbox.local.isolation.driver import CELLS_DIRECTORY
from e2brun.sandbox.local.packages import bytecode, fonts, wheels
from e2brun.sandbox.local.packages.pruning import note_written
from e2brun.sandbox.local.packages.store import Store, locked, make_directory
from e2brun.sandbox.local.packages.tree import check
from e2brun.sandbox.local.packages.uv_watch import Bounds, shown, spare, too_large
from e2brun.sandbox.requirement import divided, parse_requirement


@dataclass
class LayerBuild:
    """The making of one layer; `start`: the packages of another are in it as well."""

    cache_dir: Path
    requirements: Sequence[str]
    interpreter: Interpreter
    environment: Mapping[str, str] | None
    room: Room
    start: Path | None = None
    _written: int = 0  # bytes

    def run(self, store: Store, key: str, timeout: float) -> Path:
        """The layer, made by us or by whoever did while we waited."""
        check_requirements(self.requirements)
        try:
            return store.make(key, "packages", timeout, self._fill)
        finally:
            if self._written:
                note_written(self.cache_dir, self._written, self.room.cache)

    def _fill(self, packages: Path, lock: int, deadline: float) -> None:
        cache = self.cache_dir.absolute() / "uv"
        make_directory(cache)
        spare(self.cache_dir)
        if self.start is not None:
            _link_tree(self.start, packages)
        if self.requirements:
            what = self.requirements, self.interpreter.executable, packages, cache
            bounds = Bounds(self.room.layer)
            job = wheels.Job(*what, self.environment, lock, deadline, bounds)
            try:
                with locked(self.cache_dir, "uv", deadline, how=fcntl.LOCK_SH):
                    wheels.install(job)
            finally:
                self._written += job.written
        self._written += self._finish(packages, deadline)

    def _finish(self, packages: Path, deadline: float) -> int:
        """Check what came out of the archives, and compile it; the bytes of it all."""
        (packages / ".lock").unlink(missing_ok=True)  # uv's, writable for everybody
        size = check(packages)
        if size.bytes > self.room.layer:
            raise too_large(f"more than {shown(self.room.layer)}")
        # For a sandbox that has IPython beside this; site(7) passes over what is not there. A file
        # of that name would be a link to uv's.
        beside = packages / "e2brun-cells.pth"
        beside.unlink(missing_ok=True)
        beside.write_text(f"{CELLS_DIRECTORY}\n")
        beside.chmod(0o644)
        room = min(self.room.layer - size.bytes, spare(self.cache_dir))
        compiled = bytecode.compile_layer(packages, self.interpreter, room, deadline)
        return size.bytes + compiled + fonts.keep_font_list(packages, self.interpreter, deadline)


def check_requirements(requirements: Sequence[str]) -> None:
    """Let names with versions through, and nothing that could make uv build or read a path."""
    for text in divided(requirements)[0]:
        requirement = parse_requirement(text)
        if requirement.url is not None:
            raise UsageError(
                f"{requirement.name}: a package from a URL or path cannot be installed in the "
                "embedded sandbox",
                hint="Name a package that the registry has a wheel of.",
            )


def _link_tree(source: Path, target: Path) -> None:
    """The files of `source` in `target` as well: no copies where the file system lets us."""
    for directory, _, names in os.walk(source):
        place = target / os.path.relpath(directory, source)
        make_directory(place)
        for name in names:
            try:
                os.link(f"{directory}/{name}", place / name)
            except OSError:  # somebody else's (fs.protected_hardlinks), or linked too often
                shutil.copy2(f"{directory}/{name}", place / name)
