"""Building one package layer: checked requirements, one builder at a time, an atomic rename."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from e2brun.errors import InstallFailed, UsageError
from e2brun.sandbox.local import wheels
from e2brun.sandbox.local.jail import CELLS_DIRECTORY
from e2brun.sandbox.local.layer_store import link_tree, locked, make_directory, sweep
from e2brun.sandbox.requirement import parse_requirement


@dataclass(frozen=True)
class LayerBuild:
    """The making of the layer `key`; a build that dies leaves nothing taken for a layer."""

    cache_dir: Path
    key: str
    environment: Mapping[str, str] | None
    timeout: float
    store: str = "layers"
    start: Path | None = None  # a layer whose files are in this one as well

    def run(self, requirements: Sequence[str], executable: str) -> Path:
        """The finished layer, ours or that of whoever built it while we waited."""
        check_requirements(requirements)
        deadline = time.monotonic() + self.timeout
        try:
            make_directory(self.cache_dir / self.store)
            make_directory(self.cache_dir / "building")
            with locked(self.cache_dir, self.key, deadline) as lock:
                return self._build(requirements, executable, lock, deadline)
        except TimeoutError:
            raise InstallFailed(
                f"packages could not be installed within {self.timeout:g} s"
            ) from None
        except OSError as error:
            where = error.filename or self.cache_dir
            raise InstallFailed(
                f"packages cannot be kept in {where}: {error.strerror or error}",
                hint="Name a directory that can be written to in E2BRUN_CACHE_DIR.",
            ) from error

    def _build(
        self, requirements: Sequence[str], executable: str, lock: int, deadline: float
    ) -> Path:
        layer = self.cache_dir / self.store / self.key
        sweep(self.cache_dir, held=self.key)
        if layer.is_dir():
            return layer
        directory = Path(
            tempfile.mkdtemp(prefix=f"{self.key}.", dir=(self.cache_dir / "building").absolute())
        )
        try:
            target = directory / "layer"
            target.mkdir()
            if self.start is not None:
                link_tree(self.start, target)
            if requirements:
                job = wheels.Job(
                    requirements, executable, target, self.cache_dir.absolute() / "uv", lock
                )
                wheels.install(job, self.environment, deadline)
            # For a sandbox that has IPython beside this; site(7) passes over what is not there.
            beside = target / "e2brun-cells.pth"
            if not beside.exists():  # that of `start`, which others read meanwhile
                beside.write_text(f"{CELLS_DIRECTORY}\n")
                beside.chmod(0o644)
            (target / ".lock").unlink(missing_ok=True)  # uv's, writable for everybody
            target.chmod(0o755)
            os.rename(target, layer)
        finally:
            shutil.rmtree(directory, ignore_errors=True)
        return layer


def check_requirements(requirements: Sequence[str]) -> None:
    """Let names with versions through, and nothing that could make uv build or read a path."""
    for text in requirements:
        requirement = parse_requirement(text)
        if requirement.url is not None:
            raise UsageError(
                f"{requirement.name}: a package from a URL or path cannot be installed in the "
                "embedded sandbox",
                hint="Name a package that the registry has a wheel of.",
            )
