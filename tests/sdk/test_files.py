"""Files through the real SDK, synchronous and asynchronous."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import e2b
import httpx
import pytest

from tests.sdk.serving import Serving


def test_all_kinds_of_content_and_ways_to_read(sandbox: Any) -> None:
    files = sandbox.files
    for path, data, options in (
        ("text", "hellö", {}),
        ("bytes", b"hell\xc3\xb6", {}),
        ("gzip", "hellö", {"gzip": True}),
        ("stream", io.BytesIO(b"hell\xc3\xb6"), {}),
        ("lines", io.StringIO("hellö"), {}),
        ("iterator", iter([b"hell", b"\xc3\xb6"]), {}),
        ("octets", "hellö", {"use_octet_stream": True}),
    ):
        written = files.write(path, data, **options)
        assert (written.name, written.path) == (path, f"/home/user/{path}")
        assert written.metadata is None
        assert files.read(path) == "hellö"
        assert files.read(path, gzip=True) == "hellö"
        assert bytes(files.read(path, format="bytes")) == "hellö".encode()
        assert b"".join(files.read(path, format="stream")) == "hellö".encode()


def test_a_large_file_is_read_into_the_same_memory_piece_by_piece(
    service: Serving, sandbox: Any
) -> None:
    pages = 64 * 256
    before = _pages_given(service.pid)
    sandbox.files.write("large", io.BytesIO(bytes(pages * 4096)))
    assert _pages_given(service.pid) - before < pages / 4  # each once would be as many as pages


def _pages_given(pid: int) -> int:
    """How many new pages the kernel has given to a process: its minor faults (proc(5))."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[7])


def test_many_files_in_one_request(sandbox: Any) -> None:
    wanted = [{"path": f"d{n}/é {n}.txt", "data": str(n)} for n in range(1100)]
    written = sandbox.files.write_files(wanted)
    assert [file.path for file in written] == [f"/home/user/d{n}/é {n}.txt" for n in range(1100)]
    assert sandbox.files.read("d1099/é 1099.txt") == "1099"
    with pytest.raises(e2b.InvalidArgumentException):
        sandbox.files.write_files([{"path": "a", "data": ""}, {"path": "a", "data": ""}])


def test_entries_and_metadata(sandbox: Any) -> None:
    files = sandbox.files
    files.write("f", "12345", metadata={"Key": "value"})
    info = files.get_info("f")
    assert (info.size, info.mode, info.permissions) == (5, 0o644, "-rw-r--r--")
    assert (info.owner, info.group, info.metadata) == ("user", "user", {"key": "value"})
    files.write("f", "")
    assert files.get_info("f").metadata is None
    sandbox.commands.run("ln -s f link; ln -s nowhere broken")
    link = files.get_info("link")
    assert (link.type, link.symlink_target) == (e2b.FileType.FILE, "/home/user/f")
    names = [entry.name for entry in files.list(".")]
    assert "link" in names
    assert "broken" not in names


def test_directories(sandbox: Any) -> None:
    files = sandbox.files
    assert files.make_dir("a/b")
    assert not files.make_dir("a/b")
    files.write("a/b/f", "x")
    files.write("a/z", "x")
    assert [entry.path for entry in files.list("a", depth=2)] == [
        f"/home/user/a/{name}" for name in ("b", "b/f", "z")
    ]
    assert len(files.list("a", depth=None)) == 2
    assert files.rename("a/b", "c/d").path == "/home/user/c/d"
    assert files.exists("c/d/f")
    assert not files.exists("a/b")
    files.remove("c")
    files.remove("c")
    assert not files.exists("c")


def test_a_new_directory_in_the_root_of_all(sandbox: Any) -> None:
    files = sandbox.files
    for n in range(3):
        written = files.write(f"/{n}/of/root.txt", str(n))
        assert (written.path, files.read(written.path)) == (f"/{n}/of/root.txt", str(n))
    files.write("/top.txt", "top")
    assert sandbox.commands.run("cat /top.txt && ln -s /0/of /link && rm -r /1").stdout == "top"
    sandbox.pause(keep_memory=False)
    sandbox.connect()
    assert files.read("/link/root.txt") == "0"
    assert files.read("/top.txt") == "top"
    assert not files.exists("/1")
    script = "for place in /usr /etc /lib /opt /home /proc; do mv $place /moved; done; ls / /bin/sh"
    moved = sandbox.commands.run(script, user="root")
    assert moved.stderr.count("Device or resource busy") == 6
    assert "moved" not in moved.stdout


def test_attributes_set_by_a_program_are_metadata(sandbox: Any) -> None:
    sandbox.files.write("f", "", metadata={"key": "value"})
    sandbox.commands.run("setfattr -n user.e2b.author -v mish f")
    assert sandbox.files.get_info("f").metadata == {"key": "value", "author": "mish"}
    shown = sandbox.commands.run("getfattr -n user.e2b.key f && setfattr -x user.e2b.key f").stdout
    assert shown == '# file: f\nuser.e2b.key="value"\n\n'
    assert sandbox.files.get_info("f").metadata == {"author": "mish"}


def test_errors_are_those_the_sdk_knows(sandbox: Any) -> None:
    files = sandbox.files
    files.write("f", "")
    for call in (files.read, files.get_info, files.list, files.watch_dir):
        with pytest.raises(e2b.NotFoundException):
            call("nowhere")
    with pytest.raises(e2b.FileNotFoundException):
        files.rename("nowhere", "x")
    for call in (files.list, files.make_dir, files.watch_dir):
        with pytest.raises(e2b.InvalidArgumentException):
            call("f")
    with pytest.raises(e2b.InvalidArgumentException):
        files.read(".")
    for call in (files.read, files.list, files.exists):
        with pytest.raises(e2b.AuthenticationException):
            call("f", user="stranger")


def test_signed_urls_need_no_headers(sandbox: Any) -> None:
    up = sandbox.upload_url("dir/signed", use_signature_expiration=60)
    assert httpx.post(up, files={"file": ("x", b"by form")}).status_code == 200
    assert httpx.get(sandbox.download_url("dir/signed")).text == "by form"
    assert httpx.post(sandbox.upload_url("plain"), files={"file": (None, "t")}).status_code == 200
    assert sandbox.files.read("plain") == "t"
    for bad in (up, sandbox.download_url("dir/signed") + "x"):
        assert httpx.get(bad).status_code == 401
    past = httpx.get(sandbox.download_url("dir/signed", use_signature_expiration=-10))
    assert past.json() == {"code": 401, "message": "signature is already expired"}


def test_a_large_file_both_ways_and_a_part_of_an_endless_one(sandbox: Any) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(100):
            yield bytes(1 << 20)

    sandbox.files.write("big", pieces())
    with sandbox.files.read("big", format="stream") as stream:
        assert sum(map(len, stream)) == 100 << 20
    with sandbox.files.read("/dev/zero", format="stream") as stream:
        assert sum(len(next(stream)) for _ in range(100)) > 0
    assert len(sandbox.files.read("/proc/sys/kernel/random/boot_id")) == 37


@pytest.mark.anyio
async def test_the_asynchronous_sdk(async_sandbox: Any) -> None:
    files = async_sandbox.files
    await files.write("a/b", "text", metadata={"k": "v"})
    assert await files.read("a/b") == "text"
    assert (await files.get_info("a/b")).metadata == {"k": "v"}
    await files.write("big", bytes(5 << 20))
    async with await files.read("big", format="stream") as stream:
        assert sum([len(piece) async for piece in stream]) == 5 << 20
    assert [entry.name for entry in await files.list("a")] == ["b"]
    assert not await files.exists("nowhere")
