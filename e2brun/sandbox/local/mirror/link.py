"""The way to the mirror's process, which is started for the first sandbox that wants packages. It
ends with us, however we end: its end of a socket pair says so."""

from __future__ import annotations

import _socket
import os
import sys
from _thread import allocate_lock
from collections.abc import Mapping
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from e2brun.errors import SandboxLost, SandboxUnavailable
from e2brun.sandbox.contract import Room
from e2brun.sandbox.local.agent.descriptors import hand_over

if TYPE_CHECKING:
    from subprocess import Popen

_BOOT = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from e2brun.sandbox.local.mirror.process import main; main(int(sys.argv[2]))"
)
_END_SECONDS = 5.0


class Mirror:
    """Has a process answer sandboxes."""

    def __init__(self, environment: Mapping[str, str] | None, room: Room) -> None:
        """`environment` is where indexes are named, None for ours; a sandbox may have as many
        bytes of archives as there is `room` for in a layer."""
        self._environment = environment
        self._most = (room.layer, room.layer // 4)  # in all, and one of them
        self._lock = allocate_lock()
        self._process: Popen[bytes] | None = None
        self._socket: _socket.socket | None = None

    def admit(self, listener: int) -> int:
        """Have it answer whoever connects to `listener`, which is closed, until the descriptor
        returned is closed. Raises SandboxError."""
        try:
            _check(listener)
            tied, lifeline = os.pipe2(os.O_CLOEXEC)
            try:
                self._send([listener, tied])
            except OSError as error:
                os.close(lifeline)
                raise SandboxUnavailable(f"--network packages: {error.strerror}") from error
            finally:
                os.close(tied)
            return lifeline
        finally:
            os.close(listener)

    def close(self) -> None:
        with self._lock:
            self._end()

    def _send(self, descriptors: list[int]) -> None:
        with self._lock:
            with suppress(OSError):  # it has died: another one takes its place
                if self._socket is not None:
                    hand_over(self._socket, [b"admit"], descriptors)
                    return
            self._end()
            hand_over(self._start(), [b"admit"], descriptors)

    def _start(self) -> _socket.socket:
        from subprocess import DEVNULL, Popen

        ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        here = os.path.dirname(os.path.abspath(__file__))
        package = here.removesuffix("/e2brun/sandbox/local/mirror")
        number = theirs.fileno()
        self._socket = ours
        with closing(theirs):
            self._process = Popen(
                # -P: what lies in the working directory is not to be imported.
                [sys.executable, "-P", "-c", _BOOT, package, str(number), *map(str, self._most)],
                env=None if self._environment is None else dict(self._environment),
                stdin=DEVNULL,
                stdout=DEVNULL,
                stderr=DEVNULL,
                pass_fds=(number,),
                start_new_session=True,
            )
        return ours

    def _end(self) -> None:
        if self._socket is not None:
            self._socket.close()
        if self._process is not None:
            from subprocess import TimeoutExpired

            try:
                self._process.wait(_END_SECONDS)
            except TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = self._socket = None


def _check(listener: int) -> None:
    """What the agent hands over is believed as little as what it says."""
    try:
        socket = _socket.socket(fileno=listener)
        kind = socket.family, socket.type
        socket.detach()
    except OSError:
        kind = None
    if kind != (_socket.AF_INET, _socket.SOCK_STREAM):
        raise SandboxLost("the sandbox's agent sent a malformed report")
