"""What is wrong with an input is one line with a place, exit code 2, and nothing has run."""

from __future__ import annotations

import fcntl
import gzip
import json
import os
import re
from pathlib import Path

import pytest

from e2brun.cli.reporting import parse_reports
from e2brun.errors import UsageError
from tests.batch.conftest import Place

GOOD = b'{"id": "good", "code": "print(1)"}\n'
BAD = {
    b"{no json}\n": "not JSON: Expecting property name enclosed in double quotes at column 2",
    b'{"code":\n': "not JSON: Expecting value at column 9",
    b'{"code": "\t"}\n': "not JSON: Invalid control character at column 11",
    b"[1]\n": "an array, not a JSON object a line; jq -c '.[]' makes lines of it",
    b'"text"\n': "not a JSON object",
    b'{"id": "x"}\n': "there is no field 'code'; there are 'id'",
    b'{"id": "x", "code": 3}\n': "the field 'code' is a number, not text",
    b'{"id": null, "code": ""}\n': "the id 'id' is null; an id is text or a whole number",
    b'{"id": "", "code": ""}\n': "the id 'id' is empty text; an id is text or a whole number",
    b'{"id": [], "code": ""}\n': "the id 'id' is a list; an id is text or a whole number",
    b'{"id": 1.5, "code": ""}\n': "the id 'id' is a number; an id is text or a whole number",
    b'{"code": "\xff"}\n': "not UTF-8",
    b'{"code": "\\ud800"}\n': "the code has half a character, which UTF-8 cannot say",
    b'{"code": ' + b"[" * 100_000 + b"\n": "JSON that is nested too deeply",
    b'{"code": "", "n": [' + b"[]," * 1_000_000 + b"0]}\n": "more than 1000000 values",
    b'{"code": "", "n": ' + b"9" * 5000 + b"}\n": "not JSON: a number that is too long",
    GOOD: "the id 'good' stands in line 1 already",
    b'{"code": "print(1)"': "not JSON: Expecting ',' delimiter at column 20",
}


@pytest.mark.parametrize("line", BAD, ids=range(len(BAD)))
def test_a_line_that_is_no_case_is_told_with_its_place(place: Place, line: bytes) -> None:
    place.write("c.jsonl", GOOD + line)
    ran = place.batch("--jsonl", "c.jsonl", "-o", "out.jsonl")
    assert (ran.code, ran.out) == (2, b"")
    said = ran.err.splitlines()
    assert said[0] == f"e2brun: c.jsonl:2: {BAD[line]}"
    assert said[1:] == ["  --skip-bad goes on without such lines, and counts them."]
    assert not (place.directory / "out.jsonl").exists()


def test_bad_lines_can_be_left_out_and_are_counted(place: Place) -> None:
    place.write("c.jsonl", GOOD + b"".join(BAD))
    ran = place.batch("--jsonl", "c.jsonl", "-o", "out.jsonl", "--skip-bad")
    assert (ran.code, place.verdicts()) == (0, {"good": "passed"})
    assert f"{len(BAD)} lines that are no cases were left out; the first: c.jsonl:2: " in ran.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "nothing to run"),
        (["none.py"], "none.py: No such file or directory"),
        (["--jsonl", "none.jsonl"], "none.jsonl: No such file or directory"),
        (["--jsonl", "."], ". is a directory, and no file of JSON lines"),
        (["--jsonl", "empty"], "empty: there are no cases in it"),
        (["--jsonl", "blank"], "blank: there are no cases in it"),
        (["--jsonl", "torn.gz"], "torn.gz: a broken gzip file: "),
        (["p.py", "p.py"], "p.py is named twice"),
        (["p.py", "--jsonl", "c.jsonl"], "FILES and --jsonl cannot stand together"),
        (["p.py", "--code-field", "x"], "--code-field is for --jsonl"),
        (["--jsonl", "c.jsonl", "--format", "x"], "--format x: known are humaneval, mbpp"),
        (["--jsonl", "c.jsonl", "--samples", "s"], "--samples needs --format"),
        (["p.py", "--shard", "3/2"], "--shard 3/2: write which of how many, such as 2/8"),
        (["p.py", "--shard", "x"], "--shard x: write"),
        (["p.py", "--budget", "$x"], "--budget $x: write a price such as $2, or a time such as 5m"),
        (["p.py", "--budget", "$2"], "this machine has no price"),
        (["p.py", "--concurrency", "0"], "--concurrency: "),
        (["p.py", "--repeat", "-1"], "--repeat: "),
        (["p.py", "--pass-rate", "2"], "--pass-rate 2: write a share from 0 to 1"),
        (["p.py", "--resume", "@last"], "--resume @last: no run is recorded"),
        (["p.py", "-o", "no/such/place"], "--out no/such/place: No such file or directory"),
        (["p.py", "--memory", "x"], "--memory: "),
        (["p.py", "--install", "x=="], "'x==' is not a requirement"),
        (["p.py", "--template", "none"], "there is no template 'none' here"),
        (["p.py", "--python", "9.9"], "no Python 9.9 was found"),
        (["p.py", "--resume"], "Option '--resume' requires an argument."),
        (["x.bin"], "x.bin: unknown type of file"),
    ],
)
def test_one_clear_line_and_exit_code_2(place: Place, words: list[str], said: str) -> None:
    place.write("p.py", "print(1)")
    place.write("c.jsonl", GOOD)
    place.write("empty", b"")
    place.write("blank", b"\n \n\n")
    place.write("x.bin", b"\0")
    place.write("torn.gz", gzip.compress(GOOD * 1000)[:-20])
    ran = place.batch(*words)
    assert (ran.code, ran.out) == (2, b"")
    assert said in ran.err.splitlines()[0]
    assert "Traceback" not in ran.err
    assert "Go on with" not in ran.err
    assert ("requires an" in said) == ("  See `e2brun batch --help`." in ran.err.splitlines())


def test_results_and_the_document_do_not_both_go_to_stdout(place: Place) -> None:
    place.write("p.py", "print(1)")
    ran = place.batch("p.py", "-o", "-", "--json")
    document = json.loads(ran.out)
    assert (ran.code, document["exit_code"], document["cases"]) == (2, 2, [])
    assert "--out - and --json both have stdout" in ran.err


def test_two_runs_do_not_write_one_file(place: Place) -> None:
    place.write("p.py", "print(1)")
    with (place.directory / "out.jsonl").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        ran = place.batch("p.py", "-o", "out.jsonl")
    assert (ran.code, "--out out.jsonl: another run is writing it" in ran.err) == (2, True)


def test_results_of_another_run_are_not_overwritten(place: Place) -> None:
    place.write("p.py", "print(1)")
    place.batch("p.py", "-o", "out.jsonl")
    before = (place.directory / "out.jsonl").read_bytes()
    ran = place.batch("p.py", "-o", "out.jsonl")
    assert (ran.code, "the file is not empty" in ran.err) == (2, True)
    assert (place.directory / "out.jsonl").read_bytes() == before


def test_a_run_of_another_input_is_not_gone_on_with(place: Place) -> None:
    place.lines("c.jsonl", [{"id": "a", "code": "print(1)"}])
    place.batch("--jsonl", "c.jsonl", "-o", "out.jsonl")
    before = (place.directory / "out.jsonl").read_bytes()
    for words in (["--timeout", "3s"], ["--shard", "1/2"], ["--code-field", "id"]):
        ran = place.batch("--jsonl", "c.jsonl", *words, "-o", "out.jsonl", "--resume", "@last")
        assert (ran.code, "another input, or other options" in ran.err) == (2, True)
    place.lines("c.jsonl", [{"id": "a", "code": "print(2)"}])
    ran = place.batch("--jsonl", "c.jsonl", "-o", "out.jsonl", "--resume", "@last")
    assert (ran.code, "another input" in ran.err) == (2, True)
    assert (place.directory / "out.jsonl").read_bytes() == before


def test_a_large_file_is_read_in_flat_memory(place: Place) -> None:
    with (place.directory / "c.jsonl").open("w") as file:
        for number in range(10_000):
            file.write(json.dumps({"id": number, "code": "#" * 5000}) + "\n")
    code = (
        "import resource, sys\nfrom e2brun.cli.batch_plan import input_of\n"
        "from e2brun.cli.batch_options import BatchRequest\n"
        "cases = input_of(BatchRequest(jsonl='c.jsonl'))\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print(cases.survey().cases, sum(1 for _ in cases.cases()))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    place.write("measure.py", code)
    import subprocess
    import sys

    out = subprocess.run(
        [sys.executable, "measure.py"], cwd=place.directory, capture_output=True, check=True
    ).stdout.split()
    assert out[:2] == [b"10000", b"10000"]
    assert int(out[2]) < 30_000  # KiB, of 50 MB; and eight bytes an id


def test_a_line_without_end_is_not_read_whole(place: Place) -> None:
    with (place.directory / "c.jsonl").open("wb") as file:
        file.write(b'{"code": "')
        file.truncate(70 * 1024 * 1024)
    ran = place.batch("--jsonl", "c.jsonl")
    assert ran.code == 2
    assert re.search(r"c\.jsonl:1: a line of more than 64 MiB", ran.err)


_LONG = "x" * 300  # a name that no file can have: looking at it fails, as at one nobody may see


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["batch", "p.py", "--report", f"{_LONG}.xml"], 125),
        (["batch", "p.py", "--report", f"{_LONG}/r.xml"], 2),
        (["batch", "p.py", "--failed", "--store", _LONG], 125),
        (["batch", "p.py", "--resume", "@last", "--store", _LONG], 125),
        (["pipeline", "list", _LONG], 2),
        (["runs", "list", "--store", _LONG], 125),
        (["serve", "--env-file", f"{_LONG}/e", "--", "true"], 2),
        (["serve", "--env-file", _LONG, "--", "true"], 2),
    ],
)
def test_a_place_that_cannot_be_looked_at_is_one_line(
    place: Place, words: list[str], code: int
) -> None:
    place.write("p.py", "print(1)")
    ran = place.run(*words, env=place.environment)
    assert (ran.code, "Traceback" in ran.err) == (code, False)
    assert "name too long" in ran.err or "no such " in ran.err or "no directory" in ran.err
    assert "[Errno" not in ran.err


def test_a_report_that_nobody_may_write_is_told_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / "there.md"
    there.touch()
    asked: list[Path] = []

    def access(path: Path, mode: int) -> bool:
        if mode == os.W_OK:
            asked.append(path)
        return mode == os.F_OK and path == there

    monkeypatch.setattr(os, "access", access)
    for file in (tmp_path / "new.xml", there):
        with pytest.raises(UsageError, match="you may not write there"):
            parse_reports([str(file)])
    assert asked == [tmp_path, there]
