"""A batch in E2B's cloud, which a server on loopback stands for: full, busy, and failing."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

import pytest

from e2brun.batch.width import Width
from tests.batch.conftest import Place
from tests.conftest import Ran
from tests.e2b.loopback import KEY, Answer, Cut, Fault, Loopback
from tests.waiting import until


@pytest.fixture
def server() -> Iterator[Loopback]:
    with Loopback() as loopback:
        yield loopback


def _run(place: Place, server: Loopback, *words: str) -> Ran:
    key = {"E2B_API_KEY": KEY, "E2B_API_URL": server.url, "E2B_SANDBOX_URL": server.url}
    environment = {**place.environment, "E2BRUN_ON": "e2b", **key}
    return place.run("batch", "--jsonl", "c.jsonl", *words, env=environment, timeout=120)


def _cases(place: Place, count: int) -> dict[str, str]:
    place.lines("c.jsonl", [{"id": f"c{n}", "code": f"assert {n} % 4"} for n in range(count)])
    return {f"c{n}": "passed" if n % 4 else "failed" for n in range(count)}


def test_as_many_as_the_account_allows_and_no_case_suffers_from_refusals(
    place: Place, server: Loopback
) -> None:
    server.most = 3
    expected = _cases(place, 12)
    ran = _run(place, server, "-o", "out.jsonl")
    assert (ran.code, place.verdicts()) == (1, expected)
    assert server.refusals
    assert len(server.boxes) == 12
    until(lambda: not server.running())
    assert "about $0.00 by E2B's list price, an estimate" in ran.err


@pytest.mark.in_turn(day=1)
def test_faults_are_tried_again_and_counted_apart(place: Place, server: Loopback) -> None:
    chance = random.Random(5)
    faults: list[Fault] = [
        *(Answer(status) for status in (429, 500, 502)),
        Cut("rst"), Cut("fin", after_doing=True),
    ]  # fmt: skip

    def chaos(method: str) -> Fault | None:
        if method == "EVENT":
            return Cut() if chance.random() < 0.02 else None
        return chance.choice(faults) if chance.random() < 0.05 else None

    server.most, server.chaos = 4, chaos
    expected = _cases(place, 30)
    ran = _run(place, server, "-o", "out.jsonl")
    wrong = [one for one in place.results().values() if one["verdict"] != expected[one["id"]]]
    assert (ran.code, wrong, set(place.results())) == (1, [], set(expected))
    assert "faults of the infrastructure were tried again" in ran.err
    server.chaos = lambda method: None
    until(lambda: not server.running(), 30)


def test_every_sandbox_is_bounded_and_marked_and_the_document_names_it(
    place: Place, server: Loopback
) -> None:
    _cases(place, 3)
    document = json.loads(_run(place, server, "--timeout", "7s", "--json").out)
    assert document["backend"] == "e2b"
    for case in document["cases"]:
        assert case["attempts"][0]["steps"][0]["execution"]["sandbox_id"] in server.boxes
    now = max(call.time for call in server.calls)
    for box in server.boxes.values():
        assert box.end - now < 7 + 60 + 1
        assert box.metadata["e2brun_run"]


def test_a_sandbox_is_used_again_only_when_asked(place: Place, server: Loopback) -> None:
    expected = _cases(place, 12)
    ran = _run(place, server, "--reuse", "--concurrency", "2", "-o", "out.jsonl")
    assert (ran.code, place.verdicts()) == (1, expected)
    assert len(server.boxes) == 2
    until(lambda: not server.running())


def test_one_that_did_not_end_well_is_not_used_again(place: Place, server: Loopback) -> None:
    place.lines(
        "c.jsonl", [{"id": str(n), "code": "import time; time.sleep(60)"} for n in range(3)]
    )
    ran = _run(place, server, "--reuse", "--concurrency", "1", "--timeout", "1s")
    assert (ran.code, len(server.boxes)) == (1, 3)


def test_a_key_that_is_rejected_ends_it_at_once(place: Place, server: Loopback) -> None:
    _cases(place, 300)
    server.chaos = lambda method: Answer(401)
    ran = _run(place, server)
    assert (ran.code, ran.out) == (125, b"")
    assert ran.err.count("\n") < 6
    assert server.count("POST", "/v2/sandboxes") <= 100  # as many as are ever begun at once


def test_where_nothing_runs_it_does_not_go_through_all_cases(
    place: Place, server: Loopback
) -> None:
    _cases(place, 500)
    server.chaos = lambda method: Answer(500)
    ran = _run(place, server, "--concurrency", "30")
    assert (ran.code, "nothing runs: " in ran.err) == (125, True)
    assert "Go on with --resume" in ran.err


def test_a_budget_in_dollars_is_an_estimate(place: Place, server: Loopback) -> None:
    _cases(place, 40)
    ran = _run(place, server, "--budget", "$0.00001", "--concurrency", "2")
    assert ran.code == 1
    assert "the budget is spent: $1e-05, estimated at 0 s of sandboxes" in ran.err


def test_the_width_finds_how_many_there_may_be() -> None:
    width = Width(4, 100)
    running = 0
    for _ in range(400):
        while running < width.limit and running <= 20:
            width.enter()
            running += 1
        if running > 20:
            width.refuse()
            width._not_before = 0.0  # nobody waits here
        width.leave()
        running -= 1
    assert 18 <= width.limit <= 21


def test_refusals_without_end_are_given_up() -> None:
    width = Width(1, 1)
    answers: list[bool] = []
    for _ in range(12):
        width._not_before = 0.0
        assert width.enter()
        answers.append(width.refuse())
        width.leave()
    assert answers == [True] * 11 + [False]
