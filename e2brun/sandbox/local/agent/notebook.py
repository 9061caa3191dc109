"""The Python of a code-interpreter context: IPython where the template has it, else our own
cell runner. Imports nothing of either before it is asked to."""

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
        _prepared.append(_module("notebook_shell").new_shell())
        _module("notebook_session")
        _module("session")


def server() -> Callable[[int, int], None]:
    """What serves cells; all of our modules it needs are imported when this returns."""
    plain: Any = _module("session")
    shells: Any = _module("notebook_shell")
    sessions: Any = _module("notebook_session")

    def serve(cells_fd: int, frames_fd: int) -> None:
        """Run cells from one descriptor and tell what became of them on the other."""
        shell = _prepared.pop() if _prepared else _new_shell(shells)
        sys.path.insert(0, "")
        if shell is None:
            plain.serve(cells_fd, frames_fd)
        else:
            shells.rehearse(shell)
            sessions.serve(shell, cells_fd, frames_fd)

    return serve


def _new_shell(shells: Any) -> Any:
    try:
        return shells.new_shell()
    except ImportError:
        return None


def _module(name: str) -> Any:
    package = sys.modules.get(_PACKAGE)
    if package is None:
        package = type(sys)(_PACKAGE)
        package.__path__ = [os.path.dirname(os.path.abspath(__file__))]
        sys.modules[_PACKAGE] = package
    return __import__(f"{_PACKAGE}.{name}", fromlist=["*"])
