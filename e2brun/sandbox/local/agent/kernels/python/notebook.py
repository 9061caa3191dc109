"""The Python of a code-interpreter context: IPython's shell, and the session that serves cells.
Imports nothing of either before it is asked to."""

from __future__ import annotations

import gc
import sys

from ...descriptors import ready

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_prepared: list[Any] = []


def prepare() -> None:
    """Import IPython and make its shell, once, in the process that contexts are forked from. Leaves
    no thread and nothing a user could see behind. Raises ImportError without IPython."""
    if not _prepared:
        server()  # imports it for every fork
        from . import shell as shells

        shell = shells.new_shell()
        shells.warm_up(shell)
        _prepared.append(shell)


def server() -> Callable[[int, int], None]:
    """What serves cells; all of our modules it needs are imported when this returns."""
    from . import session as sessions
    from . import shell as shells

    def serve(cells_fd: int, frames_fd: int) -> None:
        """Run cells from one descriptor, telling the other. Raises ImportError: no IPython."""
        if _prepared:
            shell = _prepared.pop()
            sys.path.insert(0, "")
            if not ready(cells_fd, 0):  # else somebody waits for what comes of a cell
                shells.rehearse(shell)
        else:
            # IPython is no garbage: looking through it while it is imported is a twelfth of that,
            # and afterwards a tenth of `import pandas`.
            gc.disable()
            shell = shells.new_shell()
            gc.freeze()
            gc.enable()
            sys.path.insert(0, "")
        sessions.serve(shell, cells_fd, frames_fd)

    return serve
