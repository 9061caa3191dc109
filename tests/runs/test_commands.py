"""`e2brun runs`, as a user sees it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from e2brun.runs.keeping import Rules, surplus
from e2brun.runs.record import Verdict
from e2brun.runs.rows import Held
from e2brun.runs.spool import files_of
from e2brun.runs.store import Store
from tests.conftest import Ran, Run
from tests.runs.records import ORIGIN, case, execution, run

Runs = Callable[..., Ran]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of a store with two batches in it: one case failed in the second, one is new."""
    path = tmp_path / "runs.sqlite"
    with closing(Store(path)) as store:
        for number, run_id in enumerate(("aa11", "aa22")):
            store.begin(run(run_id, started=1000.0 + number), ORIGIN)
            store.keep(run_id, case("same"))
            verdict = Verdict.FAILED if number else Verdict.PASSED
            store.keep(run_id, case("changed", verdict))
            if number:
                store.keep(run_id, case("added", ran=execution("x" * 9000)))
            store.finish(run_id, number)
    return path


@pytest.fixture
def runs(e2brun: Run, path: Path) -> Runs:
    def call(*words: str | Path) -> Ran:
        return e2brun("runs", *words, env={"E2BRUN_STORE": str(path)})

    return call


def test_list_has_the_newest_first(runs: Runs) -> None:
    lines = runs("list").text.splitlines()
    assert [line.split()[0] for line in lines] == ["ID", "aa22", "aa11"]
    assert "exit 1" in lines[1]
    assert "2 passed, 1 failed" in lines[1]
    assert len(runs("list", "-n", "1").text.splitlines()) == 2
    assert runs("list", "--kind", "exec").text == ""
    found = json.loads(runs("list", "--json").out)["runs"]
    assert [one["id"] for one in found] == ["aa22", "aa11"]
    assert found[0]["counts"] == {"passed": 2, "failed": 1, "infrastructure": 0, "skipped": 0}


def test_show_tells_of_a_run_and_of_each_of_its_cases(runs: Runs) -> None:
    shown = runs("show", "@last").text
    for expected in ("aa22", "e2brun batch c.jsonl", "/data", "failed", "changed", "i1"):
        assert expected in shown
    found = json.loads(runs("show", "aa2", "--json").out)
    assert [one["id"] for one in found["cases"]] == ["same", "changed", "added"]
    assert found["cases"][1]["error"] == "execute program: it went so"


def test_show_of_a_case_has_all_of_it(runs: Runs) -> None:
    shown = runs("show", "aa22", "added").text
    assert "x" * 9000 in shown
    assert "print('fine')" in shown
    assert "c.py:1:2: low: odd [S1]" in shown
    found = json.loads(runs("show", "aa22", "added", "--json").out)
    assert found["case"]["verdict"] == "passed"
    ran = runs("show", "aa22", "add")
    assert ran.code == 2
    assert 'did you mean "added"?' in ran.err


def test_what_a_program_printed_does_nothing_to_the_terminal(runs: Runs, path: Path) -> None:
    with closing(Store(path)) as store:
        hostile = "\x1b[31m\u202ered\x07"
        store.begin(run("b1", started=2000.0), ORIGIN)
        store.keep("b1", case(hostile, ran=execution(hostile), code=hostile))
        store.finish("b1", 0)
    for words in (("list",), ("show", "b1"), ("show", "b1", hostile), ("diff", "b1", "aa11")):
        text = runs(*words).text
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "\x07" not in text


def test_diff_names_what_did_not_go_the_same_way(runs: Runs) -> None:
    ran = runs("diff", "aa11", "aa22")
    assert ran.code == 1
    lines = ran.text.splitlines()
    assert [line.split()[0] for line in lines] == ["changed", "added"]
    assert "passed -> failed" in lines[0]
    found = json.loads(runs("diff", "aa11", "aa22", "--json").out)["differences"]
    assert [(one["id"], one["what"]) for one in found] == [
        ("changed", ["verdict", "outcome", "exit code"]),
        ("added", ["new"]),
    ]
    same = runs("diff", "aa11", "aa11")
    assert (same.code, same.out) == (0, b"")


def test_an_id_that_may_be_two_runs_is_one_line_and_exit_code_2(runs: Runs) -> None:
    for words in (("show", "aa"), ("rm", "aa"), ("export", "aa"), ("diff", "aa", "@last")):
        ran = runs(*words)
        assert ran.code == 2
        assert ran.out == b""
        assert ran.err == "e2brun: aa may be any of aa22, aa11: write more of it\n"
    document = json.loads(runs("show", "aa", "--json").out)
    assert document["error"]["name"] == "UsageError"


@pytest.mark.parametrize("text", ["zz", "@last~7", "../x"])
def test_a_run_that_is_not_there_is_one_line_and_exit_code_2(runs: Runs, text: str) -> None:
    ran = runs("show", text)
    assert ran.code == 2
    assert ran.err.startswith(f"e2brun: {text}")
    assert "Traceback" not in ran.err


def test_rm_takes_a_run_away_with_its_files(runs: Runs, path: Path) -> None:
    assert files_of(path, "aa22").is_dir()
    assert runs("rm", "@last", "aa11").text == "aa22\naa11\n"
    assert not files_of(path, "aa22").exists()
    assert runs("list").text == ""
    assert runs("rm", "@last").code == 2


def test_rm_takes_none_away_while_one_of_them_goes_on(runs: Runs, path: Path) -> None:
    with closing(Store(path)) as store:
        store.begin(run("bb11", started=2000.0), ORIGIN)
        ran = runs("rm", "aa11", "@last")
        assert (ran.code, ran.text) == (2, "")
        assert ran.err == "e2brun: bb11: it is still running\n"
        assert len(runs("list").text.splitlines()) == 4
        store.finish("bb11", 0)
    assert runs("rm", "@last").code == 0


def test_export_has_every_case_whole(runs: Runs, path: Path) -> None:
    lines = [json.loads(line) for line in runs("export", "aa22").out.splitlines()]
    assert lines[0]["run"]["id"] == "aa22"
    assert [line["case"]["id"] for line in lines[1:]] == ["same", "changed", "added"]
    assert lines[3]["case"]["attempts"][0]["steps"][1]["execution"]["stdout"] == "x" * 9000
    assert runs("export", "aa22", "-o", "out.jsonl").code == 0
    written = (path.parent / "out.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in written] == lines
    again = runs("export", "aa22", "-o", "out.jsonl")
    assert again.code == 2
    assert "not overwritten" in again.err


def test_gc_takes_away_what_is_beyond_the_rules_and_files_of_no_run(runs: Runs, path: Path) -> None:
    files_of(path, "orphan").mkdir()
    assert runs("gc").text == ""
    assert not files_of(path, "orphan").exists()
    assert runs("gc", "--keep", "1", "--dry-run").text == "aa11\n"
    assert len(runs("list").text.splitlines()) == 3
    assert runs("gc", "--keep", "1").text == "aa11\n"
    assert runs("gc", "--older-than", "1d").text == "aa22\n"
    for wrong in (("--older-than", "x"), ("--max-size", "x")):
        ran = runs("gc", *wrong)
        assert ran.code == 2
        assert wrong[0] in ran.err


def test_what_goes_on_is_never_taken_away() -> None:
    now = time.time()
    held = [Held(f"r{n}", "exec", "p.py", now - n, 100, n == 3) for n in range(5)]
    assert list(surplus(held, Rules(programs=2))) == ["r2", "r4"]
    assert list(surplus(held, Rules(room=250))) == ["r2", "r4"]
    assert list(surplus(held, Rules())) == []


@pytest.mark.parametrize("words", [("list",), ("gc",)])
def test_a_store_that_is_broken_is_one_line_and_125(
    runs: Runs, path: Path, words: tuple[str, ...]
) -> None:
    for file in path.parent.glob("runs.sqlite-*"):
        file.unlink()
    path.write_bytes(b"no database" * 1000)
    ran = runs(*words)
    assert (ran.code, ran.out) == (125, b"")
    assert ran.err.startswith(f"e2brun: {path}: the record of runs cannot be used")
    assert "Traceback" not in ran.err


def test_where_nothing_was_recorded_nothing_is_made(e2brun: Run, tmp_path: Path) -> None:
    environment = {"E2BRUN_STORE": "none.sqlite"}
    assert e2brun("runs", "list", env=environment).code == 0
    assert e2brun("runs", "gc", env=environment).code == 0
    assert e2brun("runs", "show", "@last", env=environment).code == 2
    assert e2brun("runs", "list", env={"E2BRUN_STORE": "off"}).code == 2
    assert list(tmp_path.iterdir()) == []


def test_a_pipeline_and_a_comparison_are_recorded_too(e2brun: Run, tmp_path: Path) -> None:
    environment = {"E2BRUN_ON": "local", "E2BRUN_STORE": "r.sqlite", "MY_API_KEY": "0123456789"}
    (tmp_path / "a.py").write_text("print('a')")
    (tmp_path / "p.toml").write_text(
        '[pipeline]\nname = "p"\n[generate]\nfiles = ["a.py"]\n[execute]\n'
        'args = ["0123456789"]\nenv = { A_PASSWORD = "hunter22" }\n[[check]]\nstdout = "b\\n"\n'
    )
    ran = e2brun("pipeline", "run", "p.toml", "--var", "x=hunter22", env=environment)
    assert ran.code in {1, 2}
    assert e2brun("pipeline", "run", "p.toml", env=environment).code == 1
    assert e2brun("bench", "a.py", "--repeats", "2", env=environment).code == 0
    found = json.loads(e2brun("runs", "list", "--json", env=environment).out)["runs"]
    kinds = [(one["kind"], one["exit_code"], one["state"]) for one in found]
    assert kinds[:2] == [("bench", 0, "finished"), ("pipeline", 1, "finished")]
    assert found[1]["command"] == ["pipeline", "run", "p.toml"]
    assert found[1]["counts"]["failed"] == 1
    events = json.loads(e2brun("runs", "show", "@last~1", "--json", env=environment).out)["events"]
    assert [event["kind"] for event in events] == ["sandbox"]
    content = b"".join(file.read_bytes() for file in tmp_path.glob("r.sqlite*") if file.is_file())
    assert b"hunter22" not in content
    assert b"0123456789" not in content
    assert e2brun("pipeline", "run", "p.toml", "--no-store", env=environment).code == 1
    again = json.loads(e2brun("runs", "list", "--json", env=environment).out)["runs"]
    assert len(again) == len(found)
