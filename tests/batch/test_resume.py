"""A batch that was broken off goes on: every case has one result, and none is run twice."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import time
from pathlib import Path

import pytest

from tests.batch.conftest import Place

_DEADLINE = 60.0


def _cases(place: Place, count: int, seconds: float = 0.0) -> None:
    place.lines(
        "c.jsonl",
        [
            {"id": f"c{n}", "code": f"import time; time.sleep({seconds}); assert {n} % 3"}
            for n in range(count)
        ],
    )


def _expected(count: int) -> dict[str, str]:
    return {f"c{n}": "passed" if n % 3 else "failed" for n in range(count)}


def _started(place: Place) -> dict[str, float]:
    return {name: one["started"] for name, one in place.results().items()}


WORDS = ("--jsonl", "c.jsonl", "-o", "out.jsonl")


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGKILL, marks=pytest.mark.in_turn(day=1)),
        pytest.param(signal.SIGTERM, marks=pytest.mark.in_turn(day=2)),
        pytest.param(signal.SIGINT, marks=pytest.mark.in_turn(day=0)),
    ],
)
def test_ended_at_random_moments_it_goes_on_to_the_same_results(
    place: Place, number: signal.Signals
) -> None:
    count, moments = 30, random.Random(number)
    _cases(place, count, 0.02)
    done: dict[str, float] = {}
    resume: tuple[str, ...] = ()
    for _ in range(2):
        process = place.start(*WORDS, *resume)
        out = place.directory / "out.jsonl"
        enough = len(done) + moments.randrange(2, 8)
        end = time.monotonic() + _DEADLINE
        while not out.exists() or out.read_bytes().count(b"\n") < enough:
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.005)
        process.send_signal(number)
        process.communicate(timeout=30)
        assert process.returncode in {-number, 128 + number}
        whole = out.read_bytes()
        lines = [json.loads(line) for line in whole.split(b"\n")[:-1]]
        for line in lines:
            assert done.setdefault(line["id"], line["started"]) == line["started"]
        resume = ("--resume", "@last")
    ran = place.batch(*WORDS, "--resume", "@last")
    assert (ran.code, place.verdicts()) == (1, _expected(count))
    assert done.items() <= _started(place).items()  # what had a result was not run again
    assert re.search(r"c\.jsonl: 20 passed, 10 failed · local .* run ", ran.err)


def test_a_torn_line_is_written_anew(place: Place) -> None:
    _cases(place, 6)
    place.batch(*WORDS)
    out = place.directory / "out.jsonl"
    whole = out.read_bytes()
    out.write_bytes(whole[:-40])
    ran = place.batch(*WORDS, "--resume", "@last")
    assert (ran.code, place.verdicts()) == (1, _expected(6))
    assert "6 of 6 cases had a result: not run again" in ran.err
    assert sorted(out.read_bytes().splitlines()) == sorted(whole.splitlines())


def test_results_that_only_the_file_has_count_as_well(place: Place) -> None:
    _cases(place, 6)
    place.batch(*WORDS)
    started = _started(place)
    import sqlite3

    with sqlite3.connect(place.directory / "state" / "runs.sqlite") as database:
        database.execute("DELETE FROM cases WHERE id IN ('c1', 'c2', 'c3')")
    ran = place.batch(*WORDS, "--resume", "@last")
    assert (ran.code, place.verdicts(), _started(place)) == (1, _expected(6), started)


def test_a_file_that_is_gone_is_written_again_from_the_store(place: Place) -> None:
    _cases(place, 6)
    place.batch(*WORDS)
    started = _started(place)
    (place.directory / "out.jsonl").unlink()
    place.batch(*WORDS, "--resume", "@last")
    assert (place.verdicts(), _started(place)) == (_expected(6), started)


def test_failed_runs_again_what_did_not_pass_or_has_changed(place: Place) -> None:
    _cases(place, 6)
    place.batch(*WORDS)
    started = _started(place)
    lines = [json.loads(line) for line in (place.directory / "c.jsonl").read_text().splitlines()]
    lines[0]["code"] = "print('mended')"
    lines[1]["code"] = "raise SystemExit('worse')"
    place.lines("c.jsonl", lines)
    ran = place.batch("--jsonl", "c.jsonl", "-o", "new.jsonl", "--failed")
    assert ran.code == 1
    verdicts = place.verdicts("new.jsonl")
    assert verdicts == _expected(6) | {"c0": "passed", "c1": "failed"}
    again = {name: one["started"] for name, one in place.results("new.jsonl").items()}
    assert {name for name in again if again[name] != started[name]} == {"c0", "c1", "c3"}


def test_failed_leaves_no_result_of_what_has_changed(place: Place) -> None:
    _cases(place, 6)
    place.batch(*WORDS)
    changed = place.directory / "c.jsonl"
    changed.write_text(changed.read_text().replace("assert 1 %", "assert 4 %"))
    ran = place.batch(*WORDS, "--failed")
    assert (ran.code, place.verdicts()) == (1, _expected(6))
    assert "3 of 6 cases had a result: not run again" in ran.err


@pytest.mark.parametrize("how", [("--resume", "@last"), ("--failed",)])
def test_a_file_that_is_no_result_of_this_input_is_left_as_it_was(
    place: Place, how: tuple[str, ...]
) -> None:
    _cases(place, 3)
    place.lines("other.jsonl", [{"id": "c1", "code": "print(1)"}])
    place.batch("--jsonl", "other.jsonl", "-o", "others.jsonl")
    place.batch(*WORDS)
    place.write("text", "a letter\n")
    place.write("line", "a letter")
    place.lines("lists", [{"id": "c1", "run_id": []}])
    for name in ("c.jsonl", "text", "line", "others.jsonl", "lists"):
        before = (place.directory / name).read_bytes()
        ran = place.batch("--jsonl", "c.jsonl", "-o", name, *how)
        assert (ran.code, (place.directory / name).read_bytes()) == (2, before)
        assert f"--out {name}: line 1 is no result of any recorded run of this input" in ran.err
    assert (place.directory / "out.jsonl").read_bytes().count(b"\n") == 3
    assert place.batch(*WORDS, "--resume", "@last").code == 1  # the run is as it was, too


def test_resumed_with_failed_the_same_run_tries_them_again(place: Place) -> None:
    place.write("flag.txt", "no")
    place.lines("c.jsonl", [{"id": "a", "code": "1/0"}, {"id": "b", "code": "print(1)"}])
    place.batch(*WORDS)
    first = _started(place)
    place.batch(*WORDS, "--resume", "@last", "--failed")
    second = _started(place)
    assert (second["b"], second["a"] > first["a"]) == (first["b"], True)
    assert place.verdicts() == {"a": "failed", "b": "passed"}


def test_a_run_is_named_where_there_is_one_to_go_on_with(place: Place) -> None:
    _cases(place, 1)
    assert " · run " in place.batch("--jsonl", "c.jsonl").err
    assert " · run " not in place.batch("--jsonl", "c.jsonl", "--no-store").err


def test_a_full_disk_is_told_and_what_was_written_is_gone_on_with(place: Place) -> None:
    _cases(place, 8)
    ran = place.batch("--jsonl", "c.jsonl", "-o", "/dev/full")
    assert ran.code == 125
    assert "--out /dev/full: No space left on device" in ran.err
    assert "Go on with --resume " in ran.err
    ran = place.batch(*WORDS, "--resume", "@last")
    assert (ran.code, place.verdicts()) == (1, _expected(8))


def test_what_is_recorded_nowhere_is_not_said_to_be_gone_on_with(place: Place) -> None:
    _cases(place, 1)
    for store in (("--no-store",), ("--store", "c.jsonl")):
        ran = place.batch("--jsonl", "c.jsonl", "-o", "/dev/full", *store)
        assert (ran.code, "--resume" in ran.err) == (125, False)


def test_a_disk_that_fills_up_leaves_whole_lines(place: Place) -> None:
    _cases(place, 12)
    code = (
        "import resource, signal, sys\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "sys.argv[1:] = sys.argv[1:]\nfrom e2brun.batch import results\n"
        "write = results.os.write\n"
        "def limited(file, data):\n"
        "    if results.os.lseek(file, 0, 2) + len(data) > 2000:\n"
        "        write(file, data[:10])\n"
        "        raise OSError(28, 'No space left on device')\n"
        "    return write(file, data)\n"
        "results.os = type('os', (), {**vars(results.os), 'write': staticmethod(limited)})\n"
        "from e2brun.__main__ import main\nmain()\n"
    )
    place.write("limited.py", code)
    import subprocess
    import sys

    from tests.conftest import clean_environment

    ended = subprocess.run(
        [sys.executable, "limited.py", "batch", *WORDS],
        cwd=place.directory,
        env=clean_environment(place.environment),
        capture_output=True,
        check=False,
    )
    assert (ended.returncode, b"No space left on device" in ended.stderr) == (125, True)
    assert (place.directory / "out.jsonl").read_bytes().endswith(b"}\n")
    ran = place.batch(*WORDS, "--resume", "@last")
    assert (ran.code, place.verdicts()) == (1, _expected(12))


def test_nothing_of_ours_is_left_behind(place: Place) -> None:
    _cases(place, 4)
    before = set(os.listdir("/tmp"))
    place.batch(*WORDS)
    new = set(os.listdir("/tmp")) - before
    # Services are other tests', at the same time: a batch has none.
    left = {name for name in new if "e2brun" in name and "serve" not in name}
    assert left == set()
    names = {path.name for path in Path(place.directory).iterdir()}
    assert names == {"c.jsonl", "out.jsonl", "state"}
