"""Where a cache keeps its texts: in memory, or in a file that processes share."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from e2brun.errors import UsageError
from e2brun.sandbox.threads import in_thread

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

T = TypeVar("T")

_BUSY_SECONDS = 10.0  # for another process's write
_TABLE = (
    "CREATE TABLE IF NOT EXISTS outputs"
    " (key TEXT PRIMARY KEY, expires REAL NOT NULL, value TEXT NOT NULL) WITHOUT ROWID"
)


class CacheStore(Protocol):
    """Texts by key, each for its time."""

    async def get(self, key: str) -> str | None:
        """The text, unless there is none or its time is over."""
        ...

    async def set(self, key: str, value: str, ttl_seconds: float) -> None:
        """Keep it from now on, instead of what there was."""
        ...


@dataclass(frozen=True)
class MemoryCache:
    """At most `max_entries` texts of this process; the longest unused goes first."""

    max_entries: int = 1024
    _entries: OrderedDict[str, tuple[float, str]] = field(
        default_factory=OrderedDict[str, tuple[float, str]], init=False, repr=False
    )

    async def get(self, key: str) -> str | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        expires, value = entry
        if expires <= time.monotonic():
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return value

    async def set(self, key: str, value: str, ttl_seconds: float) -> None:
        self._entries[key] = (time.monotonic() + ttl_seconds, value)
        self._entries.move_to_end(key)
        while len(self._entries) > self.max_entries:
            self._entries.popitem(last=False)


@dataclass(frozen=True)
class SQLiteCache:
    """Texts in an SQLite file, for any number of processes at once.

    A write is there whole or not at all, whoever is killed meanwhile. Raises UsageError when
    the file is no database or cannot be written.
    """

    path: Path | str

    async def get(self, key: str) -> str | None:

        def read(database: sqlite3.Connection) -> str | None:
            rows = database.execute(
                "SELECT value FROM outputs WHERE key = ? AND expires > ?", (key, time.time())
            ).fetchall()
            return str(rows[0][0]) if rows else None

        return await in_thread(lambda: self._with_database(read), grace=_BUSY_SECONDS)

    async def set(self, key: str, value: str, ttl_seconds: float) -> None:

        def write(database: sqlite3.Connection) -> None:
            now = time.time()
            with database:
                database.execute("DELETE FROM outputs WHERE expires <= ?", (now,))
                database.execute(
                    "INSERT OR REPLACE INTO outputs VALUES (?, ?, ?)",
                    (key, now + ttl_seconds, value),
                )

        await in_thread(lambda: self._with_database(write), grace=_BUSY_SECONDS)

    def _with_database(self, use: Callable[[sqlite3.Connection], T]) -> T:
        """A connection for each use: it belongs to one thread, and must not pass a fork."""
        import sqlite3
        from contextlib import closing

        try:
            Path(self.path).parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self.path, timeout=_BUSY_SECONDS)) as database:
                database.execute("PRAGMA journal_mode = WAL")
                database.execute("PRAGMA synchronous = NORMAL")
                database.execute(_TABLE)
                return use(database)
        except (sqlite3.Error, OSError) as error:
            raise UsageError(
                f"{self.path}: the cache cannot be used: {error}",
                hint="Name another file, or delete this one if it is a broken cache.",
            ) from error
