from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from e2brun import MemoryCache, SQLiteCache, UsageError

pytestmark = pytest.mark.anyio

_WRITER = """
import asyncio, sys
from e2brun import SQLiteCache
store, name = SQLiteCache(sys.argv[1]), sys.argv[2]
async def main():
    for n in range(int(sys.argv[3])):
        await store.set(f"{name}-{n}", '"' + name * 2000 + '"', 3600)
        if n == 0:
            print("writing", flush=True)
        await store.set("shared", f'"{name}"', 3600)
asyncio.run(main())
"""


def _writer(path: Path, name: str, count: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(path), name, str(count)], stdout=subprocess.PIPE
    )


async def test_memory_forgets_the_longest_unused_first() -> None:
    store = MemoryCache(max_entries=2)
    for key in "ab":
        await store.set(key, key, 60)
    await store.get("a")
    await store.set("c", "c", 60)
    assert [await store.get(key) for key in "abc"] == ["a", None, "c"]


async def test_two_processes_and_we_write_to_one_file_at_once(tmp_path: Path) -> None:
    path, count = tmp_path / "cache.db", 40
    writers = [_writer(path, name, count) for name in "xy"]
    store = SQLiteCache(path)
    for number in range(count):
        await store.set(f"us-{number}", "1", 3600)
    for writer in writers:
        writer.communicate(timeout=60)
        assert writer.returncode == 0
    for number in range(count):
        assert await store.get(f"us-{number}") == "1"
        for name in "xy":
            assert json.loads(await store.get(f"{name}-{number}") or "") == name * 2000
    assert await store.get("shared") in {'"x"', '"y"'}


async def test_a_process_killed_in_mid_write_leaves_whole_entries(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"
    for pause in (0.0, 0.02, 0.05):
        writer = _writer(path, "z", 100_000)
        assert writer.stdout is not None
        writer.stdout.readline()
        await asyncio.sleep(pause)
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        store = SQLiteCache(path)
        await store.set("after", "1", 60)
        assert await store.get("after") == "1"
        with sqlite3.connect(path) as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            values = {row[0] for row in database.execute("SELECT value FROM outputs")}
        database.close()
        assert values <= {'"z"', '"' + "z" * 2000 + '"', "1"}


async def test_what_is_over_is_removed_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "cache.db"
    store = SQLiteCache(path)
    await store.set("old", "1", 0.01)
    await asyncio.sleep(0.03)
    await store.set("new", "2", 60)
    database = sqlite3.connect(path)
    assert database.execute("SELECT key FROM outputs").fetchall() == [("new",)]
    database.close()


async def test_a_file_that_is_no_database_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("these are my notes, not a cache\n" * 100)
    with pytest.raises(UsageError, match=r"notes\.txt: the cache cannot be used"):
        await SQLiteCache(path).get("x")
    assert path.read_text().startswith("these are my notes")
