"""The embedded backend, with faults where a test wants them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from e2brun.sandbox.contract import Backend, Sandbox, SandboxSpec
from e2brun.sandbox.local.backend import LocalBackend
from e2brun.settings import load_settings


class Watched:
    """The real backend behind `before`, called with how many sandboxes were asked for so far;
    it counts those that are alive."""

    name = "local"

    def __init__(self, real: Backend, before: Callable[[int], None] = lambda _: None) -> None:
        self._real, self._before = real, before
        self._lock = threading.Lock()
        self.asked = 0
        self.created: list[Sandbox] = []
        self.specs: list[SandboxSpec] = []

    def create(self, spec: SandboxSpec) -> Sandbox:
        with self._lock:
            self.asked += 1
            number = self.asked
        self._before(number)
        sandbox = self._real.create(spec)
        self.created.append(sandbox)
        self.specs.append(spec)
        return sandbox

    def close(self) -> None:
        self._real.close()


@contextmanager
def watched(_directory: Path, before: Callable[[int], None] = lambda _: None) -> Iterator[Watched]:
    cache = str(load_settings(None, None).cache_dir)  # IPython's layer is there already
    backend = Watched(LocalBackend(cache_directory=cache), before)
    try:
        yield backend
    finally:
        backend.close()


def processes_of(marker: str) -> list[int]:
    """The processes on this machine that have `marker` in their environment or arguments."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                said = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if marker.encode() in said:
                found.append(int(entry.name))
    return found
