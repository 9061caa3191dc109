"""Where runs are kept: one SQLite file, each case written as it finishes.

What was written stays, whoever kills us: the file is in WAL mode and a case is one transaction.
Of each pipeline the newest runs are kept.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from e2brun.errors import E2brunError
from e2brun.runs.plain import case_from, plain
from e2brun.runs.record import CaseRecord, RunRecord, Verdict

if TYPE_CHECKING:
    from collections.abc import Generator

T = TypeVar("T")

_BUSY_SECONDS = 10.0
_KEPT_RUNS = 20
_SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    id TEXT PRIMARY KEY, file TEXT NOT NULL, pipeline TEXT NOT NULL, backend TEXT NOT NULL,
    started REAL NOT NULL, finished REAL
);
CREATE INDEX IF NOT EXISTS runs_by_file ON runs (file, started);
CREATE TABLE IF NOT EXISTS cases (
    run TEXT NOT NULL REFERENCES runs ON DELETE CASCADE, id TEXT NOT NULL,
    fingerprint TEXT NOT NULL, verdict TEXT NOT NULL, record TEXT NOT NULL,
    PRIMARY KEY (run, id)
) WITHOUT ROWID;
"""


class Store:
    """The runs in `path`, which is made where it is not there. One thread uses it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._explained():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Autocommit: every statement below that must not be halved is a transaction.
            self._database = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
            self._database.executescript(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
                f"PRAGMA foreign_keys = ON; {_SCHEMA}"
            )

    def begin(self, run: RunRecord) -> None:
        """A run starts; of older ones of the same file only the newest stay."""
        with self._explained():
            self._database.execute(
                "INSERT INTO runs VALUES (?, ?, ?, ?, ?, NULL)",
                (run.id, run.file, run.pipeline, run.backend, run.started),
            )
            self._database.execute(
                "DELETE FROM runs WHERE file = ?1 AND id NOT IN"
                " (SELECT id FROM runs WHERE file = ?1 ORDER BY started DESC LIMIT ?2)",
                (run.file, _KEPT_RUNS),
            )

    def keep(self, run_id: str, fingerprint: str, case: CaseRecord) -> None:
        """A case is over."""
        record = json.dumps(plain(case), default=str)
        with self._explained():
            self._database.execute(
                "INSERT OR REPLACE INTO cases VALUES (?, ?, ?, ?, ?)",
                (run_id, case.id, fingerprint, case.verdict.value, record),
            )

    def finish(self, run_id: str) -> None:
        """The run came to its end."""
        with self._explained():
            self._database.execute(
                "UPDATE runs SET finished = ? WHERE id = ?", (time.time(), run_id)
            )

    def passed(self, file: str, fingerprints: Mapping[str, str]) -> dict[str, CaseRecord]:
        """Cases whose newest record passed, with the same fingerprint as now; by id."""
        newest: dict[str, tuple[str, str, str]] = {}
        with self._explained():
            rows = self._database.execute(
                "SELECT cases.id, fingerprint, verdict, record FROM cases JOIN runs"
                " ON runs.id = cases.run WHERE runs.file = ? ORDER BY runs.started",
                (file,),
            )
            for case_id, fingerprint, verdict, record in rows:
                newest[case_id] = (fingerprint, verdict, record)
        found: dict[str, CaseRecord] = {}
        for case_id, (fingerprint, verdict, record) in newest.items():
            same = fingerprints.get(case_id) == fingerprint
            if same and verdict == Verdict.PASSED and (case := _read(record)) is not None:
                found[case_id] = case
        return found

    def runs(self) -> list[tuple[RunRecord, dict[str, int]]]:
        """Every run, newest first, without its cases but with how many were judged how."""
        with self._explained():
            rows = self._database.execute(
                "SELECT id, pipeline, file, backend, started, finished FROM runs"
                " ORDER BY started DESC"
            ).fetchall()
            counts: dict[str, dict[str, int]] = {}
            for run, verdict, count in self._database.execute(
                "SELECT run, verdict, count(*) FROM cases GROUP BY run, verdict"
            ):
                counts.setdefault(run, {})[verdict] = count
        return [(RunRecord(*row), counts.get(row[0], {})) for row in rows]

    def close(self) -> None:
        """Nothing more is kept."""
        with self._explained():
            self._database.close()

    @contextmanager
    def _explained(self) -> Generator[None, None, None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise E2brunError(
                f"{self._path}: the record of runs cannot be used: {error}",
                hint="Set E2BRUN_STATE_DIR to another directory, or delete the file.",
            ) from error


def looked_up(path: Path, use: Callable[[Store], T]) -> T | None:
    """What `use` finds in the store; None where there is no store yet."""
    if not path.exists():
        return None
    with closing(Store(path)) as store:
        return use(store)


def _read(record: str) -> CaseRecord | None:
    try:
        return case_from(json.loads(record))
    except (KeyError, TypeError, ValueError):  # written by another version: as if not there
        return None
