"""Programs of this machine, each started as the leader of a process group, and how they end."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress

GRACE = 2.0  # seconds between TERM and KILL


def end_group(process: subprocess.Popen[bytes]) -> None:
    """TERM, a grace, KILL: also to what the program started and left behind."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
