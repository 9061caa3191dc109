"""Stop everything in here at once, and let it go on later as if nothing had been."""

from __future__ import annotations

import os
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_stopped_before: set[int] = set()


def freeze(agent: Any, request: dict[str, Any], _descriptors: list[int]) -> None:
    """SIGSTOP to every process but pid 1 (kill(2), pid -1: none can escape by forking)."""
    _stopped_before.clear()
    _stopped_before.update(pid for pid in _processes() if _is_stopped(pid))
    try:  # contextlib is not imported in a bare agent
        os.kill(-1, signal.SIGSTOP)
    except ProcessLookupError:
        pass
    agent.tell("done", request["id"])


def thaw(agent: Any, request: dict[str, Any], _descriptors: list[int]) -> None:
    """SIGCONT to all that were not stopped before the freeze."""
    for pid in _processes():
        if pid not in _stopped_before:
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                continue
    agent.tell("done", request["id"])


def _processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and name != "1"]


def _is_stopped(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] == b"T"
    except OSError:
        return False
