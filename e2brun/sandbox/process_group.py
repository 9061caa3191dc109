"""Programs of this machine, each started as the leader of a process group, and how they end."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress

GRACE = 2.0  # seconds between TERM and KILL
# Python that runs before a program, in its process, with our pid as its first argument: it dies
# with us even if we are killed with SIGKILL, which a preexec_fn could do only at the risk of a
# deadlock in a process that has threads.
TIED_TO_US = """
import os, sys
try:
    import ctypes
    ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL
except Exception:
    pass
if os.getppid() != int(sys.argv[1]):
    sys.exit(1)
"""


def end_group(process: subprocess.Popen[bytes]) -> None:
    """TERM, a grace, KILL: also to what the program started and left behind."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
