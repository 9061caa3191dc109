"""E2B's volumes: made, read and written by the SDK, and shared by the sandboxes that mount them."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO, StringIO
from typing import Any
from uuid import uuid4

import pytest
from e2b import AsyncSandbox, AsyncVolume, Sandbox, Volume
from e2b.exceptions import (
    NotFoundException,
    SandboxException,
    VolumeException,
    VolumeNotFoundException,
    VolumePathNotFoundException,
)

from tests.sdk.serving import Serving


@pytest.fixture
def volume(service: Serving) -> Iterator[Volume]:
    made = Volume.create(f"volume-{uuid4().hex[:8]}")
    yield made
    Volume.destroy(made.volume_id)


def test_a_volume_is_made_found_and_destroyed(service: Serving) -> None:
    name = f"Volume_{uuid4().hex[:8]}"
    made = Volume.create(name)
    assert made.token
    assert (made.volume_id, name) in [(one.volume_id, one.name) for one in Volume.list()]
    assert Volume.get_info(made.volume_id).token == made.token
    assert Volume.connect(made.volume_id).name == name
    with pytest.raises(VolumeException, match="already"):
        Volume.create(name)
    assert Volume.destroy(made.volume_id)
    assert not Volume.destroy(made.volume_id)
    with pytest.raises(VolumeNotFoundException):
        Volume.get_info(made.volume_id)
    with pytest.raises(NotFoundException):
        made.list("/")
    assert made.token not in service.log.read_text()


@pytest.mark.parametrize("name", ["", "vol name", "vol.name", "vol/a", "{x}", "x" * 200, "ü"])
def test_a_name_that_no_volume_can_have_is_refused(service: Serving, name: str) -> None:
    with pytest.raises((VolumeException, SandboxException)):
        Volume.create(name)


@pytest.mark.parametrize(
    "data", ["Hello, wörld", b"\x00\xff", BytesIO(b"x" * 200_000), StringIO("ö" * 9), ""], ids=type
)
def test_what_is_written_is_read_in_every_format(volume: Volume, data: Any) -> None:
    whole = data if isinstance(data, str | bytes) else data.getvalue()
    whole = whole.encode() if isinstance(whole, str) else whole
    written = volume.write_file("file.txt", data)
    assert (written.path, written.size, written.type.value) == ("/file.txt", len(whole), "file")
    assert volume.read_file("/file.txt", format="bytes") == whole
    assert b"".join(volume.read_file("/file.txt", format="stream")) == whole
    assert volume.read_file("file.txt") == whole.decode(errors="replace")


def test_a_file_is_replaced_only_by_force(volume: Volume) -> None:
    volume.write_file("/file", "first")
    with pytest.raises(VolumeException, match="exists"):
        volume.write_file("/file", "second")
    assert volume.read_file("/file") == "first"
    volume.write_file("/file", "second", force=True)
    assert volume.read_file("/file") == "second"
    volume.make_dir("/dir")
    with pytest.raises(VolumeException):
        volume.write_file("/dir", "x", force=True)
    with pytest.raises(NotFoundException):
        volume.write_file("/none/file", "x")
    with pytest.raises(NotFoundException):
        volume.write_file("/file/below", "x")


def test_owners_and_modes_are_told_as_they_were_given(volume: Volume) -> None:
    volume.write_file("/file", "x", uid=1000, gid=1001, mode=0o640)
    found = volume.get_info("/file")
    assert (found.uid, found.gid, found.mode) == (1000, 1001, 0o640)
    assert (found.name, found.path, found.size) == ("file", "/file", 1)
    now = datetime.datetime.now(datetime.UTC)
    for when in (found.atime, found.mtime, found.ctime):
        assert abs(now - when) < datetime.timedelta(minutes=10)
    changed = volume.update_metadata("/file", uid=0, mode=0o4700)
    assert (changed.uid, changed.gid, changed.mode) == (0, 1001, 0o700)
    made = volume.make_dir("/dir", uid=7, gid=8, mode=0o711)
    assert (made.type.value, made.uid, made.gid, made.mode) == ("directory", 7, 8, 0o711)
    volume.update_metadata("/file", mode=0)
    assert volume.read_file("/file") == "x"
    plain = volume.write_file("/plain", "x")
    assert plain.mode == 0o644
    with pytest.raises(NotFoundException):
        volume.update_metadata("/none", mode=0o644)


def test_directories_are_made_listed_and_removed(volume: Volume) -> None:
    with pytest.raises(NotFoundException):
        volume.make_dir("/deep/nested/dir")
    volume.make_dir("/deep/nested/dir", force=True)
    volume.write_file("/deep/nested/dir/file", "x")
    with pytest.raises(VolumeException, match="exists"):
        volume.make_dir("/deep")
    with pytest.raises(VolumeException):
        volume.make_dir("/deep/nested/dir/file/below", force=True)
    assert volume.make_dir("/deep/nested", force=True).path == "/deep/nested"
    assert [one.path for one in volume.list("/")] == ["/deep"]
    assert [one.path for one in volume.list("deep", depth=2)] == [
        "/deep/nested",
        "/deep/nested/dir",
    ]
    assert len(volume.list("/", depth=9)) == 4
    for missing in ("/none", "/deep/nested/dir/file"):
        with pytest.raises(VolumePathNotFoundException):
            volume.list(missing)
    for missing in ("/none", "/deep"):
        with pytest.raises(VolumePathNotFoundException):
            volume.read_file(missing)
    with pytest.raises(VolumePathNotFoundException):
        b"".join(volume.read_file("/none", format="stream"))
    assert volume.exists("/deep")
    volume.remove("/deep")
    assert not volume.exists("/deep")
    with pytest.raises(VolumePathNotFoundException):
        volume.remove("/deep")
    with pytest.raises(NotFoundException):
        volume.remove("/")


def test_two_sandboxes_see_each_others_writes(volume: Volume) -> None:
    volume.write_file("/from-sdk", "sdk")
    one = Sandbox.create("base", timeout=120, volume_mounts={"/mnt/data": volume})
    two = Sandbox.create("base", timeout=120, volume_mounts={"/home/user/data": volume.name})
    try:
        assert one.get_info().volume_mounts == [{"name": volume.name, "path": "/mnt/data"}]
        one.files.write("/mnt/data/dir/file", "one")
        assert two.files.read("data/dir/file") == "one"
        two.commands.run(
            "echo two >> data/dir/file; ln data/dir/file data/link; mv data/dir data/d"
        )
        assert one.files.read("/mnt/data/d/file") == "onetwo\n"
        assert volume.read_file("/link") == "onetwo\n"
        assert one.files.read("/mnt/data/from-sdk") == "sdk"
        ran = one.commands.run("id -un; rm /mnt/data/link; echo root > /mnt/data/r", user="root")
        assert ran.stdout == "root\n"
        assert two.commands.run("cat data/r; ls data").stdout == "root\nd\nfrom-sdk\nr\n"
        volume.update_metadata("/r", mode=0o755)
        assert one.commands.run("stat -c %a /mnt/data/r").stdout == "755\n"
    finally:
        one.kill()
        two.kill()
    assert volume.read_file("/r") == "root\n"


def test_a_volume_is_there_again_after_a_pause_and_in_forks_of_a_snapshot(volume: Volume) -> None:
    made = Sandbox.create("base", timeout=120, volume_mounts={"/data/here": volume})
    made.files.write("/data/here/file", "kept")
    made.files.write("/home/user/own", "own")
    for keep in (True, False):
        made.pause(keep_memory=keep)
        made.connect(timeout=120)
        assert made.files.read("/data/here/file") == "kept"
    snapshot = made.create_snapshot()
    volume.write_file("/file", "newer", force=True)
    made.kill()
    again = Sandbox.create(snapshot.snapshot_id, timeout=120)
    try:
        assert again.files.read("/data/here/file") == "newer"
        assert again.files.read("/home/user/own") == "own"
        again.pause(keep_memory=False)
        Volume.destroy(volume.volume_id)
        again.connect(timeout=120)
        assert not again.files.exists("/data/here/file")
        assert again.files.read("/home/user/own") == "own"
    finally:
        again.kill()
        Sandbox.delete_snapshot(snapshot.snapshot_id)


def test_cells_work_on_a_volume(volume: Volume) -> None:
    from e2b_code_interpreter import Sandbox as Interpreter

    with Interpreter.create(timeout=120, volume_mounts={"/mnt/data": volume}) as made:
        made.run_code("open('/mnt/data/x', 'w').write('cell')")
        assert made.run_code("!cat /mnt/data/x").logs.stdout == ["cell"]
    assert volume.read_file("/x") == "cell"


@pytest.mark.parametrize(
    "path",
    ["", "/", "data", "/usr/data", "/etc", "/tmp", "/home", "/home/user", "/home/other/x",
     "/proc/x", "/mnt/../etc", "/dev/x", "/opt/e2brun/agent", "/a\n", "/" + "x" * 2000,
     "/mnt/" + "x" * 256],
)  # fmt: skip
def test_a_volume_is_not_mounted_over_what_is_there(volume: Volume, path: str) -> None:
    with pytest.raises(SandboxException, match="volumeMounts"):
        Sandbox.create("base", volume_mounts={path: volume})


def test_forty_volumes_can_be_worked_on_at_once(service: Serving) -> None:
    """More than there are processes kept for it."""
    data = b"x" * 300_000  # more than travels in a message

    def work(number: int) -> bool:
        made = Volume.create(f"many-{number}-{uuid4().hex[:8]}")
        made.write_file("/file", data)
        kept = made.read_file("/file", format="bytes") == data
        return Volume.destroy(made.volume_id) and kept

    with ThreadPoolExecutor(40) as threads:
        assert all(threads.map(work, range(40)))


def test_a_volume_cannot_be_mounted_within_another(volume: Volume) -> None:
    with pytest.raises(SandboxException, match="two at"):
        Sandbox.create("base", volume_mounts={"/mnt/a": volume, "/mnt/a/b": volume})


@pytest.mark.anyio
async def test_the_asynchronous_sdk_has_the_same(service: Serving) -> None:
    made = await AsyncVolume.create(f"async-{uuid4().hex[:8]}")
    await made.make_dir("/a/b", force=True)
    written = await made.write_file("/a/b/file", BytesIO(b"x" * 100_000), uid=5, mode=0o600)
    assert (written.uid, written.mode, written.size) == (5, 0o600, 100_000)
    with pytest.raises(VolumeException):
        await made.write_file("/a/b/file", "y")
    pieces = [piece async for piece in await made.read_file("/a/b/file", format="stream")]
    assert b"".join(pieces) == b"x" * 100_000
    assert await made.read_file("/a/b/file", format="bytes") == b"x" * 100_000
    assert [one.path for one in await made.list("/", depth=2)] == ["/a", "/a/b"]
    sandbox = await AsyncSandbox.create("base", timeout=120, volume_mounts={"/mnt/v": made})
    assert await sandbox.files.exists("/mnt/v/a/b/file")
    await sandbox.files.write("/mnt/v/new", "inside")
    await sandbox.kill()
    assert (await made.update_metadata("/new", gid=9)).gid == 9
    assert await made.read_file("/new") == "inside"
    await made.remove("/a")
    assert not await made.exists("/a")
    with pytest.raises(VolumePathNotFoundException):
        await made.get_info("/a")
    assert made.volume_id in [one.volume_id for one in await AsyncVolume.list()]
    assert (await AsyncVolume.connect(made.volume_id)).name == made.name
    assert await AsyncVolume.destroy(made.volume_id)
    assert not await AsyncVolume.destroy(made.volume_id)
