"""The operation that starts a file worker: files are worked on beside pid 1, which never waits.

The worker is no more dumpable than pid 1, so nothing inside can read its memory or take its
descriptors; killing it is all that can be done to it, and then the host starts another.
"""

from __future__ import annotations

import errno
import os

from ..child import exit_code
from . import worker

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from typing import Any, NoReturn
else:
    import _signal

_CHANNEL = 3


def files(agent: Any, request: dict[str, Any], descriptors: list[int]) -> None:
    """Fork a worker that serves the socket `descriptors[0]` until its other end is closed."""
    pid = os.fork()
    if pid == 0:
        _work(descriptors[0], agent.first_files)
    agent.programs[pid] = request["id"]
    agent.tell("started", request["id"], pid)


def restore(agent: Any, request: dict[str, Any], descriptors: list[int]) -> None:
    """Replace all that can be written by the saved tree that comes through `descriptors[0]`."""
    number = request["id"]

    def told(status: int) -> None:
        code = exit_code(status)
        if code == 0:
            agent.tell("done", number)
        else:
            agent.tell("failed", number, max(code, 0), os.strerror(code) if code > 0 else "killed")

    pid = os.fork()
    if pid == 0:
        _restore(descriptors[0])
    agent.errands[pid] = told


def _restore(pipe: int) -> NoReturn:
    code = errno.EINVAL
    try:
        _signal.set_wakeup_fd(-1)
        from . import trees

        trees.restore({}, pipe)
        code = 0
    except OSError as error:
        code = min(error.errno or errno.EIO, 255)
    finally:
        os._exit(code)


def _work(channel: int, first_files: dict[str, bytes]) -> NoReturn:
    try:
        os.setsid()
        _signal.set_wakeup_fd(-1)
        _signal.signal(_signal.SIGCHLD, _signal.SIG_IGN)  # children of ours need no burial
        os.chdir("/")
        # The agent's own socket must not live on in here.
        os.dup2(channel, _CHANNEL, inheritable=False)
        os.closerange(_CHANNEL + 1, 1 << 20)
        worker.serve(_CHANNEL, first_files)
    finally:
        os._exit(0)
