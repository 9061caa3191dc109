"""What was written in one sandbox comes back in another, links and holes and all."""

from __future__ import annotations

import asyncio
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from io import FileIO
from pathlib import Path

import pytest

from e2brun.sandbox.contract import MIB, Limits
from e2brun.sandbox.local.host import trees
from e2brun.sandbox.local.host.file_worker import FileTrouble, FileWorker
from e2brun.sandbox.local.host.streams import in_pipe
from e2brun.sandbox.local.interpreter import current_interpreter
from e2brun.sandbox.local.isolation.driver import Jail, new_id
from tests.server.inside import living, python

pytestmark = pytest.mark.anyio
_LIMITS = Limits()

MAKE = r"""
import os, socket
os.chdir("/home/user")
os.makedirs("d/closed")
open("d/f", "w").write("text")
os.chmod("d/f", 0o640)
os.utime("d/f", (1, 2))
os.link("d/f", "hard")
os.symlink("d/f", "soft")
os.symlink("nowhere", "broken")
os.mkfifo("pipe")
os.setxattr("d/f", "user.e2b.key", b"value")
open(b"bad\xff\nname", "w").write("odd")
with open("sparse", "wb") as file:
    file.truncate(400 << 20)
    file.seek(300 << 20)
    file.write(b"island")
socket.socket(socket.AF_UNIX).bind("sock")
open("/tmp/t", "w").write("tmp")
open("d/closed/in", "w").close()
os.chmod("d/closed", 0o500)
os.utime("d", (3, 4))
"""
CHECK = r"""
import os, stat
os.chdir("/home/user")
facts = os.stat("d/f")
assert open("d/f").read() == "text"
assert stat.S_IMODE(facts.st_mode) == 0o640 and facts.st_mtime == 2 and facts.st_nlink == 2
assert os.path.samefile("d/f", "hard")
assert os.readlink("soft") == "d/f" and os.readlink("broken") == "nowhere"
assert stat.S_ISFIFO(os.lstat("pipe").st_mode)
assert os.getxattr("d/f", "user.e2b.key") == b"value"
assert open(b"bad\xff\nname").read() == "odd"
assert os.stat("sparse").st_size == 400 << 20 and os.stat("sparse").st_blocks < 1000
with open("sparse", "rb") as file:
    file.seek(300 << 20)
    assert file.read(7) == b"island\0"
assert not os.path.lexists("sock")
assert open("/tmp/t").read() == "tmp"
assert stat.S_IMODE(os.stat("d/closed").st_mode) == 0o500 and os.listdir("d/closed") == ["in"]
assert os.stat("d").st_mtime == 4
"""


def _jail(limits: Limits = _LIMITS) -> Jail:
    return Jail(new_id(), current_interpreter(), limits, service=True)


async def test_a_tree_comes_back_as_it_was(tmp_path: Path) -> None:
    kept = tmp_path / "tree"
    async with living(_jail()) as source:
        await python(source, MAKE)
        await source.freeze()  # no process runs, and the files are read all the same
        await trees.save(source, kept)
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert kept.stat().st_size < MIB
    async with living(_jail()) as target:
        await trees.restore(target, kept)
        await python(target, CHECK)


async def test_a_tree_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    kept = tmp_path / "tree"
    async with living(_jail()) as source:
        await python(source, "open('/home/user/f', 'wb').write(bytes(40 << 20))")
        await trees.save(source, kept)
    async with living(_jail(Limits(disk=16 * MIB))) as target:
        with pytest.raises(trees.TreeLost, match="No space left"):
            await trees.restore(target, kept)


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xff\xff\xffjunk", b"\0\0\0\x04null", b"\0\0\0\2{}"]
)
async def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "tree").write_bytes(content)
    async with living(_jail()) as target:
        with pytest.raises(trees.TreeLost):
            await trees.restore(target, tmp_path / "tree")
        with pytest.raises(FileTrouble):  # and the worker still answers
            await target.part(FileWorker).ask("stat", path=b"/nowhere")


async def test_a_failed_save_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trees, "_SLACK", -(512 - 1) * MIB)
    async with living(_jail()) as source:
        await python(source, "open('/home/user/f', 'wb').write(bytes(4 << 20))")
        with pytest.raises(trees.TreeLost, match="larger than its disk"):
            await trees.save(source, tmp_path / "tree")
    assert not (tmp_path / "tree").exists()


async def test_files_that_are_moved_slowly_keep_no_other_work_waiting(tmp_path: Path) -> None:
    """What limits everybody's memory is looked at in threads of the same pool."""
    disk = tmp_path / "disk"
    os.mkfifo(disk)  # whose reader does not read: it takes what a pipe holds
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    with FileIO(os.open(disk, os.O_RDWR)) as reader:
        async with living(_jail()) as source:
            await python(source, "open('/home/user/f', 'wb').write(bytes(4 << 20))")
            saving = asyncio.ensure_future(trees.save(source, disk))
            while not in_pipe(reader.fileno()):
                await asyncio.sleep(0.01)
            async with asyncio.timeout(30):
                await asyncio.to_thread(int)
            saving.cancel()
            await asyncio.gather(saving, return_exceptions=True)
