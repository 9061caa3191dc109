"""The host's end of the broker of a directory of volumes (`volume_broker`)."""

from __future__ import annotations

import _socket
import asyncio
import marshal
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from e2brun.errors import SandboxUnavailable
from e2brun.sandbox.local.agent.descriptors import hand_over, received
from e2brun.sandbox.local.host import volume_broker
from e2brun.sandbox.local.isolation import rootfs
from e2brun.sandbox.local.isolation.driver import Jailed
from e2brun.sandbox.local.isolation.forking import fork_python
from e2brun.sandbox.local.isolation.launching import FIRST_WORDS, place

_SECONDS = 30.0
_LONGEST = 4096
_CODE = (
    b"import _socket, os, sys; host = _socket.socket(fileno=3); "
    b"sys.path.insert(0, host.recv(4096).decode()); os.fchdir(5); os.close(5); "
    b"from e2brun.sandbox.local.host import volume_broker; volume_broker.serve(host)"
)


class VolumeBroker:
    """Started when it is first asked for something; ends with the service."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._socket: _socket.socket | None = None
        self._jailed: Jailed | None = None
        self._asking = asyncio.Lock()

    def make(self, volume: str) -> None:
        """A new directory, of whom volumes belong to. Raises OSError."""
        self._directory.mkdir(0o700, exist_ok=True)
        path = self._directory / volume
        path.mkdir(0o755)
        if os.geteuid() == 0:
            os.chown(path, rootfs.OWNER_OF_MOUNTS, rootfs.OWNER_OF_MOUNTS)

    async def mount(self, volume: str) -> int:
        """A mount of it that can be put somewhere once; ours to close. Raises OSError,
        SandboxUnavailable."""
        return (await self._ask(volume_broker.PUT, volume))[0]

    async def work(self, volume: str, channel: int) -> None:
        """Have a worker whose root it is serve `channel`. Raises OSError, SandboxUnavailable."""
        await self._ask(volume_broker.WORK, volume, [channel])

    def close(self) -> None:
        """End it; its workers end as their channels are closed."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._jailed is not None:
            with suppress(ProcessLookupError):
                os.kill(self._jailed.launcher, signal.SIGKILL)
            self._jailed.reap()
            self._jailed = None

    async def _ask(self, what: str, volume: str, given: Sequence[int] = ()) -> list[int]:
        async with self._asking:
            if self._socket is None:
                self._socket = self._started()
            asked = asyncio.to_thread(self._asked, self._socket, (what, volume), given)
            return await asyncio.shield(asked)

    def _asked(
        self, keeping: _socket.socket, request: tuple[str, str], given: Sequence[int]
    ) -> list[int]:
        try:
            hand_over(keeping, [marshal.dumps(request)], given)
            answer, rights = received(keeping, _LONGEST, 1)
        except OSError:  # also one that takes too long
            answer, rights = b"", []
        if answer == volume_broker.READY:
            return rights
        number, _, text = answer.decode(errors="replace").partition(" ")
        if number.isdigit():
            raise OSError(int(number), text)
        raise self._failure()

    def _started(self) -> _socket.socket:
        directory = os.open(self._directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        ours, self._jailed = fork_python(_CODE, _become, directory)
        os.close(directory)
        ours.settimeout(_SECONDS)
        # Not as an argument, which other users of the machine can read.
        with suppress(OSError):  # it has failed, and complained
            ours.send(os.fsencode(Path(__file__).parents[4]))
        return ours

    def _failure(self) -> SandboxUnavailable:
        reason = self._jailed.complaint() if self._jailed is not None else ""
        self.close()
        return SandboxUnavailable(f"volumes cannot be used: {reason or 'their broker ended'}")


def _become(given: tuple[int, ...]) -> NoReturn:
    place(given)  # 2 the complaints, 3 the socket, 4 the code, 5 the directory
    os.execve(sys.executable, [sys.executable, *FIRST_WORDS], {})
