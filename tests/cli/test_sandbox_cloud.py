"""`e2brun sandbox` with a key, against a service that speaks E2B's protocol."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from e2brun.sandbox.owner import KEPT, OWNER, is_left_behind, owner_mark
from tests.cli.conftest import begin
from tests.conftest import Run
from tests.sdk.serving import Serving, served
from tests.waiting import until

MARK = "from e2brun.sandbox.owner import owner_mark; print(owner_mark())"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """It stands in for E2B's."""
    with served(tmp_path_factory.mktemp("service")) as serving:
        yield serving


@pytest.fixture
def cloud(e2brun: Run, service: Serving) -> Iterator[Mapping[str, str]]:
    """Its variables; nothing of one test is there in the next."""
    yield service.environment
    e2brun("sandbox", "kill", "--all", env=service.environment)


def mark_of_a_dead_process() -> str:
    done = subprocess.run([sys.executable, "-c", MARK], stdout=subprocess.PIPE, check=True)
    return done.stdout.decode().strip()


def test_only_what_a_dead_run_of_this_machine_left_is_left_behind() -> None:
    dead, run = mark_of_a_dead_process(), {"e2brun_run": "r"}
    assert is_left_behind({OWNER: dead, **run})
    assert not is_left_behind({OWNER: dead})
    assert not is_left_behind({OWNER: dead, KEPT: "yes", **run})
    assert not is_left_behind({OWNER: owner_mark(), **run})
    assert not is_left_behind({OWNER: f"another-boot/{dead.split('/', 1)[1]}", **run})
    assert not is_left_behind({OWNER: "nonsense", **run})
    assert not is_left_behind(run)
    # A pid that was used again is another process.
    pid, _, start = owner_mark().rpartition(".")
    assert is_left_behind({OWNER: f"{pid}.{int(start) - 1}", **run})


def test_reap_ends_what_was_left_behind_and_touches_nothing_else(
    e2brun: Run, cloud: Mapping[str, str]
) -> None:
    def make(*words: str) -> str:
        options = [one for word in words for one in ("--metadata", word)]
        return e2brun("sandbox", "create", *options, env=cloud).text.strip()

    dead = f"{OWNER}={mark_of_a_dead_process()}"
    left = make("e2brun_run=r", dead)
    others = {make(), make("e2brun_run=r", dead, f"{KEPT}=yes")}
    assert e2brun("sandbox", "reap", env=cloud).text.split() == [left]
    assert set(e2brun("sandbox", "list", "-q", env=cloud).text.split()) == others


def test_kill_by_metadata_ends_those_and_logs_follow_to_the_end(
    e2brun: Run, cloud: Mapping[str, str], tmp_path: Path
) -> None:
    one, other = (
        e2brun("sandbox", "create", "--metadata", f"team={team}", env=cloud).text.strip()
        for team in "ab"
    )
    following = begin("sandbox", "logs", "-f", one, cwd=tmp_path, env=cloud)
    assert following.stdout is not None
    assert b"created" in following.stdout.readline()
    killed = e2brun("sandbox", "kill", "--metadata", "team=a", env=cloud)
    assert (killed.code, killed.text.split()) == (0, [one])
    _, err = following.communicate(timeout=20)
    assert (following.returncode, b"has ended" in err) == (0, True)
    document = json.loads(e2brun("sandbox", "list", "--json", env=cloud).out)
    assert (document["backend"], [s["sandbox_id"] for s in document["sandboxes"]]) == (
        "e2b",
        [other],
    )


def test_a_signal_ends_the_command_in_the_sandbox_too(
    e2brun: Run, cloud: Mapping[str, str], tmp_path: Path
) -> None:
    box = e2brun("sandbox", "create", env=cloud).text.strip()
    words = ("sandbox", "exec", box, "--", "sh", "-c", "echo up; sleep 98765")
    running = begin(*words, cwd=tmp_path, env=cloud, stderr=subprocess.DEVNULL)
    assert running.stdout is not None
    assert running.stdout.readline() == b"up\n"
    os.kill(running.pid, signal.SIGTERM)
    assert running.wait(20) == 143
    running.stdout.close()
    search = ("sandbox", "exec", box, "--", "pgrep", "-f", "[s]leep 98765")
    until(lambda: e2brun(*search, env=cloud).code == 1)


def test_a_provider_that_does_not_answer_is_infrastructure(e2brun: Run) -> None:
    env = {"E2B_API_KEY": "e2b_" + "0" * 40, "E2B_API_URL": "http://127.0.0.1:9"}
    asked = (["create"], ["list"], ["info", "i1"], ["kill", "--all"])
    with ThreadPoolExecutor() as together:  # each of them waits and tries again
        for ran in together.map(lambda words: e2brun("sandbox", *words, env=env), asked):
            assert (ran.code, ran.out, "Traceback" in ran.err) == (125, b"", False), ran.err


def test_a_rejected_key_says_what_to_do(e2brun: Run, cloud: Mapping[str, str]) -> None:
    ran = e2brun("sandbox", "list", env={**cloud, "E2B_API_KEY": "e2b_" + "0" * 40})
    assert (ran.code, "E2B_API_KEY" in ran.err) == (125, True)
