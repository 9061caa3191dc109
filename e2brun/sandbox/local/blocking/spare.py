"""A sandbox that is born before somebody asks for it, as the one before it was asked for.

Who runs one piece of code after another waits for no birth: the next is done on another
core meanwhile. No code has been in it. Where nobody asks it ends by itself, inside,
so that here is no clock to be kept; what it is asked for after that time it is not given.
"""

from __future__ import annotations

import select
from time import monotonic
from typing import TYPE_CHECKING

from e2brun.sandbox.local.host.control import Control
from e2brun.sandbox.local.isolation.driver import new_id

if TYPE_CHECKING:
    from e2brun.sandbox.local.isolation.driver import Driver, Jail, Jailed

_PATIENCE = 5.0  # seconds


class Spare:
    """One that waits, unless it has ended by now."""

    def __init__(self, driver: Driver, jail: Jail, patience: float = _PATIENCE) -> None:
        """Like `jail`, but another. Raises SandboxUnavailable."""
        self.jail = jail.but(sandbox_id=new_id())
        self._control = Control()
        self._jailed = self._control.start(driver, self.jail)
        self._control.request("deadline", seconds=patience, leave=True)
        # Half of its time, which began later: it will not leave while it is being taken.
        self._until = monotonic() + patience / 2

    def fits(self, jail: Jail) -> bool:
        """Whether it can be had in place of this one."""
        if monotonic() > self._until or jail.but(sandbox_id=self.jail.sandbox_id) != self.jail:
            return False
        looking = select.poll()
        looking.register(self._control.descriptor, select.POLLIN)
        return not any(events & select.POLLHUP for _, events in looking.poll(0))

    def take(self) -> tuple[Control, Jailed]:
        """It is the caller's now. Raises SandboxLost."""
        self._control.request("deadline", seconds=0)
        return self._control, self._jailed

    def end(self) -> None:
        """Nobody wants it."""
        self._jailed.end()
        self._control.close()
        self._jailed.reap()
