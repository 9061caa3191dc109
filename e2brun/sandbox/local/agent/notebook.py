"""The Python of a code-interpreter context: IPython's shell, and the session that serves cells.
Imports nothing of either before it is asked to."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_PACKAGE = "_cells"  # the siblings' private package; `contexts` takes it out of sight again
_prepared: list[Any] = []


def prepare() -> None:
    """Import IPython and make its shell, once, in the process that contexts are forked from.

    Leaves no thread and nothing a user could see behind. Raises ImportError without IPython.
    """
    if not _prepared:
        shells = _module("notebook_shell")
        shell = shells.new_shell()
        shells.warm_up(shell)
        _prepared.append(shell)
        _module("notebook_session")


def server() -> Callable[[int, int], None]:
    """What serves cells; all of our modules it needs are imported when this returns."""
    shells: Any = _module("notebook_shell")
    sessions: Any = _module("notebook_session")

    def serve(cells_fd: int, frames_fd: int) -> None:
        """Run cells from one descriptor and tell what became of them on the other.

        Raises ImportError without IPython.
        """
        if _prepared:
            shell = _prepared.pop()
            sys.path.insert(0, "")
            shells.rehearse(shell)
        else:
            shell = shells.new_shell()
            sys.path.insert(0, "")
        sessions.serve(shell, cells_fd, frames_fd)

    return serve


def _module(name: str) -> Any:
    package = sys.modules.get(_PACKAGE)
    if package is None:
        package = type(sys)(_PACKAGE)
        package.__path__ = [os.path.dirname(os.path.abspath(__file__))]
        sys.modules[_PACKAGE] = package
    return __import__(f"{_PACKAGE}.{name}", fromlist=["*"])
