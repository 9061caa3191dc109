"""Sandboxes that are used for several cases, one after the other.

What a case leaves in one (files, packages, processes) is there for the next: only for programs
that may know of each other. One in which a run did not come to an end of its own is not used again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from time import monotonic

from e2brun.sandbox.contract import (
    Backend,
    Execution,
    FileEntry,
    KernelSpec,
    Outcome,
    Program,
    Result,
    Sandbox,
    SandboxSpec,
    Sink,
    Upload,
)

_LIFETIME = 15 * 60.0  # seconds: of one that is forgotten, too
_GOOD_ENDS = (Outcome.OK, Outcome.ERROR)


class Reusing:
    """Of `backend`, those that were given back first."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.name = backend.name
        self._lock = threading.Lock()
        self._idle: list[Reused] = []

    def create(self, spec: SandboxSpec) -> Sandbox:
        """One that is like this and lives long enough, or a new one."""
        kind, needed = spec.but(lifetime=0.0, metadata={}), spec.lifetime
        while (found := self._taken(kind)) is not None:
            if found.end - monotonic() >= needed:
                found.is_good = True
                return found
            found.real.kill()
        lifetime = max(_LIFETIME, needed)
        real = self._backend.create(spec.but(lifetime=lifetime))
        return Reused(real, kind, monotonic() + lifetime, self._give_back)

    def close(self) -> None:
        """End them all."""
        with self._lock:
            self._idle.clear()
        self._backend.close()

    def _taken(self, kind: SandboxSpec) -> Reused | None:
        with self._lock:
            for number, one in enumerate(self._idle):
                if one.kind == kind:
                    return self._idle.pop(number)
        return None

    def _give_back(self, sandbox: Reused) -> None:
        if not sandbox.is_good:
            sandbox.real.kill()
            return
        with self._lock:
            self._idle.append(sandbox)


class Reused:
    """The `Sandbox` contract over another's; killing it gives it back."""

    def __init__(
        self, real: Sandbox, kind: SandboxSpec, end: float, give_back: Callable[[Reused], None]
    ) -> None:
        self.real, self.kind, self.end, self._give_back = real, kind, end, give_back
        self.is_good = True

    @property
    def id(self) -> str:
        return self.real.id

    @property
    def backend(self) -> str:
        return self.real.backend

    @property
    def template(self) -> str:
        return self.real.template

    def run_program(
        self, program: Program, *, timeout: float | None, stdout: Sink, stderr: Sink
    ) -> Execution:
        self.is_good = False  # unless this ends well
        execution = self.real.run_program(program, timeout=timeout, stdout=stdout, stderr=stderr)
        self.is_good = execution.outcome in _GOOD_ENDS
        return execution

    def run_cell(
        self,
        code: str,
        *,
        timeout: float | None,
        stdout: Sink,
        stderr: Sink,
        on_result: Callable[[Result], None] | None = None,
        kernel: KernelSpec | None = None,
    ) -> Execution:
        self.is_good = False
        execution = self.real.run_cell(
            code,
            timeout=timeout,
            stdout=stdout,
            stderr=stderr,
            on_result=on_result,
            kernel=kernel,
        )
        self.is_good = execution.outcome in _GOOD_ENDS
        return execution

    def write_files(self, files: Sequence[Upload]) -> None:
        self.real.write_files(files)

    def read_file(self, path: str) -> Iterator[bytes]:
        return self.real.read_file(path)

    def list_files(self, path: str) -> list[FileEntry]:
        return self.real.list_files(path)

    def install(self, requirements: Sequence[str]) -> None:
        self.real.install(requirements)

    def kill(self) -> None:
        self._give_back(self)

    def release(self) -> None:
        self.real.release()
