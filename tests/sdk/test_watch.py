"""Watching directories through the real SDK: by polling and by stream."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest


def _told(events: list[Any]) -> list[tuple[str, str]]:
    return [(event.name, event.type.value) for event in events]


def test_polled_events_are_there_when_the_write_has_returned(sandbox: Any) -> None:
    files = sandbox.files
    files.make_dir("w")
    watch = files.watch_dir("w")
    for n in range(20):
        files.write(f"w/{n}", "text")
        assert _told(watch.get_new_events()) == [
            (str(n), kind) for kind in ("create", "chmod", "write")
        ]
    files.rename("w/0", "w/r")
    files.remove("w/r")
    assert _told(watch.get_new_events()) == [("0", "rename"), ("r", "create"), ("r", "remove")]
    watch.stop()


def test_new_directories_are_watched_at_once(sandbox: Any) -> None:
    files = sandbox.files
    files.make_dir("w")
    watch = files.watch_dir("w", recursive=True, include_entry=True)
    files.make_dir("w/a/b")
    files.write("w/a/b/f", "text")
    events = watch.get_new_events()
    assert ("a/b/f", "write") in _told(events)
    assert events[-1].entry.path == "/home/user/w/a/b/f"
    sandbox.commands.run("mkdir -p w/c/d && echo > w/c/d/f")
    assert ("c/d/f", "create") in _told(watch.get_new_events())
    watch.stop()


@pytest.mark.anyio
async def test_streamed_events(async_sandbox: Any) -> None:
    await async_sandbox.files.make_dir("w")
    events: list[Any] = []
    ended: list[Any] = []
    watch = await async_sandbox.files.watch_dir(
        "w", on_event=events.append, on_exit=ended.append, recursive=True
    )
    await async_sandbox.files.write("w/f", "text")
    await async_sandbox.files.write("w/d/g", "text")
    for _ in range(500):
        if ("d/g", "write") in _told(events):
            break
        await asyncio.sleep(0.01)
    assert ("d/g", "write") in _told(events)
    assert _told(events)[:3] == [("f", kind) for kind in ("create", "chmod", "write")]
    await watch.stop()
    assert ended == [None]
