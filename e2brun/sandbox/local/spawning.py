"""Start sandboxes from a thread that lasts.

Linux sends the parent-death signal when the *thread* that forked ends (prctl(2),
PR_SET_PDEATHSIG), and bubblewrap's --die-with-parent is built on it: a sandbox started by a
worker thread would die with the worker.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

_lasting: list[ThreadPoolExecutor] = []


def in_lasting_thread(start: Callable[[], int]) -> int:
    """Call `start` in the main thread if that is ours, else in one kept for this."""
    threading = sys.modules.get("threading")  # not imported: there is but one thread
    if threading is None or threading.current_thread() is threading.main_thread():
        return start()
    from concurrent.futures import ThreadPoolExecutor

    if not _lasting:
        _lasting.append(ThreadPoolExecutor(1, "e2brun-spawn"))
    return _lasting[0].submit(start).result()
