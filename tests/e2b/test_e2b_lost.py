from __future__ import annotations

import threading

import pytest

from e2brun.errors import AuthenticationFailed, RateLimited
from e2brun.sandbox.contract import Outcome
from e2brun.sandbox.e2b import E2BSandbox
from tests.contract.hearing import cell
from tests.e2b.conftest import Run
from tests.e2b.loopback import Answer, Cut, Delay, Loopback

ORPHANED = ("sh", "-c", "echo x; kill -KILL $PPID")  # with nobody left to tell of its end
START = "POST /process.Process/Start"


@pytest.mark.parametrize("how", ["rst", "fin"])
@pytest.mark.parametrize("event", ["data", "end"])
def test_a_stream_cut_in_the_middle_is_lost(
    server: Loopback, run: Run, how: str, event: str
) -> None:
    server.fail(f"EVENT {event}", Cut(how))
    ended = run(*ORPHANED).execution
    assert ended.outcome is Outcome.LOST
    assert ended.exit_code is None
    assert ended.detail
    assert "\n" not in ended.detail


def test_a_clean_end_without_an_exit_code_is_lost(server: Loopback, run: Run) -> None:
    server.fail("EVENT end", Delay(0))  # dropped, then the stream ends as it always does
    ended = run(*ORPHANED).execution
    assert ended.outcome is Outcome.LOST
    assert "without an exit code" in ended.detail


def test_a_sandbox_that_was_gone_before_is_lost(
    server: Loopback, sandbox: E2BSandbox, run: Run
) -> None:
    server.boxes[sandbox.id].die()
    ended = run("true").execution
    assert ended.outcome is Outcome.LOST
    assert "was not found" in ended.detail
    assert cell(sandbox, "1")[0].outcome is Outcome.LOST


def test_a_start_that_is_refused_is_an_error(server: Loopback, run: Run) -> None:
    server.fail(START, Answer(401), Answer(429))
    with pytest.raises(AuthenticationFailed):
        run("true")
    with pytest.raises(RateLimited):
        run("true")
    assert server.count("POST", "/process.Process/Start") == 2  # never run twice unasked


@pytest.mark.parametrize("how", ["rst", "fin"])
@pytest.mark.parametrize("event", ["stdout", "end_of_execution"])
def test_a_cell_cut_in_the_middle_is_lost(
    server: Loopback, sandbox: E2BSandbox, how: str, event: str
) -> None:
    server.fail(f"EVENT {event}", Cut(how))
    ended = cell(sandbox, "print('x')")[0]
    assert ended.outcome is Outcome.LOST
    assert ended.exit_code is None


def test_a_sandbox_killed_during_a_cell_is_lost(server: Loopback, sandbox: E2BSandbox) -> None:
    threading.Timer(0.4, server.boxes[sandbox.id].die).start()
    assert cell(sandbox, "import time; time.sleep(30)")[0].outcome is Outcome.LOST


def test_a_cell_whose_sandbox_is_gone_after_a_clean_end_is_lost(
    server: Loopback, sandbox: E2BSandbox
) -> None:
    gone = '{"sandboxId": "x", "message": "The sandbox was not found", "code": 502}'
    server.fail("GET /health", Answer(502, {}, gone))
    assert cell(sandbox, "1")[0].outcome is Outcome.LOST


def test_a_sandbox_that_talks_nonsense_is_lost(server: Loopback, sandbox: E2BSandbox) -> None:
    server.fail("POST /execute", Answer(200, {}, "<html>\n"), Answer(200, {}, "[1]\n"))
    assert cell(sandbox, "1")[0].outcome is Outcome.LOST
    assert cell(sandbox, "1")[0].outcome is Outcome.LOST


def test_an_interpreter_that_died_is_killed(sandbox: E2BSandbox) -> None:
    ended = cell(sandbox, "import os; os._exit(1)")[0]
    assert ended.outcome is Outcome.KILLED
    assert ended.error is not None
    assert ended.error.name == "ContextRestarting"
