"""`e2brun batch`: programs from files and lines, each judged, each with one result."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys

import pytest

from tests.batch.conftest import Place
from tests.conftest import COMMAND, Ran, clean_environment


def test_files_are_run_and_judged_by_how_they_end(place: Place) -> None:
    place.write("good.py", "print('fine')")
    place.write("bad.py", "raise ValueError('no')")
    place.write("shell.sh", "exit 3")
    ran = place.batch("good.py", "bad.py", "shell.sh", "-o", "out.jsonl")
    assert ran.code == 1
    assert place.verdicts() == {"good.py": "passed", "bad.py": "failed", "shell.sh": "failed"}
    good, bad = place.results()["good.py"], place.results()["bad.py"]
    assert (good["stdout"], good["outcome"], good["passed"]) == ("fine\n", "ok", True)
    assert (bad["exit_code"], "ValueError: no" in bad["result"]) == (1, True)
    assert sorted(ran.text.split("\n")[:2])[0].startswith("FAIL bad.py execute program: ")
    assert "1 passed, 2 failed · local" in ran.err


def test_lines_of_json_are_cases_with_options_of_exec(place: Place) -> None:
    place.write("data.txt", "data")
    code = "import os; print(open('data.txt').read(), os.environ['NAME'])"
    place.lines("c.jsonl", [{"name": "a", "program": code}, {"name": 7, "program": "1/0"}])
    ran = place.batch(
        *("--jsonl", "c.jsonl", "--code-field", "program", "--id-field", "name"),
        *("--file", "data.txt", "--env", "NAME=value", "-o", "out.jsonl"),
    )
    assert (ran.code, place.verdicts()) == (1, {"a": "passed", "7": "failed"})
    assert place.results()["a"]["stdout"] == "data value\n"


def test_gzipped_lines_are_recognised_by_what_they_are(place: Place) -> None:
    place.write("c.data", gzip.compress(b'{"code": "print(1)"}\n\n{"code": "print(2)"}'))
    ran = place.batch("--jsonl", "c.data", "-o", "out.jsonl")
    assert (ran.code, set(place.verdicts())) == (0, {"1", "3"})


def test_lines_come_from_standard_input_too(place: Place) -> None:
    ran = place.batch("--jsonl", "-", "--out", "-", stdin=b'{"id": "x", "code": "print(1)"}\n')
    assert (ran.code, json.loads(ran.text)["stdout"]) == (0, "1\n")


@pytest.mark.parametrize("place_of", ["named.pipe", "/dev/stdin"])
def test_lines_come_from_a_pipe_with_a_name(place: Place, place_of: str) -> None:
    line = b'{"id": "x", "code": "print(1)"}\n'
    if place_of == "/dev/stdin":
        ran = place.batch("--jsonl", place_of, stdin=line)
    else:
        os.mkfifo(place.directory / place_of)
        process = place.start("--jsonl", place_of)
        (place.directory / place_of).write_bytes(line)
        out, _ = process.communicate(timeout=60)
        ran = Ran(process.returncode, out, "")
    assert (ran.code, ran.text[:7]) == (0, "PASS x ")


def test_every_test_of_a_program_has_its_input_and_what_it_is_to_print(place: Place) -> None:
    code = "n = int(input()); print(n * 2, ' ')"
    place.lines(
        "c.jsonl",
        [
            {"id": "right", "code": code, "in": ["1", "21\n"], "out": ["2", "42\n\n"]},
            {"id": "wrong", "code": code, "in": ["1", "2", "3"], "out": ["2", "5", "6"]},
            {"id": "one", "code": "print('a\\nb')", "in": "", "out": "a \nb"},
            {"id": "more", "code": "print('a\\nb')", "in": "", "out": "a"},
            {"id": "flood", "code": "print('a' * 300_000)", "in": "", "out": "a"},
            {"id": "crash", "code": "print(1); exit(1)", "in": "", "out": "1"},
        ],
    )
    words = ("--jsonl", "c.jsonl", "--stdin-field", "in", "--expect-field", "out")
    ran = place.batch(*words, "-o", "out.jsonl", "--max-output", "1K")
    results = place.results()
    assert ran.code == 1
    assert {name for name, one in results.items() if one["passed"]} == {"right", "one"}
    assert results["wrong"]["result"] == (
        "check stdout: test 2 of 3: line 1 of the output is not as expected"
    )


def test_repeated_programs_have_to_pass_every_time(place: Place) -> None:
    place.write("p.py", "import random; assert random.random() < 0.1")
    ran = place.batch("p.py", "--repeat", "20")
    assert (ran.code, ran.text.startswith("FAIL p.py execute program: run ")) == (1, True)


def test_shards_are_parts_that_together_are_the_whole(place: Place) -> None:
    place.lines("c.jsonl", [{"id": str(n), "code": ""} for n in range(7)])
    found: list[str] = []
    for part in (1, 2, 3):
        place.batch("--jsonl", "c.jsonl", "--shard", f"{part}/3", "-o", f"{part}.jsonl")
        found += place.verdicts(f"{part}.jsonl")
    assert sorted(found) == [str(n) for n in range(7)]


def test_after_enough_failures_no_other_is_begun(place: Place) -> None:
    place.lines("c.jsonl", [{"id": str(n), "code": "1/0"} for n in range(30)])
    ran = place.batch("--jsonl", "c.jsonl", "--max-fail", "2", "--concurrency", "1")
    assert (ran.code, ran.text.count("FAIL") < 10) == (1, True)
    assert "not run" in ran.err
    assert "--max-fail" in ran.err


def test_enough_may_be_less_than_all(place: Place) -> None:
    place.lines("c.jsonl", [{"id": str(n), "code": f"assert {n}"} for n in range(4)])
    assert place.batch("--jsonl", "c.jsonl", "--pass-rate", "0.75").code == 0
    assert place.batch("--jsonl", "c.jsonl", "--pass-rate", "0.76").code == 1


def test_a_budget_of_sandbox_time_ends_it(place: Place) -> None:
    code = "import time; time.sleep(0.3)"
    place.lines("c.jsonl", [{"id": str(n), "code": code} for n in range(40)])
    ran = place.batch("--jsonl", "c.jsonl", "--budget", "1s")
    assert (ran.code, "the budget is spent: 1 s of sandboxes" in ran.err) == (1, True)
    assert "not run" in ran.err


def test_reports_and_the_document_tell_of_every_case_in_order(place: Place) -> None:
    place.lines("c.jsonl", [{"id": f"c{n}", "code": f"assert {n} != 2"} for n in range(5)])
    ran = place.batch("--jsonl", "c.jsonl", "--json", "--report", "r.xml", "--report", "r.md")
    document = json.loads(ran.out)
    assert [case["id"] for case in document["cases"]] == ["c0", "c1", "c2", "c3", "c4"]
    assert (document["counts"]["passed"], document["counts"]["failed"]) == (4, 1)
    assert (place.directory / "r.xml").read_text().count("<testcase ") == 5
    assert "c2" in (place.directory / "r.md").read_text()


@pytest.mark.parametrize("name", ["../../x", "/etc/passwd", "a\u202eb", "nul\x00", "x" * 5000])
def test_an_id_is_a_name_and_never_a_path(place: Place, name: str) -> None:
    place.lines("c.jsonl", [{"id": name, "code": "print(1)"}])
    before = {path.name for path in place.directory.iterdir()} | {"state", "out.jsonl"}
    assert place.batch("--jsonl", "c.jsonl", "-o", "out.jsonl").code == 0
    assert {path.name for path in place.directory.iterdir()} == before
    assert place.verdicts() == {name: "passed"}


def test_in_github_actions_every_failure_is_an_annotation(place: Place) -> None:
    place.write("bad.py", "raise ValueError('no')")
    summary = place.directory / "summary.md"
    environment = {
        **place.environment,
        "GITHUB_ACTIONS": "true",
        "GITHUB_STEP_SUMMARY": str(summary),
    }
    ran = place.run("batch", "bad.py", env=environment)
    assert (ran.code, "::error title=bad.py" in ran.err) == (1, True)
    assert "bad.py" in summary.read_text()


def test_another_python_is_asked_once_what_it_is(place: Place) -> None:
    python = place.write("python", f'#!/bin/sh\necho x >> asked\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    place.lines("c.jsonl", [{"code": "pass"}] * 6)
    ran = place.batch("--jsonl", "c.jsonl", "--python", "./python", "--concurrency", "1")
    assert (ran.code, (place.directory / "asked").read_text()) == (0, "x\n")


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("$E batch p.py 2>&-", 0, b"PASS p.py "),
        ("$E batch p.py >&- 2>&-", 125, b""),
        ("$E batch --jsonl - 2>&1 <&-", 2, b"e2brun: standard input: Bad file descriptor\n"),
        ("script -qec '$E pipeline run p.toml 2>&-' /dev/null", 0, b"PASS p.py "),
        ("script -qec '$E batch p.py 2>&-' /dev/null", 0, b"PASS p.py "),
    ],
)
def test_standard_streams_may_be_closed(place: Place, line: str, code: int, said: bytes) -> None:
    place.write("p.py", "print(1)")
    place.write("p.toml", '[pipeline]\nname = "p"\n[generate]\nfiles = ["p.py"]\n[execute]\n')
    ended = subprocess.run(
        ["bash", "-c", line.replace("$E", " ".join(COMMAND))],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        cwd=place.directory,
        env=clean_environment(place.environment),
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout[: len(said)]) == (code, said)


def test_a_run_that_could_not_begin_is_recorded_as_that(place: Place) -> None:
    place.write("p.py", "print(1)")
    for command in ("batch", "bench"):
        ran = place.run(command, "p.py", "--on", "e2b", env=place.environment)
        assert (ran.code, "there is no E2B key" in ran.err) == (125, True)
    listed = place.run("runs", "list", env=place.environment).text
    assert (listed.count("exit 125"), "killed" in listed) == (2, False)


def test_no_more_are_at_work_than_there_are_cases(place: Place) -> None:
    place.write("p.py", "print(1)")
    ran = place.batch("p.py", "--concurrency", "100000000")
    assert (ran.code, ran.err.splitlines()[-1][:17]) == (0, "p.py: 1 passed · ")
