"""Sandboxes that are used for several cases, one after the other.

What a case leaves in one (files, packages, processes) is there for the next: only for programs
that may know of each other. One in which a run did not come to an end of its own is not used again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic
from typing import Any, cast

from e2brun.sandbox.contract import Backend, Execution, Outcome, Program, Sandbox, SandboxSpec

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
                return cast("Sandbox", found)
            found.real.kill()
        lifetime = max(_LIFETIME, needed)
        real = self._backend.create(spec.but(lifetime=lifetime))
        return cast("Sandbox", Reused(real, kind, monotonic() + lifetime, self._give_back))

    def close(self) -> None:
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

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def run_program(self, program: Program, **how: Any) -> Execution:
        return self._judged(lambda: self.real.run_program(program, **how))

    def run_cell(self, code: str, **how: Any) -> Execution:
        return self._judged(lambda: self.real.run_cell(code, **how))

    def kill(self) -> None:
        self._give_back(self)

    def _judged(self, run: Callable[[], Execution]) -> Execution:
        self.is_good = False  # unless this ends well
        execution = run()
        self.is_good = execution.outcome in _GOOD_ENDS
        return execution
