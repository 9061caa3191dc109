"""`e2brun exec` with a key, against a server on loopback that answers as E2B does."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import begin
from tests.conftest import Run
from tests.e2b.loopback import KEY, Answer, Cut, Delay, Loopback
from tests.waiting import until

_CAMPAIGN = pytest.param(15, marks=pytest.mark.in_turn(day=2))


@pytest.fixture
def server() -> Iterator[Loopback]:
    with Loopback() as loopback:
        yield loopback


def _key(server: Loopback) -> dict[str, str]:
    return {"E2B_API_KEY": KEY, "E2B_API_URL": server.url, "E2B_SANDBOX_URL": server.url}


Script = Callable[..., Path]


def test_with_a_key_a_program_runs_on_e2b(server: Loopback, e2brun: Run, script: Script) -> None:
    script("import sys; print(sys.argv[1:]); sys.exit(3)")
    ran = e2brun("exec", "prog.py", "a", "b c", env=_key(server))
    assert (ran.code, ran.text) == (3, "['a', 'b c']\n")
    assert "e2b" in ran.err.splitlines()[-1]
    assert server.boxes
    assert not server.running()  # already: over the connection that was there
    [end] = [call for call in server.calls if call.method == "DELETE"]
    assert "urllib" not in end.headers.get("user-agent", "").lower()


def test_create_and_start_are_all_that_comes_before_the_first_output(
    server: Loopback, e2brun: Run, script: Script
) -> None:
    script("print(1)")
    (script("x", "data.txt"))
    ran = e2brun("exec", "--json", "--file", "data.txt", "prog.py", env=_key(server))
    before = [call.path for call in server.calls if call.method == "POST"]
    assert before == ["/v2/sandboxes", "/process.Process/Start"]
    document = json.loads(ran.out)
    assert document["backend"] == "e2b"
    assert document["sandbox_id"] in server.boxes


def test_a_rejected_key_says_what_to_do(server: Loopback, e2brun: Run, script: Script) -> None:
    script("print(1)")
    ran = e2brun("exec", "prog.py", env={**_key(server), "E2B_API_KEY": "e2b_wrong"})
    assert ran.code == 125
    assert "E2B_API_KEY" in ran.err
    assert "e2b_wrong" not in ran.err
    assert "Traceback" not in ran.err
    assert server.count("POST", "/v2/sandboxes") == 1


def test_a_busy_service_is_waited_for_and_stderr_says_so(
    server: Loopback, e2brun: Run, script: Script
) -> None:
    script("print(1)")
    server.fail("POST /v2/sandboxes", Answer(429, {"Retry-After": "1"}))
    ran = e2brun("exec", "prog.py", env=_key(server))
    assert (ran.code, ran.text) == (0, "1\n")
    assert "waiting" in ran.err


@pytest.mark.parametrize("fault", [Answer(500), Cut("rst")])
def test_a_create_that_fails_is_infrastructure_and_not_repeated(
    server: Loopback, e2brun: Run, script: Script, fault: Answer | Cut
) -> None:
    script("print(1)")
    server.fail("POST /v2/sandboxes", fault)
    ran = e2brun("exec", "--json", "prog.py", env=_key(server))
    assert ran.code == 125
    assert json.loads(ran.out)["outcome"] == "infrastructure"
    assert server.count("POST", "/v2/sandboxes") == 1


def test_a_sandbox_that_goes_away_is_lost(server: Loopback, e2brun: Run, script: Script) -> None:
    script("import time; print('in', flush=True); time.sleep(30)")
    words, directory = ("exec", "--json", "prog.py"), script("", "x").parent
    process = begin(*words, cwd=directory, env=_key(server))
    until(lambda: server.count("POST", "/process.Process/Start") == 1)
    time.sleep(0.5)
    for box in server.running():
        box.die()
    out, _ = process.communicate(timeout=20)
    document = json.loads(out)
    assert (process.returncode, document["outcome"]) == (125, "lost")


def test_a_slow_kill_delays_nothing_that_is_shown(
    server: Loopback, e2brun: Run, script: Script
) -> None:
    script("print(1)")
    server.fail("DELETE", Delay(8))
    started = time.monotonic()
    ran = e2brun("exec", "prog.py", env=_key(server))
    assert ran.code == 0
    assert time.monotonic() - started < 7.5
    until(lambda: not server.running(), 20)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("times", [1, _CAMPAIGN])
def test_a_signal_at_any_moment_leaves_no_sandbox(
    server: Loopback, script: Script, number: signal.Signals, times: int
) -> None:
    path = script("import time\nwhile True: print('busy', flush=True); time.sleep(0.01)")
    moments = random.Random(number)
    for attempt in range(times):
        unheard = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = begin("exec", "prog.py", cwd=path.parent, env=_key(server), **unheard)
        if attempt == times - 1:
            until(lambda: bool(server.running()), 30)
        time.sleep(moments.uniform(0.0, 2.0))
        process.send_signal(number)
        # 1: Python itself heard of it before its handlers were there.
        assert process.wait(20) in {-number, 128 + number, 1}
    until(lambda: not server.running(), 10)
