"""What is kept of a run, whoever ends it, and going on from there."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.cli.conftest import begin
from tests.pipeline.conftest import Place
from tests.sdk.serving import descendants, survivors
from tests.waiting import until

SLOW = """\
[pipeline]
name = "slow"
[generate]
code = "import time; time.sleep({{t}}); print({{t}})"
[execute]
timeout = 60
[[case]]
id = "one"
t = 0
[[case]]
id = "two"
t = 0
[[case]]
id = "three"
t = 47
[[case]]
id = "four"
t = 0
"""


def _start(place: Place, *words: str) -> subprocess.Popen[bytes]:
    run = ("pipeline", "run", "p.toml", "--concurrency", "1", *words)
    return begin(*run, cwd=place.directory, env=place.environment)


def _until_the_third_sleeps(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline().startswith(b"PASS one")
    assert process.stdout.readline().startswith(b"PASS two")
    until(lambda: any(map(_runs_the_candidate, descendants(process.pid))))


def _runs_the_candidate(pid: int) -> bool:
    try:
        return b"main.py" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def test_after_a_kill_in_mid_run_only_the_rest_runs_and_no_sandbox_is_left(place: Place) -> None:
    place.write(SLOW)
    process = _start(place)
    _until_the_third_sleeps(process)
    family = descendants(process.pid)
    process.kill()
    process.communicate()
    assert survivors(family, 30) == []
    # Variables are the case's own: what passed with other ones stays passed.
    place.write(SLOW.replace("t = 47", "t = 0"))
    ran = place.pipeline("run", "p.toml", "--failed", "--concurrency", "1")
    assert [line.split()[:2] for line in ran.text.splitlines()] == [
        ["PASS", "three"], ["PASS", "four"],
    ]  # fmt: skip
    assert ran.code == 0
    assert "2 of 4 cases passed before" in ran.err


def test_the_record_of_a_resumed_run_is_whole(place: Place) -> None:
    place.write(SLOW.replace("t = 47", 't = "1 / 0"'))
    assert place.document("p.toml")["counts"]["failed"] == 1
    place.write(SLOW.replace("t = 47", "t = 0"))
    document = place.document("p.toml", "--resume")
    assert [case["id"] for case in document["cases"]] == ["one", "two", "three", "four"]
    assert document["counts"]["passed"] == 4
    ran = place.pipeline("run", "p.toml", "--failed")
    assert (ran.code, ran.out) == (0, b"")


def test_a_changed_pipeline_runs_everything_again(place: Place) -> None:
    text = SLOW.replace("t = 47", "t = 0")
    place.write(text)
    for _ in range(2):  # as without --failed
        assert len(place.pipeline("run", "p.toml").text.splitlines()) == 4
    place.write(text.replace("print({{t}})", "print({{t}}, 2)"))
    assert len(place.pipeline("run", "p.toml", "--failed").text.splitlines()) == 4
    ran = place.pipeline("run", "p.toml", "--failed", "--set", "execute.timeout=50")
    assert len(ran.text.splitlines()) == 4


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_every_sandbox_and_keeps_the_record(place: Place, number: int) -> None:
    place.write(SLOW)
    process = _start(place, "--report", "r.xml")
    _until_the_third_sleeps(process)
    family = descendants(process.pid)
    began = time.monotonic()
    process.send_signal(number)
    _, err = process.communicate(timeout=15)
    assert process.returncode == 128 + number
    assert time.monotonic() - began < 12
    assert survivors(family, 30) == []
    assert b"2 passed, 2 not run" in err
    assert 'skipped="2"' in (place.directory / "r.xml").read_text()


def test_a_reader_that_goes_away_does_not_end_the_run(place: Place) -> None:
    place.write(SLOW.replace("t = 47", "t = 0"))
    process = _start(place, "--report", "r.json")
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(30) == 0
    assert (place.directory / "r.json").stat().st_size > 100
    assert process.stderr is not None
    process.stderr.close()


def test_a_run_that_cannot_be_recorded_goes_on_and_one_line_says_so(place: Place) -> None:
    place.write(SLOW.replace("t = 47", "t = 0"))
    (place.directory / "file").write_text("")
    ran = place.pipeline("run", "p.toml", env={"E2BRUN_STATE_DIR": "file"})
    assert ran.code == 0
    assert ran.out.count(b"PASS") == 4
    assert ran.err.count("not recorded") == 1


def test_going_on_without_a_record_to_go_on_from_is_refused(place: Place) -> None:
    place.write(SLOW)
    (place.directory / "file").write_text("")
    ran = place.pipeline("run", "p.toml", "--failed", env={"E2BRUN_STATE_DIR": "file"})
    assert (ran.code, ran.out) == (125, b"")
    assert "E2BRUN_STORE" in ran.err
    assert os.path.isfile(place.directory / "file")
