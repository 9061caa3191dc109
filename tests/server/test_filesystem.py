"""The service filesystem.Filesystem (E2B_PROTOCOL 5.1, 5.2), also against a hostile sandbox."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from typing import Any

import pytest

from e2brun.sandbox.local.host import file_worker
from e2brun.sandbox.local.host.file_worker import FileTrouble, FileWorker
from e2brun.server.envd.entries import entry_info
from tests.server.asgi import Answer
from tests.server.envd_client import Envd

pytestmark = pytest.mark.anyio


def _code(answer: Answer) -> str:
    assert answer.status != 200, answer.body
    return str(answer.json["code"])


async def test_an_entry_says_what_a_path_is(envd: Envd) -> None:
    await envd.put("d/f.txt", b"12345")
    entry = await envd.entry("~/d/f.txt")
    assert entry.pop("modifiedTime").endswith("Z")
    assert entry == {
        "name": "f.txt",
        "type": "FILE_TYPE_FILE",
        "path": "/home/user/d/f.txt",
        "size": "5",
        "mode": 0o644,
        "permissions": "-rw-r--r--",
        "owner": "user",
        "group": "user",
    }
    assert (await envd.entry("d"))["permissions"] == "drwxr-xr-x"
    assert (await envd.entry("/"))["name"] == "/"
    assert (await envd.entry("/tmp"))["permissions"] == "dtrwxrwxrwx"
    assert (await envd.entry("/dev/null"))["permissions"] == "Dcrw-rw-rw-"
    for missing in ("nowhere", "d/f.txt/x"):
        assert _code(await envd.call("Stat", path=missing)) == "not_found"
    for bad in ("a\0b", "\ud800", 7, "x" * 300):
        assert _code(await envd.call("Stat", path=bad)) == "invalid_argument"
    assert _code(await envd.call("Stat", user="stranger", path="d")) == "unauthenticated"
    assert (await envd.call("Stat", user="root", path=".")).json["entry"]["path"] == "/root"
    assert (await envd.call("Chmod", path="d")).status == 404


async def test_links_show_where_they_lead(envd: Envd) -> None:
    await envd.python(
        "import os; os.mkdir('d'); open('d/f', 'w').close(); os.symlink('d', 'dl')\n"
        "os.symlink('dl/f', 'fl'); os.symlink('nowhere', 'bl'); os.symlink('ll', 'll')"
    )
    for name, kind, target in (
        ("dl", "FILE_TYPE_DIRECTORY", "/home/user/d"),
        ("fl", "FILE_TYPE_FILE", "/home/user/d/f"),
        ("bl", "FILE_TYPE_UNSPECIFIED", "/home/user/bl"),
        ("ll", "FILE_TYPE_UNSPECIFIED", "/home/user/ll"),
    ):
        entry = await envd.entry(name)
        assert (entry["type"], entry["symlinkTarget"]) == (kind, target)
        assert entry["permissions"] == "Lrwxrwxrwx"
    answer = await envd.call("ListDir", path="dl", depth=9)
    assert [entry["path"] for entry in answer.json["entries"]] == ["/home/user/dl/f"]
    answer = await envd.call("ListDir", path=".", depth=9)
    names = [entry["path"][len("/home/user/") :] for entry in answer.json["entries"]]
    assert [name for name in names if name[0] != "."] == ["bl", "d", "d/f", "dl", "fl", "ll"]


async def test_directories_are_listed_in_order_and_to_their_depth(envd: Envd) -> None:
    for path in ("t/b/y", "t/b/x/z", "t/a", "t/c", "t/b.txt"):
        await envd.put(path, b"")
    for depth, expected in (
        ({}, "a b b.txt c"),
        ({"depth": 0}, "a b b.txt c"),
        ({"depth": 1}, "a b b.txt c"),
        ({"depth": 2}, "a b b/x b/y b.txt c"),
        ({"depth": 3}, "a b b/x b/x/z b/y b.txt c"),
        ({"depth": 4294967295}, "a b b/x b/x/z b/y b.txt c"),
    ):
        answer = await envd.call("ListDir", None, path="/home/user/t", **depth)
        paths = [entry["path"][len("/home/user/t/") :] for entry in answer.json["entries"]]
        assert " ".join(paths) == expected
    assert _code(await envd.call("ListDir", path="nowhere")) == "not_found"
    assert _code(await envd.call("ListDir", path="t/a")) == "invalid_argument"


async def test_a_long_listing_comes_whole_and_holds_nobody_up(envd: Envd) -> None:
    await envd.python(
        "import os; os.mkdir('m'); os.chdir('m')\n"
        "for n in range(20000): open(f'{n:05}', 'w').close()\n"
        "open(b'\\xff\\n', 'w').close()"
    )
    listing = asyncio.ensure_future(envd.call("ListDir", path="m"))
    await asyncio.sleep(0.01)
    await envd.entry("m")
    assert not listing.done()
    names = [entry["name"] for entry in (await listing).json["entries"]]
    assert names == [*(f"{n:05}" for n in range(20000)), "\ufffd\n"]
    assert (await envd.call("Remove", path="m")).status == 200
    assert _code(await envd.call("Stat", path="m")) == "not_found"


async def test_directories_made_moved_and_removed(envd: Envd) -> None:
    answer = await envd.call("MakeDir", path="a/b/c")
    assert answer.json["entry"]["type"] == "FILE_TYPE_DIRECTORY"
    assert _code(await envd.call("MakeDir", path="a/b")) == "already_exists"
    await envd.put("f", b"text")
    for path in ("f", "f/x"):
        assert _code(await envd.call("MakeDir", path=path)) == "invalid_argument"
    move = await envd.call("Move", source="f", destination="n/e/w")
    assert move.json["entry"]["path"] == "/home/user/n/e/w"
    missing = await envd.call("Move", source="f", destination="other/x")
    assert _code(missing) == "not_found"
    assert _code(await envd.call("Stat", path="other")) == "not_found"
    await envd.call("Move", source="n", destination="/tmp/n")  # another mount
    assert (await envd.get("/tmp/n/e/w")).body == b"text"
    assert _code(await envd.call("Stat", path="n")) == "not_found"
    for _ in range(2):
        assert (await envd.call("Remove", path="a")).json == {}
    assert _code(await envd.call("Remove", path="/usr/bin/env")) == "permission_denied"


async def test_what_is_deep_or_closed_is_removed_all_the_same(envd: Envd) -> None:
    await envd.python("import os\nfor n in range(3000): os.mkdir('deep'); os.chdir('deep')")
    await envd.python(
        "import os; os.makedirs('c/x/y'); open('c/x/f', 'w').close()\n"
        "os.symlink('/home/user/kept', 'c/link'); os.mkdir('kept')\n"
        "os.chmod('c/x', 0); os.chmod('c', 0o500)"
    )
    for path in ("deep", "c"):
        assert (await envd.call("Remove", path=path)).json == {}
        assert _code(await envd.call("Stat", path=path)) == "not_found"
    await envd.entry("kept")


async def test_a_worker_that_was_killed_is_replaced(envd: Envd) -> None:
    await envd.put("f", b"text")
    for _ in range(3):
        await envd.python("import os, signal\ntry: os.kill(-1, signal.SIGKILL)\nexcept OSError: 0")
        assert (await envd.get("f")).body == b"text"


async def test_a_worker_that_was_stopped_is_replaced(
    envd: Envd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FileWorker.ask, "__kwdefaults__", {"patience": 0.5})

    await envd.put("f", b"text")
    await envd.python("import os, signal; os.kill(-1, signal.SIGSTOP)")
    began = time.monotonic()
    assert (await envd.get("f")).body == b"text"
    assert time.monotonic() - began < 20


async def test_no_process_left_for_a_child_and_files_still_move(envd: Envd) -> None:
    await envd.entry(".")
    forks = asyncio.ensure_future(
        envd.python(
            "import os, time\n"
            "try:\n  while os.fork(): pass\nexcept OSError: open('full', 'w').close()\n"
            "time.sleep(2)"
        )
    )
    for _ in range(500):
        if (await envd.call("Stat", path="full")).status == 200:
            break
        await asyncio.sleep(0.02)
    assert (await envd.put("f", b"x" * 300_000)).status == 200
    assert (await envd.get("f")).body == b"x" * 300_000
    await forks


def test_a_lying_worker_is_let_go_of() -> None:
    lies = (
        b"", b"junk", b"[]", b"[1,2,3]\n", b'["1",0,null,false]\n', b"[1,0,null,0]\n",
        b"[" * 100_000, b'{"a":1}\n', b"[" + b"1" * 5000 + b",0,0,false]\n", b"[1,0,5,true]\n",
    )  # fmt: skip

    async def scenario() -> None:
        for lie in lies:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            worker = file_worker._Worker(ours, lambda: None)
            call = await worker.begin("stat", [], {"path": b"/"})
            theirs.send(lie)
            with pytest.raises((FileTrouble, file_worker.WorkerGone)):
                await call.answer(2)
            worker.close()
            theirs.close()

    before = len(os.listdir("/proc/self/fd"))
    asyncio.run(scenario())
    assert len(os.listdir("/proc/self/fd")) <= before + 1


@pytest.mark.parametrize(
    "raw",
    [
        None, [], {}, "x", [1] * 10, ["p", "f", 0, 0, 0, 0, 0, True, None, {}],
        ["p", "f", 0, 0, 0, 0, 0, 0, None, {"a": 1}], ["p", "f", 0, 0, 0, 0, 0, 0, None, []],
    ],
)  # fmt: skip
def test_a_malformed_entry_is_trouble(raw: Any) -> None:
    with pytest.raises(FileTrouble):
        entry_info(raw)


def test_an_entry_from_the_ends_of_time_is_shown() -> None:
    for moment in (-(10**30), -1, 10**30):
        raw = ["p", "f", 0, 0, 0o100644, 0, 0, moment, None, {}]
        assert entry_info(raw)["modifiedTime"].endswith("Z")
