"""The tables of the store, and how a file of an older version becomes one of this. Version 0 (no
`user_version`) kept pipelines alone and every output whole in the database."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable

from e2brun.errors import StoreUnusable
from e2brun.runs.plain import UNREADABLE, made
from e2brun.runs.record import CaseRecord

VERSION = 1
_TABLES = (
    """CREATE TABLE runs (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, file TEXT NOT NULL,
    backend TEXT NOT NULL, command TEXT NOT NULL, directory TEXT NOT NULL,
    code_hash TEXT NOT NULL, version TEXT NOT NULL, owner TEXT NOT NULL, started REAL NOT NULL,
    finished REAL, exit_code INTEGER, counts TEXT, notes TEXT NOT NULL DEFAULT '[]',
    size INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID""",
    "CREATE INDEX runs_by_start ON runs (started)",
    "CREATE INDEX runs_by_file ON runs (file, started)",
    # The record comes last: what lists cases need not read past what it asks for.
    """CREATE TABLE cases (
    number INTEGER PRIMARY KEY, run TEXT NOT NULL REFERENCES runs ON DELETE CASCADE,
    id TEXT NOT NULL, fingerprint TEXT NOT NULL, verdict TEXT NOT NULL, outcome TEXT NOT NULL,
    completed INTEGER, exit_code INTEGER, seconds REAL NOT NULL, started REAL NOT NULL,
    sandboxes TEXT NOT NULL, error TEXT NOT NULL, cuts TEXT NOT NULL, record TEXT NOT NULL,
    UNIQUE (run, id)
)""",
    "CREATE INDEX cases_by_verdict ON cases (run, verdict)",
    """CREATE TABLE events (
    run TEXT NOT NULL REFERENCES runs ON DELETE CASCADE, at REAL NOT NULL, kind TEXT NOT NULL,
    case_id TEXT NOT NULL, text TEXT NOT NULL
)""",
    "CREATE INDEX events_by_run ON events (run)",
)


# Views and triggers, and tables of modules: what has no page of its own.
_COMPUTED = "SELECT type FROM sqlite_master WHERE type NOT IN ('table', 'index') OR rootpage = 0"


def version_of(database: sqlite3.Connection) -> int:
    found: int = database.execute("PRAGMA user_version").fetchone()[0]
    return found


def prepare(database: sqlite3.Connection, keep: Callable[[str, str, CaseRecord], None]) -> None:
    """Make the tables, or those of an older version over. Raises StoreUnusable for a newer one,
    and for one that computes: a view in a table's place may do so for ever. `keep` takes a run's
    id, a fingerprint and a case of the old file."""
    if found := database.execute(_COMPUTED).fetchone():
        raise StoreUnusable(f"it holds a {found[0]} that no e2brun has made")
    if version_of(database) == VERSION:
        return
    database.execute("BEGIN IMMEDIATE")  # two that find an old file: one of them waits here
    try:
        _make_over(database, version_of(database), keep)
        database.execute("COMMIT")
    except BaseException:
        database.execute("ROLLBACK")
        raise


def _make_over(
    database: sqlite3.Connection, version: int, keep: Callable[[str, str, CaseRecord], None]
) -> None:
    if version == VERSION:
        return
    if version > VERSION:
        raise StoreUnusable(
            f"it was written by a newer e2brun (version {version} of the record, "
            f"this one knows {VERSION})"
        )
    old = bool(database.execute("SELECT 1 FROM sqlite_master WHERE name = 'runs'").fetchone())
    if old:
        for table in ("runs", "cases"):
            database.execute(f"ALTER TABLE {table} RENAME TO old_{table}")
        database.execute("DROP INDEX runs_by_file")
    for statement in _TABLES:
        database.execute(statement)
    if old:
        _take_over(database, keep)
    database.execute(f"PRAGMA user_version = {VERSION}")


def _take_over(database: sqlite3.Connection, keep: Callable[[str, str, CaseRecord], None]) -> None:
    database.execute(
        "INSERT INTO runs SELECT id, 'pipeline', pipeline, file, backend, '[]', '', '', '', '',"
        " started, finished, NULL, NULL, '[]', 0 FROM old_runs"
    )
    places = database.execute("SELECT run, id FROM old_cases").fetchall()
    for run, case_id in places:  # one by one: together they may not fit into memory
        fingerprint, record = database.execute(
            "SELECT fingerprint, record FROM old_cases WHERE run = ? AND id = ?", (run, case_id)
        ).fetchone()
        case = readable(record)
        if case is not None:
            keep(run, fingerprint, case)
    database.execute("DROP TABLE old_cases")
    database.execute("DROP TABLE old_runs")


def readable(record: str) -> CaseRecord | None:
    """The case of a record as it is; None for one that another version wrote."""
    try:
        return made(CaseRecord, json.loads(record))
    except UNREADABLE:
        return None
