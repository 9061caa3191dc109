"""Where runs are kept: one SQLite file, each case written as it finishes.

What was written stays, whoever kills us: the file is in WAL mode and a case is one transaction.
Any number of processes write at a time; each waits for the others. Long texts lie in files beside
it (`texts`), and no secret that `mask` knows gets in. A Store is used by one thread; every method
raises StoreUnusable where the file cannot be used.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from e2brun import __version__
from e2brun.errors import StoreUnusable, UsageError
from e2brun.runs.origin import Kind, Origin, State, StoredRun
from e2brun.runs.plain import UNREADABLE, made, plain
from e2brun.runs.record import CaseRecord, RunRecord, Verdict
from e2brun.runs.rows import (
    CASE,
    RUN,
    CaseRow,
    Held,
    StoredEvent,
    case_row,
    case_values,
    held,
    state_of,
    stored_event,
    stored_run,
    text,
)
from e2brun.runs.schema import prepare
from e2brun.runs.spool import files_of
from e2brun.runs.texts import Cut, LongTexts
from e2brun.sandbox.masking import HIDDEN, Mask, is_secret_name, secrets_in
from e2brun.sandbox.owner import owner_mark

if TYPE_CHECKING:
    from collections.abc import Generator

T = TypeVar("T")

_BUSY_SECONDS = 30.0


class Store:
    """The runs in `path`, which is made where it is not there."""

    def __init__(self, path: Path, mask: Mask | None = None) -> None:
        self.path = path
        self._mask = mask or Mask()
        self._events: list[tuple[str, StoredEvent]] = []
        with self._explained():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.touch(mode=0o600)
            # Autocommit: every statement below that must not be halved is a transaction.
            self._database = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
            try:
                self._database.execute("PRAGMA journal_mode = WAL")
                self._database.execute("PRAGMA synchronous = NORMAL")
                self._database.execute("PRAGMA foreign_keys = ON")
                prepare(self._database, self._insert_case)
            except BaseException:
                self._database.close()
                raise

    def begin(
        self, run: RunRecord, origin: Origin, *, version: str = __version__, owner: str = ""
    ) -> None:
        """A run starts, of this process unless `owner` says of whose; or goes on, which is of
        this process. `run.file` is absolute, or empty: it is what `passed` finds earlier runs of
        the same by. Raises UsageError for one that another process goes on with."""
        with self._explained(), self._transaction():
            if not owner:
                self._insist_on_rest(run.id)
            self._insert_run(run, origin, version, owner or owner_mark())
            if not owner:
                self._database.execute(
                    "UPDATE runs SET owner = ?, finished = NULL, exit_code = NULL, counts = NULL"
                    " WHERE id = ?",
                    (owner_mark(), text(run.id)),
                )

    def _insist_on_rest(self, run_id: str) -> None:
        row = self._database.execute(
            "SELECT finished, owner FROM runs WHERE id = ?", (text(run_id),)
        ).fetchone()
        if row and row[1] != owner_mark() and state_of(*row) is State.RUNNING:
            raise UsageError(f"{run_id}: it is still running")

    def keep(self, run_id: str, case: CaseRecord, fingerprint: str = "") -> None:
        """A case is over; a second record of the same id takes the place of the first.
        `fingerprint` is of all that decides how it goes: one with another has changed."""
        with self._explained(), self._transaction():
            self._insert_case(run_id, fingerprint, case)
            self._insert_events()

    def tell(self, run_id: str, event: StoredEvent) -> None:
        """Something happened; written with the next case, or at the end."""
        self._events.append((run_id, event))

    def finish(
        self,
        run_id: str,
        exit_code: int | None,
        notes: Sequence[str] = (),
        *,
        at: float | None = None,
    ) -> None:
        """The run came to its end, with the exit code of its command; now, or `at`."""
        with self._explained(), self._transaction():
            self._insert_events()
            counts = json.dumps(self._count(run_id))
            said = json.dumps([self._mask(note) for note in notes])
            self._database.execute(
                "UPDATE runs SET finished = ?, exit_code = ?, counts = ?, notes = ? WHERE id = ?",
                (at or time.time(), exit_code, counts, said, text(run_id)),
            )

    def passed(self, file: str, fingerprints: Mapping[str, str]) -> dict[str, CaseRecord]:
        """Cases whose newest record passed, with the same fingerprint as now; by id, whole."""
        newest: dict[str, tuple[str, str, int]] = {}
        with self._explained():
            rows = self._database.execute(
                "SELECT cases.id, fingerprint, verdict, number FROM cases JOIN runs"
                " ON runs.id = cases.run WHERE runs.file = ? AND kind = 'pipeline'"
                " ORDER BY runs.started",
                (text(file),),
            )
            for case_id, fingerprint, verdict, number in rows:
                newest[case_id] = (fingerprint, verdict, number)
            found: dict[str, CaseRecord] = {}
            for case_id, now in fingerprints.items():
                fingerprint, verdict, number = newest.get(text(case_id), ("", "", 0))
                if fingerprint == now and verdict == Verdict.PASSED:
                    case = self._case(number, whole=True)
                    if case is not None:
                        found[case_id] = case
        return found

    def runs(self, kind: Kind | None = None, limit: int = -1) -> list[StoredRun]:
        """The newest first."""
        with self._explained():
            rows = self._database.execute(
                f"SELECT {RUN} FROM runs WHERE :kind IS NULL OR kind = :kind"
                " ORDER BY started DESC, id LIMIT :limit",
                {"kind": kind, "limit": limit},
            ).fetchall()
            return [self._stored(row) for row in rows]

    def held(self) -> list[Held]:
        """What decides which of them stay, the newest first."""
        with self._explained():
            rows = self._database.execute(
                "SELECT id, kind, file, name, started, size, finished, owner FROM runs"
                " ORDER BY started DESC, id"
            )
            return [_whole(held, row) for row in rows]

    def run(self, run_id: str) -> StoredRun | None:
        """The one with exactly this id."""
        with self._explained():
            row = self._database.execute(
                f"SELECT {RUN} FROM runs WHERE id = ?", (text(run_id),)
            ).fetchone()
            return None if row is None else self._stored(row)

    def ids(self, prefix: str, limit: int, kind: Kind | None = None) -> list[str]:
        """Of the runs that begin so, the newest first."""
        with self._explained():
            rows = self._database.execute(
                "SELECT id FROM runs WHERE substr(id, 1, length(:prefix)) = :prefix"
                " AND (:kind IS NULL OR kind = :kind) ORDER BY started DESC, id LIMIT :limit",
                {"prefix": text(prefix), "kind": kind, "limit": limit},
            )
            return [row[0] for row in rows if isinstance(row[0], str)]

    def rows(self, run_id: str) -> Iterator[CaseRow]:
        """Of every case, in the order in which they finished; quick, and none is held."""
        for number in self._numbers(run_id):
            with self._explained():
                row = self._database.execute(
                    f"SELECT {CASE} FROM cases WHERE number = ?", (number,)
                ).fetchone()
                found = None if row is None else _whole(case_row, row)
            if found is not None:
                yield found

    def cases(self, run_id: str, *, whole: bool = False) -> Iterator[CaseRecord]:
        """Every case, in the order in which they finished, one at a time. Long texts end after
        their beginning with a word of how much there is more, or are `whole`."""
        for number in self._numbers(run_id):
            with self._explained():
                case = self._case(number, whole=whole)
            if case is not None:
                yield case

    def case(self, run_id: str, case_id: str, *, whole: bool = True) -> CaseRecord | None:
        with self._explained():
            row = self._database.execute(
                "SELECT number FROM cases WHERE run = ? AND id = ?", (text(run_id), text(case_id))
            ).fetchone()
            return None if row is None else self._case(row[0], whole=whole)

    def events(self, run_id: str) -> list[StoredEvent]:
        """In their order."""
        with self._explained():
            rows = self._database.execute(
                "SELECT at, kind, case_id, text FROM events WHERE run = ? ORDER BY at, rowid",
                (text(run_id),),
            )
            return [_whole(stored_event, row) for row in rows]

    def remove(self, run_id: str) -> None:
        with self._explained():
            self._database.execute("DELETE FROM runs WHERE id = ?", (text(run_id),))
            self.texts(run_id).remove()

    def compact(self) -> None:
        """Give back the room of what was removed."""
        with self._explained():
            self._database.execute("VACUUM")
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def texts(self, run_id: str) -> LongTexts:
        return LongTexts(files_of(self.path, run_id))

    def close(self) -> None:
        with self._explained():
            if self._events:
                with self._transaction():
                    self._insert_events()
            self._database.close()

    def _insert_run(self, run: RunRecord, origin: Origin, version: str, owner: str) -> None:
        command = json.dumps(self._mask.words(origin.command))
        values = (
            *(run.id, origin.kind, self._mask(run.pipeline), run.file, run.backend, command),
            *(origin.directory, origin.code_hash, version, owner),
        )
        self._database.execute(
            f"INSERT OR IGNORE INTO runs ({RUN}) VALUES"
            " (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL, '[]')",
            (*map(text, values), run.started, run.finished),
        )

    def _insert_case(self, run_id: str, fingerprint: str, case: CaseRecord) -> None:
        values: Any = plain(case)
        mask = self._hide_parameters(values["parameters"])
        texts = self.texts(run_id)
        cuts = texts.cut(values, case.id, mask)
        *columns, error = case_values(case, fingerprint)
        self._database.execute(
            f"INSERT OR REPLACE INTO cases (run, {CASE}, cuts, record)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(text(run_id), *columns, mask(str(error))),
                *(json.dumps(cuts), json.dumps(values, default=str)),
            ),
        )
        if texts.written:
            self._database.execute(
                "UPDATE runs SET size = size + ? WHERE id = ?", (texts.written, text(run_id))
            )

    def _hide_parameters(self, parameters: dict[str, object]) -> Callable[[str], str]:
        """By name; and what they were, wherever else in the case it stands."""
        found = list(secrets_in(parameters))
        if not found:
            return self._mask
        for name, value in parameters.items():
            if isinstance(value, str) and is_secret_name(name):
                parameters[name] = HIDDEN
        more = Mask(found)
        return lambda text: more(self._mask(text))

    def _insert_events(self) -> None:
        events, self._events = self._events, []
        self._database.executemany(
            # Of a run that is there: it may be gone by now.
            "INSERT INTO events SELECT id, ?, ?, ?, ? FROM runs WHERE id = ?",
            [
                (event.at, event.kind, text(event.case), text(self._mask(event.text)), text(run))
                for run, event in events
            ],
        )

    def _numbers(self, run_id: str) -> list[int]:
        with self._explained():
            rows = self._database.execute(
                "SELECT number FROM cases WHERE run = ? ORDER BY number", (text(run_id),)
            )
            return [row[0] for row in rows]

    def _case(self, number: int, *, whole: bool) -> CaseRecord | None:
        row = self._database.execute(
            "SELECT run, cuts, record FROM cases WHERE number = ?", (number,)
        ).fetchone()
        if row is None:
            return None
        try:
            values = json.loads(row[2])
            cuts = [Cut(tuple(path), size, file) for path, size, file in json.loads(row[1])]
            self.texts(row[0]).put_back(values, cuts, whole=whole)
            return made(CaseRecord, values)
        except UNREADABLE:  # of another version: as if not there
            return None

    def _stored(self, row: tuple[Any, ...]) -> StoredRun:
        return _whole(lambda row: stored_run(row, self._count), row)

    def _count(self, run_id: str) -> dict[str, int]:
        rows = self._database.execute(
            "SELECT verdict, count(*) FROM cases WHERE run = ? GROUP BY verdict", (run_id,)
        )
        return dict(rows.fetchall())

    @contextmanager
    def together(self) -> Generator[None, None, None]:
        """What is written inside is written at once, or not at all."""
        with self._explained(), self._transaction():
            yield

    @contextmanager
    def _transaction(self) -> Generator[None, None, None]:
        if self._database.in_transaction:  # of `together`
            yield
            return
        # IMMEDIATE: one that begins by reading cannot wait for a writer, it fails at once.
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    @contextmanager
    def _explained(self) -> Generator[None, None, None]:
        try:
            yield
        except (sqlite3.Error, OSError, StoreUnusable) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise StoreUnusable(f"{self.path}: the record of runs cannot be used: {why}") from error


def _whole(make: Callable[[tuple[Any, ...]], T], row: tuple[Any, ...]) -> T:
    """What `make` makes of a row. Raises StoreUnusable for one that no e2brun has written."""
    try:
        return make(row)
    except (TypeError, ValueError, RecursionError) as error:
        raise StoreUnusable(f"a run in it is damaged: {type(error).__name__}") from error


def is_missing(path: Path) -> bool:
    """Whether there is nothing. Where nobody may look it is for who opens it to say so."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        pass
    return False


def looked_up(path: Path | None, use: Callable[[Store], T]) -> T | None:
    """What `use` finds in the store; None where there is no store yet."""
    if path is None or is_missing(path):
        return None
    with closing(Store(path)) as store:
        return use(store)
