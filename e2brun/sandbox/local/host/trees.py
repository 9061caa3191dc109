"""Everything written in a service's sandbox, to a file of the host's and into another sandbox.
Packed and unpacked inside: the host moves bytes and looks into none."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from io import FileIO
from pathlib import Path

from e2brun.errors import SandboxError
from e2brun.sandbox.local.host.file_worker import FileTrouble, WorkerGone, fresh_worker
from e2brun.sandbox.local.host.running import RunningSandbox
from e2brun.sandbox.local.host.streams import StoodStill, pieces, pipe, pour
from e2brun.sandbox.threads import in_thread

_SLACK = 64 * 1024 * 1024  # names, times and attributes beside the content
_END_SECONDS = 60.0  # for what is still to do when all bytes have gone through
_DONE = {"save": "kept", "restore": "brought back", "unpack": "copied"}


class TreeLost(SandboxError):
    """The files of a sandbox could not be kept or brought back."""


async def save(live: RunningSandbox, path: Path) -> None:
    """Write its files to `path` (made anew, for our eyes only), also while it is frozen. Raises
    TreeLost, and then there is no such file; SandboxLost."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        await _transfer(live, file, "save", {})
    except BaseException:
        os.unlink(path)  # one quick call, as opening it was
        raise
    finally:
        os.close(file)


async def restore(live: RunningSandbox, path: Path) -> None:
    """Put the saved ones in place; nothing has run in it yet. Raises TreeLost, SandboxLost."""
    await _pour(live, path, "restore", {})


async def unpack(
    live: RunningSandbox, archive: Path, *, source: str, target: str, mode: int
) -> None:
    """Put `source` of a tar archive at `target`, see the agent's `unpacking`. Raises as above."""
    await _pour(live, archive, "unpack", {"source": source, "target": target, "mode": mode})


async def _pour(live: RunningSandbox, path: Path, do: str, fields: dict[str, object]) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        await _transfer(live, file, do, fields)
    finally:
        os.close(file)


async def _transfer(live: RunningSandbox, file: int, do: str, fields: dict[str, object]) -> None:
    read, write = pipe()
    saving = do == "save"
    try:
        with FileIO(read) as source, FileIO(write, "w") as sink:
            ours, theirs = (source, sink) if saving else (sink, source)
            # One of our own: all that ran before may be frozen.
            worker = await fresh_worker(live)
            try:
                call = await worker.begin(do, [theirs.fileno()], fields)
                theirs.close()
                if saving:
                    limit = live.jail.limits.disk + _SLACK
                    await _moved(partial(_keep, limit), ours.fileno(), file)
                else:
                    with suppress(BrokenPipeError):  # the worker's answer says why
                        await _moved(pour, file, ours.fileno())
                ours.close()
                await call.answer(_END_SECONDS)
            finally:
                worker.end()
    except (FileTrouble, WorkerGone) as trouble:
        raise TreeLost(f"the files could not be {_DONE[do]}: {trouble}") from None
    except (TimeoutError, StoodStill):
        raise TreeLost("the sandbox's files could not be moved: nothing came") from None


async def _moved(move: Callable[[int, int], None], source: int, sink: int) -> None:
    """In a thread of its own, with descriptors of its own: who is inside has a say in how long it
    takes, and when we are cancelled ours are closed, and their numbers soon another's."""
    own = os.dup(source), os.dup(sink)

    def work() -> None:
        try:
            move(*own)
        finally:
            for descriptor in own:
                os.close(descriptor)

    await in_thread(work, grace=0)


def _keep(limit: int, read: int, file: int) -> None:
    """Copy until the end. Raises StoodStill, TreeLost."""
    moved = 0
    with open(file, "wb", closefd=False) as sink:
        for piece in pieces(read):
            moved += len(piece)
            if moved > limit:
                raise TreeLost("the sandbox's files are larger than its disk")
            sink.write(piece)
