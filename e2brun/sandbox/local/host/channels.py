"""The ends of a program's pipes, or of its terminal, that the service holds."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable

from e2brun.sandbox.local.host.descriptors import Watched
from e2brun.sandbox.local.host.streams import PIPE_SIZE

_CHUNK = 64 * 1024


class BrokenChannel(Exception):
    """What was written cannot arrive any more."""


class PipeReader:
    """Calls `on_data` with what can be read, `on_end` once at the end, and closes."""

    def __init__(
        self, descriptor: int, on_data: Callable[[bytes], None], on_end: Callable[[], None]
    ) -> None:
        self._descriptor = descriptor
        self._on_data, self._on_end = on_data, on_end
        self._loop = asyncio.get_running_loop()
        self._paused = True
        self.resume()

    @property
    def open(self) -> bool:
        return self._descriptor >= 0

    def pause(self) -> None:
        if not self._paused:
            self._paused = True
            self._loop.remove_reader(self._descriptor)

    def resume(self) -> None:
        if self._paused and self._descriptor >= 0:
            self._paused = False
            self._loop.add_reader(self._descriptor, self._read)

    def drain(self) -> None:
        """Read what is there now, and no more than a pipe can hold."""
        for _ in range(PIPE_SIZE // _CHUNK + 1):
            if self._descriptor < 0 or not self._read():
                return

    def close(self) -> None:
        """Close it; nobody is told."""
        if self._descriptor >= 0:
            self.pause()
            os.close(self._descriptor)
            self._descriptor = -1

    def _read(self) -> bool:
        try:
            data = os.read(self._descriptor, _CHUNK)
        except BlockingIOError:
            return False
        except OSError:  # EIO: nobody has the terminal open any more
            data = b""
        if data:
            self._on_data(data)
        else:
            self.close()
            self._on_end()
        return bool(data)


class PipeWriter:
    """Writes in order, waiting for room; one caller at a time."""

    def __init__(self, descriptor: int) -> None:
        self._watched = Watched(descriptor)
        self._turn = asyncio.Lock()

    @property
    def open(self) -> bool:
        return self._watched.descriptor >= 0

    async def write(self, data: bytes) -> None:
        """Write all of it. Raises BrokenChannel when nobody can read it any more."""
        async with self._turn:
            rest = memoryview(data)
            while rest:
                if self._watched.descriptor < 0:
                    raise BrokenChannel("it is closed")
                try:
                    rest = rest[os.write(self._watched.descriptor, rest) :]
                except BlockingIOError:
                    await self._watched.writable()
                except OSError as error:
                    name = errno.errorcode.get(error.errno or 0, "")
                    raise BrokenChannel(f"{error.strerror} ({name})") from None

    def close(self) -> None:
        """Close it; whoever waits for room gets BrokenChannel."""
        if (descriptor := self._watched.forget()) >= 0:
            os.close(descriptor)
