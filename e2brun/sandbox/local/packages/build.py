"""Building one package layer: checked requirements, one builder at a time, an atomic rename."""

from __future__ import annotations

import fcntl
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from e2brun.errors import InstallFailed, UsageError
from e2brun.sandbox.contract import Room
from e2brun.sandbox.local.interpreter import Interpreter
from e2brun.sandbox.local.isolation.driver import CELLS_DIRECTORY
from e2brun.sandbox.local.packages import bytecode, fonts, wheels
from e2brun.sandbox.local.packages.pruning import note_written
from e2brun.sandbox.local.packages.store import (
    link_tree,
    locked,
    make_directory,
    publish,
    sweep,
    unkept,
)
from e2brun.sandbox.local.packages.tree import check, remove
from e2brun.sandbox.local.packages.use import LAYERS, PACKAGES, complete, ours
from e2brun.sandbox.local.packages.uv_watch import Bounds, shown, spare, too_large
from e2brun.sandbox.requirement import divided, parse_requirement


@dataclass(frozen=True)
class LayerBuild:
    """The making of the layer `key`; a build that dies leaves nothing taken for a layer."""

    cache_dir: Path
    key: str
    environment: Mapping[str, str] | None
    timeout: float
    room: Room
    store: str = LAYERS
    start: Path | None = None  # packages of a layer that are in this one as well

    def run(self, requirements: Sequence[str], interpreter: Interpreter) -> None:
        """See to it that the layer is there, made by us or by whoever did while we waited."""
        check_requirements(requirements)
        deadline = time.monotonic() + self.timeout
        try:
            for name in (self.store, "building", "uv"):
                make_directory(self.cache_dir / name)
            if not ours(str(self.cache_dir / self.store)):
                raise InstallFailed(
                    f"packages are not kept in {self.cache_dir}: others can write to it",
                    hint="Name a directory of your own in E2BRUN_CACHE_DIR.",
                )
            with locked(self.cache_dir, self.key, deadline) as lock:
                self._build(requirements, interpreter, lock, deadline)
        except TimeoutError:
            raise InstallFailed(
                f"packages could not be installed within {self.timeout:g} s",
                hint="Allow more with --install-timeout or E2BRUN_INSTALL_TIMEOUT.",
            ) from None
        except OSError as error:
            raise unkept("packages", self.cache_dir, error) from error

    def _build(
        self, requirements: Sequence[str], interpreter: Interpreter, lock: int, deadline: float
    ) -> None:
        sweep(self.cache_dir, held=self.key)
        if complete(f"{self.cache_dir}/{self.store}/{self.key}"):
            return
        spare(self.cache_dir)
        directory = Path(
            tempfile.mkdtemp(prefix=f"{self.key}.", dir=(self.cache_dir / "building").absolute())
        )
        layer = directory / "layer"
        make_directory(layer / PACKAGES)
        cache = self.cache_dir.absolute() / "uv"
        job = wheels.Job(
            requirements,
            interpreter.executable,
            layer / PACKAGES,
            cache,
            lock,
            Bounds(self.room.layer),
        )
        try:
            if self.start is not None:
                link_tree(self.start, layer / PACKAGES)
            if requirements:
                with locked(self.cache_dir, "uv", deadline, how=fcntl.LOCK_SH):
                    wheels.install(job, self.environment, deadline)
            job.written += self._finish(layer, interpreter, deadline)
            publish(self.cache_dir / self.store / self.key, layer)
        finally:
            remove(directory)
            note_written(self.cache_dir, job.written, self.room.cache)

    def _finish(self, layer: Path, interpreter: Interpreter, deadline: float) -> int:
        """Check what came out of the archives, and compile it; the bytes of it all."""
        packages = layer / PACKAGES
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
        compiled = bytecode.compile_layer(packages, interpreter, room, deadline)
        return size.bytes + compiled + fonts.keep_font_list(packages, interpreter, deadline)


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
