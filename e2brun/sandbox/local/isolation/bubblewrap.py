"""The isolation driver behind which stands bubblewrap (0.8 or later).

What bubblewrap is given travels by descriptors: its arguments would be readable inside as
/proc/1/cmdline, its environment as /proc/1/environ.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from e2brun.errors import SandboxUnavailable
from e2brun.sandbox.local.isolation.driver import Jail, Jailed, Problem, on_path

if TYPE_CHECKING:
    from e2brun.sandbox.local.isolation.forking import Begun

INSTALL = "Install it: apt-get update && apt-get install -y bubblewrap"
OLDEST = (0, 8)


class Bubblewrap:
    """Builds sandboxes with `bwrap`, as root or as an ordinary user."""

    def __init__(self, executable: str | None = None) -> None:
        self.executable = executable or on_path("bwrap") or ""
        self._begun: Begun | None = None

    def problem(self) -> Problem | None:
        """Why it cannot work here, as far as can be told without starting one."""
        if sys.platform != "linux":
            return Problem("the embedded sandbox needs Linux", "Set E2B_API_KEY to run on E2B.")
        if not self.executable:
            return Problem("bubblewrap (bwrap) is not installed", INSTALL)
        return None

    def begin(self) -> None:
        """There will soon be a sandbox: have a process get ready for it. In a process without
        other threads; to be closed."""
        if self.problem() is None:
            from e2brun.sandbox.local.isolation.forking import Begun

            self._begun = Begun(self.executable)

    def start(self, jail: Jail, control: int) -> Jailed:
        if problem := self.problem():
            raise SandboxUnavailable(problem.what, hint=problem.remedy)
        if self._begun is not None:
            begun, self._begun = self._begun, None
            return begun.start(jail, control)
        from e2brun.sandbox.local.isolation.forking import fork

        return fork(self.executable, jail, control)

    def close(self) -> None:
        """Nobody needs what has begun."""
        if self._begun is not None:
            self._begun.close()
            self._begun = None
