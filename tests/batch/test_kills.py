"""A long batch that is killed again and again."""

from __future__ import annotations

import json
import random
import time

import pytest

from tests.batch.conftest import Place

_KILLS, _CASES, _SECONDS = 20, 2000, 600.0
WORDS = ("--jsonl", "c.jsonl", "-o", "out.jsonl", "--concurrency", "4")


@pytest.mark.in_turn(day=0)
def test_killed_at_twenty_random_moments_its_results_are_those_of_one_that_was_not(
    place: Place,
) -> None:
    moments = random.Random(7)
    place.lines(
        "c.jsonl", [{"id": f"c{n}", "code": f"print({n}); assert {n} % 7"} for n in range(_CASES)]
    )
    done: dict[str, float] = {}
    resume: tuple[str, ...] = ()
    for _ in range(_KILLS):
        enough = len(done) + moments.randrange(20, 140)
        process = place.start(*WORDS, *resume)
        out, end = place.directory / "out.jsonl", time.monotonic() + _SECONDS
        while not out.exists() or out.read_bytes().count(b"\n") < enough:
            if process.poll() is not None or time.monotonic() > end:
                break
            time.sleep(moments.uniform(0, 0.05))
        process.kill()
        process.communicate(timeout=30)
        for line in out.read_bytes().split(b"\n")[:-1]:
            found = json.loads(line)
            assert done.setdefault(found["id"], found["started"]) == found["started"]
        resume = ("--resume", "@last")
    place.batch_for(_SECONDS, *WORDS, *resume)
    results = place.results()
    told = {name: (one["verdict"], one["stdout"]) for name, one in results.items()}
    assert told == {f"c{n}": ("passed" if n % 7 else "failed", f"{n}\n") for n in range(_CASES)}
    assert all(results[name]["started"] == started for name, started in done.items())
