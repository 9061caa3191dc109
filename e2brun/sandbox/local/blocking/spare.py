"""A sandbox that is born before somebody asks for it, as the one before it was asked for.

Who runs one piece of code after another waits for no birth, nor for the start of the interpreter
of its cells: the next is done on another core meanwhile. No code has been in it. Where nobody asks
it ends by itself, inside, so that here is no clock to be kept; what it is asked for after that time
it is not given.
"""

from __future__ import annotations

import select
from time import monotonic
from typing import TYPE_CHECKING

from e2brun.sandbox.contract import HOME, SandboxSpec
from e2brun.sandbox.local.agent.descriptors import ready
from e2brun.sandbox.local.host.control import Control
from e2brun.sandbox.local.isolation.driver import Driver, Jail, Jailed, new_id
from e2brun.sandbox.local.isolation.environment import environment_as_asked, resource_limits
from e2brun.sandbox.local.memory.cgroup import delegated

if TYPE_CHECKING:
    from e2brun.sandbox.local.blocking.cells import CellContext

_PATIENCE = 5.0  # seconds


class Spare:
    """One that waits, unless it has ended by now."""

    def __init__(
        self, driver: Driver, jail: Jail, spec: SandboxSpec, patience: float = _PATIENCE
    ) -> None:
        """Like `jail`, but another; `spec`: what it came of. Raises SandboxUnavailable."""
        self.jail = jail.but(sandbox_id=new_id())
        self._control = Control()
        self._jailed = self._control.start(driver, self.jail)
        self._control.request("deadline", seconds=patience, leave=True)
        # Half of its time, which began later: it will not leave while it is being taken.
        self._until = monotonic() + patience / 2
        self._context: CellContext | None = None
        # What others have written (a .pth file) is not begun while nobody looks at the memory; and
        # nothing where memory is counted by cgroup, which this is not in yet.
        if jail.notebook and spec.language is None and not spec.install and delegated() is None:
            try:
                self._context = self._python(environment_as_asked(self.jail, spec))
            except BaseException:
                self.end()
                raise

    def fits(self, jail: Jail) -> bool:
        if monotonic() > self._until or jail.but(sandbox_id=self.jail.sandbox_id) != self.jail:
            return False
        return not ready(self._control.descriptor, 0) & select.POLLHUP

    def _python(self, environment: dict[str, str]) -> CellContext:
        from e2brun.sandbox.local.blocking.cells import CellContext
        from e2brun.sandbox.local.host.languages import PYTHON, Language

        self._control.request("limit", limits=resource_limits(self.jail))
        return CellContext(self._control, self.jail, Language(PYTHON), HOME, environment)

    def take(self) -> tuple[Control, Jailed, CellContext | None]:
        """It is the caller's now, with what is to run its cells. Raises SandboxLost."""
        self._control.request("deadline", seconds=0)
        return self._control, self._jailed, self._context

    def end(self) -> None:
        self._jailed.end()
        if self._context is not None:
            self._context.close()
        self._control.close()
        self._jailed.reap()
