"""What is kept of runs, and how it is found again."""

from __future__ import annotations

import gzip
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from e2brun.errors import StoreUnusable, UsageError
from e2brun.runs.finding import find
from e2brun.runs.origin import State
from e2brun.runs.plain import plain
from e2brun.runs.record import Verdict
from e2brun.runs.recording import Recording, recording_of
from e2brun.runs.rows import StoredEvent
from e2brun.runs.store import Store
from e2brun.sandbox.masking import Mask
from e2brun.settings import Settings
from tests.runs.records import ORIGIN, case, execution, run


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(tmp_path / "deep" / "runs.sqlite")) as opened:
        yield opened


def test_a_case_comes_back_as_it_was(store: Store) -> None:
    kept = case(parameters={"n": 1, "of": [1, {"a": None}]}, ran=execution(completed=True))
    store.begin(run(), ORIGIN)
    store.keep("r1", kept, "print")
    assert store.case("r1", "one") == kept
    assert list(store.cases("r1")) == [kept]
    row = next(store.rows("r1"))
    assert (row.id, row.verdict, row.outcome, row.completed) == ("one", "passed", "ok", True)
    assert (row.exit_code, row.sandboxes, row.fingerprint) == (0, ("i1",), "print")


def test_long_output_is_cut_in_the_database_and_whole_beside_it(store: Store) -> None:
    long = "".join(f"line {number}\n" for number in range(2000))
    kept = case(ran=execution(stdout=long))
    store.begin(run(), ORIGIN)
    store.keep("r1", kept)
    assert store.case("r1", "one", whole=True) == kept
    shown = next(store.cases("r1")).attempts[0].steps[1].execution
    assert shown is not None
    assert shown.stdout.startswith("line 0\nline 1\n")
    assert shown.stdout.endswith("more characters")
    assert len(shown.stdout) < 5000
    (file,) = store.texts("r1").directory.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    file.unlink()
    gone = store.case("r1", "one", whole=True)
    assert gone == next(store.cases("r1"))


def test_no_output_can_claim_to_be_cut_and_have_a_file_of_the_host_read(store: Store) -> None:
    forged = {"json": {"cut": "x", "characters": 9, "file": "/etc/passwd"}}
    kept = case(ran=execution(results=(forged,)))
    store.begin(run(), ORIGIN)
    store.keep("r1", kept)
    assert store.case("r1", "one") == kept


@pytest.mark.parametrize("name", ["..", ".", "", "../..", "a/..", "../victim"])
def test_what_is_taken_away_of_a_run_lies_beside_the_store_whatever_its_id(
    store: Store, tmp_path: Path, name: str
) -> None:
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "file").touch()
    store.begin(run(), ORIGIN)
    store.keep("r1", case(ran=execution(stdout="x" * 10_000)))  # makes the directory
    store.remove(name)
    assert (tmp_path / "victim" / "file").exists()
    assert any(store.texts("r1").directory.iterdir())


@pytest.mark.parametrize("value", ["no JSON", 7, b"\xff\0\xff", "[" * 50_000])
def test_a_run_that_a_stranger_has_written_is_told_as_damaged(store: Store, value: object) -> None:
    store.begin(run(), ORIGIN)
    with closing(sqlite3.connect(store.path)) as database, database:
        database.execute("UPDATE runs SET command = ?", (value,))
    with pytest.raises(StoreUnusable, match="a run in it is damaged"):
        store.runs()


_ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"


@pytest.mark.parametrize(
    "made",
    [
        f"ALTER TABLE runs RENAME TO old; CREATE VIEW runs AS SELECT old.*, ({_ENDLESS}) FROM old",
        f"CREATE TRIGGER kept AFTER INSERT ON cases BEGIN INSERT INTO runs {_ENDLESS}; END",
        "CREATE VIRTUAL TABLE more USING fts5(x)",
    ],
)
def test_a_store_that_computes_something_is_not_opened(store: Store, made: str) -> None:
    with closing(sqlite3.connect(store.path)) as database:
        database.executescript(made)
    with pytest.raises(StoreUnusable, match="that no e2brun has made"):
        Store(store.path)


def test_what_a_stranger_has_put_in_place_of_a_long_text_is_not_read(store: Store) -> None:
    store.begin(run(), ORIGIN)
    store.keep("r1", case(ran=execution(stdout="x" * 10_000)))
    (file,) = store.texts("r1").directory.iterdir()
    elsewhere = store.path.with_name("of-the-host.gz")
    elsewhere.write_bytes(gzip.compress(b"secret"))
    bomb, broken = gzip.compress(bytes(16 * 1024 * 1024), 1) * 8, file.read_bytes()[:10] + bytes(20)
    for put in (
        partial(file.write_bytes, bomb),
        partial(file.write_bytes, broken),
        partial(file.symlink_to, elsewhere),
        partial(os.mkfifo, file),
    ):
        file.unlink()
        put()
        found = store.case("r1", "one", whole=True)
        assert found is not None
        ran = found.attempts[0].steps[1].execution
        assert ran is not None
        assert ran.stdout.endswith("5904 more characters")


def test_a_case_that_is_nested_without_end_is_as_if_not_there(store: Store) -> None:
    store.begin(run(), ORIGIN)
    store.keep("r1", case())
    with closing(sqlite3.connect(store.path)) as database, database:
        database.execute("UPDATE cases SET record = ?", ("[" * 100_000,))
    assert store.case("r1", "one") is None


@pytest.mark.parametrize(
    ("field", "value"),
    [("stdout", 7), ("truncated", None), ("results", ["x"]), ("execution_time", 10**400),
     ("exit_code", "\x1b]0;x\x07"), ("peak_memory", 1e999)],
)  # fmt: skip
def test_a_case_with_a_value_of_another_kind_is_as_if_not_there(
    store: Store, field: str, value: object
) -> None:
    store.begin(run(), ORIGIN)
    kept = case(ran=execution(results=({"text": "1"},), truncated={"stdout": 1}))
    store.keep("r1", kept)
    assert store.case("r1", "one") == kept
    written: Any = plain(kept)
    written["attempts"][0]["steps"][1]["execution"][field] = value
    with closing(sqlite3.connect(store.path)) as database, database:
        database.execute("UPDATE cases SET record = ?", (json.dumps(written),))
    assert store.case("r1", "one") is None


@pytest.mark.parametrize(
    ("change", "read"),
    [
        ("cases SET verdict = 'x'", lambda store: list(store.rows("r1"))),
        ("cases SET sandboxes = '[1]'", lambda store: list(store.rows("r1"))),
        ("cases SET seconds = 'x'", lambda store: list(store.rows("r1"))),
        ("runs SET started = 1e999", lambda store: store.runs()),
        ("runs SET command = '[1]'", lambda store: store.runs()),
        ("runs SET counts = '7'", lambda store: store.runs()),
        ("runs SET name = x'ff'", lambda store: store.run("r1")),
        ("runs SET started = 'x'", lambda store: store.held()),
        ("events SET at = 'x'", lambda store: store.events("r1")),
    ],
)
def test_a_row_that_no_e2brun_has_written_is_told_as_damaged(
    store: Store, change: str, read: Callable[[Store], object]
) -> None:
    store.begin(run(), ORIGIN)
    store.tell("r1", StoredEvent(1.0, "notice", "", "hear"))
    store.keep("r1", case())
    assert read(store)
    with closing(sqlite3.connect(store.path)) as database, database:
        database.execute(f"UPDATE {change}")
    with pytest.raises(StoreUnusable, match="a run in it is damaged"):
        read(store)


def test_a_second_record_of_a_case_takes_the_place_of_the_first(store: Store) -> None:
    store.begin(run(), ORIGIN)
    store.keep("r1", case("one", Verdict.FAILED))
    store.keep("r1", case("two"))
    store.keep("r1", case("one"))
    assert [row.id for row in store.rows("r1")] == ["two", "one"]
    assert store.runs()[0].counts == {"passed": 2}


def test_a_run_is_running_then_finished(store: Store) -> None:
    store.begin(run(), ORIGIN)
    before = store.runs()[0]
    assert (before.state, before.exit_code, before.origin) == (State.RUNNING, None, ORIGIN)
    store.keep("r1", case("bad", Verdict.FAILED))
    store.finish("r1", 1, ["a note"])
    after = store.run("r1")
    assert after is not None
    assert (after.state, after.exit_code, after.counts) == (State.FINISHED, 1, {"failed": 1})
    assert after.record.notes == ("a note",)


def test_a_run_that_is_resumed_is_running_again(store: Store) -> None:
    store.begin(run(), ORIGIN, owner="1:0:gone:elsewhere")
    store.finish("r1", 137)
    store.begin(run(), ORIGIN)
    again = store.runs()[0]
    assert (again.state, again.exit_code) == (State.RUNNING, None)


_SAYS_ITS_MARK = "from e2brun.sandbox import owner; print(owner.owner_mark(), flush=True); input()"


def test_a_run_that_another_process_goes_on_with_is_not_begun_again(store: Store) -> None:
    """Two that resume one at the same moment have both seen that nobody does."""
    other = subprocess.Popen(
        [sys.executable, "-c", _SAYS_ITS_MARK],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout is not None
    store.begin(run(), ORIGIN, owner=other.stdout.readline().strip())
    with pytest.raises(UsageError, match="r1: it is still running"):
        store.begin(run(), ORIGIN)
    other.communicate("\n")
    store.begin(run(), ORIGIN)
    assert store.runs()[0].state is State.RUNNING


def test_events_are_there_with_the_next_case_or_at_the_end(store: Store) -> None:
    store.begin(run(), ORIGIN)
    events = [StoredEvent(1.0, "sandbox", "one", "i1"), StoredEvent(2.0, "notice", "", "hear")]
    store.tell("r1", events[0])
    store.keep("r1", case())
    store.tell("r1", events[1])
    store.finish("r1", 0)
    assert store.events("r1") == events


def test_names_that_are_no_text_are_kept_spelled_out(store: Store) -> None:
    kept = case("a\udcff.py", code="x = '\udcff'")
    store.begin(run(), ORIGIN)
    store.keep("r1", kept)
    assert store.case("r1", "a\udcff.py") == kept


def test_a_run_is_found_by_the_beginning_of_its_id_and_as_the_last(store: Store) -> None:
    for number, run_id in enumerate(("abc1", "abc2", "b1")):
        store.begin(run(run_id, started=1000.0 + number), ORIGIN)
    assert find(store, "b").record.id == "b1"
    assert find(store, "abc1").record.id == "abc1"
    assert find(store, "@last").record.id == "b1"
    assert find(store, "@last~2").record.id == "abc1"
    with pytest.raises(UsageError, match="abc may be any of abc2, abc1: write more of it"):
        find(store, "abc")
    for wrong in ("x", "", "%", "@last~3", "@last~x", "@latest", "@last~-1"):
        with pytest.raises(UsageError):
            find(store, wrong)
    store.begin(run("b"), ORIGIN)  # whole, though another begins with it
    assert find(store, "b").record.id == "b"


def test_secrets_are_in_no_row_and_in_no_file(tmp_path: Path) -> None:
    path = tmp_path / "runs.sqlite"
    secret, other = "s3cret/value!", "tok-0123456789"
    mask = Mask([secret])
    with closing(Store(path, mask)) as store:
        command = ("batch", "--env", f"A_TOKEN={other}", "--api-key", other, f"x={secret}")
        store.begin(run(), type(ORIGIN)("batch", command))
        ran = execution(stdout=f"{secret}\n{other}\n" * 900, traceback=secret)
        store.keep("r1", case(ran=ran, parameters={"api_key": other, "q": secret}, code=secret))
        store.tell("r1", StoredEvent(1.0, "notice", "", f"it is {secret}"))
        store.finish("r1", 0, [secret])
        whole = json.dumps(plain(store.case("r1", "one")))
        assert "***" in whole
        assert secret not in whole
        assert other not in whole
    found = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    for value in (secret, other):
        assert value.encode() not in found


@pytest.mark.parametrize(
    "spelled",
    [repr, json.dumps, lambda text: json.dumps(text, ensure_ascii=False), quote, quote_plus],
)
def test_a_secret_is_hidden_however_it_is_spelled(spelled: Callable[[str], str]) -> None:
    secret = 'p\N{LATIN SMALL LETTER A WITH DIAERESIS}ss "of"\tus/\\'
    assert Mask([secret])(f"before {spelled(secret)} after").replace("'", '"') in {
        "before *** after",
        'before "***" after',
    }


def test_a_key_in_several_lines_is_hidden_line_by_line() -> None:
    mask = Mask(["-----BEGIN-----\nfirst-of-key\nsecond-of-key\n}\n"])
    assert mask("second-of-key | first-of-key | }") == "*** | *** | }"
    assert mask.of_bytes(b"> second-of-key") == b"> ***"


def test_a_recorded_run_hides_the_key_and_what_is_called_a_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a pipeline, a batch: the key, the environments that were given, and our own."""
    monkeypatch.setenv("UV_INDEX_PRIVATE_PASSWORD", "pass-of-an-index")
    settings = Settings(store=tmp_path / "runs.sqlite", api_key="e2b_0123456789")
    given = {"GITHUB_TOKEN": "ghp-of-somebody", "LEVEL": "debug-level"}
    recording = recording_of(run(), "batch", "0" * 64, settings, print, given)
    recording.begin()
    said = "e2b_0123456789 pass-of-an-index ghp-of-somebody debug-level"
    assert recording.keep(case(ran=execution(stdout=said)))
    assert recording.store is not None
    assert "*** *** *** debug-level" in json.dumps(plain(recording.store.case("r1", "one")))
    recording.close()


OLD = """
PRAGMA journal_mode = WAL;
CREATE TABLE runs (
    id TEXT PRIMARY KEY, file TEXT NOT NULL, pipeline TEXT NOT NULL, backend TEXT NOT NULL,
    started REAL NOT NULL, finished REAL
);
CREATE INDEX runs_by_file ON runs (file, started);
CREATE TABLE cases (
    run TEXT NOT NULL REFERENCES runs ON DELETE CASCADE, id TEXT NOT NULL,
    fingerprint TEXT NOT NULL, verdict TEXT NOT NULL, record TEXT NOT NULL,
    PRIMARY KEY (run, id)
) WITHOUT ROWID;
"""


def _old_file(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.executescript(OLD)
        kept = plain(case(ran=execution(stdout="y" * 9000)))
        row = ("r1", "/data/p.toml", "p", "local", 1.0, 2.0)
        database.execute("INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?)", row)
        for case_id, record in (("one", json.dumps(kept)), ("unreadable", "{")):
            row2 = ("r1", case_id, "print", "passed", record)
            database.execute("INSERT INTO cases VALUES (?, ?, ?, ?, ?)", row2)
        database.commit()


def test_the_file_of_an_older_version_is_made_over(tmp_path: Path) -> None:
    _old_file(tmp_path / "runs.sqlite")
    for _ in range(2):
        with closing(Store(tmp_path / "runs.sqlite")) as store:
            (found,) = store.runs()
            assert (found.origin.kind, found.record.pipeline) == ("pipeline", "p")
            assert (found.record.finished, found.counts) == (2.0, {"passed": 1})
            passed = store.passed("/data/p.toml", {"one": "print"})
            assert passed == {"one": case(ran=execution(stdout="y" * 9000))}


def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "runs.sqlite"
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreUnusable, match="newer e2brun"):
        Store(path)


@pytest.mark.parametrize(
    "content", [b"no database at all" * 100, b"SQLite format 3\0" + b"\xff" * 5000]
)
def test_where_the_store_is_broken_one_line_says_so_and_the_run_goes_on(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "runs.sqlite"
    path.write_bytes(content)
    said: list[str] = []
    recording = Recording(path, run(), ORIGIN, mask=Mask(), notice=said.append)
    recording.begin()
    assert not recording.keep(case())
    recording.finish(0)
    recording.close()
    assert len(said) == 1
    assert "the run goes on and is not recorded" in said[0]
    with pytest.raises(StoreUnusable):
        Recording(path, run(), ORIGIN, mask=Mask(), notice=said.append, needed=True).begin()
    assert path.read_bytes() == content
