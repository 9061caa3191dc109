"""Watched directories (E2B_PROTOCOL 5.3, 5.4): every event, once, and none too late."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from e2brun.server.envd import watch_events, watchers
from tests.server.envd_client import Envd, part
from tests.server.test_files import END

pytestmark = pytest.mark.anyio

NEW = ["CREATE", "CHMOD", "WRITE"]


async def _watch(envd: Envd, path: str, **options: object) -> str:
    answer = await envd.call("CreateWatcher", None, path=path, **options)
    assert answer.status == 200, answer.body
    assert answer.json["watcherId"].startswith("w")
    return str(answer.json["watcherId"])


async def _events(envd: Envd, watcher: str) -> list[tuple[str, str]]:
    answer = await envd.call("GetWatcherEvents", watcherId=watcher)
    return [(e["name"], e["type"].removeprefix("EVENT_TYPE_")) for e in answer.json["events"]]


async def test_one_upload_is_three_events_and_creation_comes_first(envd: Envd) -> None:
    await envd.call("MakeDir", path="w")
    watcher = await _watch(envd, "w")
    assert await _events(envd, watcher) == []
    await envd.put("w/raw", b"x" * 1000)
    assert await _events(envd, watcher) == [("raw", kind) for kind in NEW]
    await envd.form(part("file", "w/form", b"text") + END)
    assert await _events(envd, watcher) == [("form", kind) for kind in NEW]
    await envd.put("w/sub/f", b"not recursive")
    assert await _events(envd, watcher) == [("sub", "CREATE")]


async def test_every_kind_of_change_is_told(envd: Envd) -> None:
    await envd.put("w/f", b"")
    await envd.put("out", b"")
    watcher = await _watch(envd, "w")
    for code, expected in (
        ("open('w/f', 'a').write('x')", [("f", "WRITE")]),
        ("os.chmod('w/f', 0o600)", [("f", "CHMOD")]),
        ("os.rename('w/f', 'w/g')", [("f", "RENAME"), ("g", "CREATE")]),
        ("os.rename('out', 'w/in')", [("in", "CREATE")]),
        ("os.rename('w/in', 'out')", [("in", "RENAME")]),
        ("os.remove('w/g')", [("g", "REMOVE")]),
        ("os.rmdir('w')", [(".", "REMOVE")]),
    ):
        await envd.python("import os; " + code)
        assert await _events(envd, watcher) == expected
    assert (await envd.call("RemoveWatcher", watcherId=watcher)).status == 200
    for method in ("GetWatcherEvents", "RemoveWatcher"):
        assert (await envd.call(method, watcherId=watcher)).json["code"] == "not_found"


async def test_what_cannot_be_watched_is_refused(envd: Envd) -> None:
    await envd.put("f", b"")
    for method in ("CreateWatcher",):
        answer = await envd.call(method, path="nowhere")
        assert answer.json["code"] == "not_found"
        assert (await envd.call(method, path="f")).json["code"] == "invalid_argument"
    assert (await envd.call("CreateWatcher", path="a\0b")).json["code"] == "invalid_argument"


async def test_files_in_directories_made_this_moment_are_not_missed(envd: Envd) -> None:
    await envd.put("w/old/f", b"")
    watcher = await _watch(envd, "w", recursive=True)
    await envd.put("w/old/f", b"x")
    await envd.call("MakeDir", path="w/a/b")
    await envd.put("w/a/b/f", b"text")
    events = await _events(envd, watcher)
    assert ("old/f", "WRITE") in events
    created = [("a", "CREATE"), ("a/b", "CREATE")]
    assert events[-5:] == created + [("a/b/f", kind) for kind in NEW]
    await envd.put("w/p/q/f", b"its directories come with it")
    events = await _events(envd, watcher)
    assert [event for event in events if event[1] == "CREATE"] == [
        ("p", "CREATE"),
        ("p/q", "CREATE"),
        ("p/q/f", "CREATE"),
    ]
    assert ("p/q/f", "WRITE") in events
    await envd.python(
        "import os\n"
        "for n in range(200):\n"
        "  os.makedirs(f'w/many/{n}/x')\n"
        "  open(f'w/many/{n}/x/f', 'w').close()"
    )
    events = await _events(envd, watcher)
    for n in range(200):
        assert events.count((f"many/{n}/x/f", "CREATE")) == 1


async def test_a_directory_keeps_being_watched_under_its_new_name(envd: Envd) -> None:
    await envd.put("w/a/b/f", b"")
    watcher = await _watch(envd, "w", recursive=True)
    await envd.call("Move", source="w/a", destination="w/n")
    await envd.put("w/n/b/g", b"x")
    events = await _events(envd, watcher)
    assert events[:2] == [("a", "RENAME"), ("n", "CREATE")]
    assert events[2:] == [("n/b/g", kind) for kind in NEW]
    await envd.call("Move", source="w/n", destination="outside")
    await envd.put("outside/b/h", b"x")
    assert await _events(envd, watcher) == [("n", "RENAME")]


async def test_entries_come_with_events_where_they_are_wanted(envd: Envd) -> None:
    await envd.call("MakeDir", path="w")
    watcher = await _watch(envd, "w", includeEntry=True)
    await envd.put("w/f", b"text", {"x-metadata-k": "v"})
    answer = await envd.call("GetWatcherEvents", watcherId=watcher)
    entry = answer.json["events"][-1]["entry"]
    assert (entry["path"], entry["size"]) == ("/home/user/w/f", "4")
    assert entry["metadata"] == {"k": "v"}
    await envd.call("Remove", path="w/f")
    answer = await envd.call("GetWatcherEvents", watcherId=watcher)
    assert answer.json["events"] == [{"name": "f", "type": "EVENT_TYPE_REMOVE"}]


async def test_a_watch_outlives_the_worker_that_made_it(envd: Envd) -> None:
    await envd.call("MakeDir", path="w")
    watcher = await _watch(envd, "w", recursive=True)
    await envd.python("import os, signal\ntry: os.kill(-1, signal.SIGKILL)\nexcept OSError: 0")
    await envd.put("w/d/f", b"x")
    assert ("d/f", "CREATE") in await _events(envd, watcher)


def _watching() -> int:
    """How many descriptors of ours watch; others come and go with sandboxes made in advance."""
    found = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # what this looked through the directory with
            found += str(descriptor.readlink()) == "anon_inode:inotify"
    return found


async def test_descriptors_go_with_the_watch(envd: Envd) -> None:
    await envd.entry(".")
    before = _watching()
    opened = [await _watch(envd, ".") for _ in range(20)]
    assert _watching() == before + 20
    for watcher in opened:
        await envd.call("RemoveWatcher", watcherId=watcher)
    await asyncio.sleep(0.05)
    assert _watching() == before


async def test_a_storm_of_events_is_bounded(envd: Envd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_events, "EVENTS", 500 * 160)

    watcher = await _watch(envd, ".")
    await envd.python("import os\nfor n in range(5000): os.mkdir('d'); os.rmdir('d')")
    assert 500 <= len(await _events(envd, watcher)) < 2000
    await envd.entry(".")


async def test_watches_that_nobody_collects_from_share_what_one_may_keep(
    envd: Envd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_events, "EVENTS", 2000 * 160)
    opened = [await _watch(envd, ".") for _ in range(4)]
    await envd.python("import os\nfor n in range(5000): os.mkdir('d'); os.rmdir('d')")
    kept = [len(await _events(envd, watcher)) for watcher in opened]
    assert all(500 <= count < 2000 for count in kept), kept


async def test_what_was_told_on_looking_into_a_new_directory_is_not_told_twice(envd: Envd) -> None:
    create, delete = 0x100, 0x200
    watcher = await envd.live.part(watchers.Watchers).open(watchers.Wanted("/tmp", True))
    watcher._told.add(b"d/f")
    for mask in (create, delete, create):
        await watcher._note(b"d", mask, b"f")
    told = [event["type"] for event in await watcher.collected()]
    assert told == ["EVENT_TYPE_REMOVE", "EVENT_TYPE_CREATE"]
