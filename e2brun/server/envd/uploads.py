"""One file on its way into a sandbox: in a message while it is small, else through a pipe."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping

from e2brun.sandbox.local.host.descriptors import write_all
from e2brun.sandbox.local.host.file_worker import (
    INLINE_LIMIT,
    PATIENCE,
    STUCK,
    FileTrouble,
    FileWorker,
    WorkerCall,
)
from e2brun.sandbox.local.host.streams import pipe
from e2brun.server.envd import paths
from e2brun.server.envd.entries import text_map
from e2brun.server.http.messages import ApiError

METADATA_HEADER = "x-metadata-"
_KEY_LIMIT, _METADATA_LIMIT = 246, 4096
_VALUE_LIMIT = 1000  # of any attribute inside (`isolation.seccomp`)


class Upload:
    """Feed it, then `finish`; or `abandon` it."""

    def __init__(self, files: FileWorker, path: str, metadata: Mapping[str, str]) -> None:
        self.path = path
        self._files = files
        self._raw, self._metadata = os.fsencode(path), dict(metadata)
        self._buffer = bytearray()
        self._pipe = -1
        self._call: WorkerCall | None = None

    @property
    def begun(self) -> bool:
        """Whether what was there is no more."""
        return self._call is not None

    async def feed(self, data: bytes) -> None:
        """More of it. Raises FileTrouble, SandboxLost."""
        if self._call is None and len(self._buffer) + len(data) <= INLINE_LIMIT:
            self._buffer += data
            return
        if self._call is None:
            await self._open()
            data = bytes(self._buffer) + data
            self._buffer.clear()
        try:
            await write_all(self._pipe, data, STUCK)
        except BrokenPipeError:
            await self._answer(PATIENCE)  # says why
            raise FileTrouble(errno.EIO) from None
        except TimeoutError:
            raise FileTrouble(errno.EIO, "the sandbox took nothing for a minute") from None

    async def finish(self) -> dict[str, object]:
        """It is complete: what the client is told. Raises FileTrouble, SandboxLost."""
        if self._call is None:
            answer = await self._files.ask(
                "write", path=self._raw, metadata=self._metadata, data=bytes(self._buffer)
            )
            kept = text_map(answer.value)
        else:
            self._hang_up()
            kept = await self._answer(STUCK)
        shown = paths.shown(self.path)
        told: dict[str, object] = {"name": paths.name(shown), "path": shown, "type": "file"}
        return {**told, "metadata": kept} if kept else told

    def abandon(self) -> None:
        """Whatever has come of it stays."""
        self._hang_up()
        if self._call is not None:
            self._call.close()

    async def _open(self) -> None:
        read, write = pipe()
        os.set_blocking(write, False)
        self._pipe = write
        try:
            self._call = await self._files.begin(
                "receive", [read], path=self._raw, metadata=self._metadata
            )
        except BaseException:
            self._hang_up()
            raise
        finally:
            os.close(read)

    async def _answer(self, patience: float) -> dict[str, str]:
        if self._call is None:
            return {}
        return text_map((await self._files.outcome(self._call, patience)).value)

    def _hang_up(self) -> None:
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1


def metadata_of(headers: Mapping[str, str]) -> dict[str, str]:
    """What the X-Metadata- headers say. Raises ApiError 400."""
    found = {
        name[len(METADATA_HEADER) :]: value
        for name, value in headers.items()
        if name.startswith(METADATA_HEADER)
    }
    for key, value in found.items():
        if not key or not (key + value).isascii() or not (key + value).isprintable():
            raise ApiError(400, "metadata must be printable ASCII")
        if len(key) > _KEY_LIMIT:
            raise ApiError(400, f"a metadata key must not be longer than {_KEY_LIMIT} bytes")
        if len(value) > _VALUE_LIMIT:
            raise ApiError(400, f"a metadata value must not be longer than {_VALUE_LIMIT} bytes")
    if sum(len(key) + len(value) for key, value in found.items()) > _METADATA_LIMIT:
        raise ApiError(400, f"metadata must not be longer than {_METADATA_LIMIT} bytes")
    return found
