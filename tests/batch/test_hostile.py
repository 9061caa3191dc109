"""Hostile programs among good ones, 1 in 10: the good ones' verdicts do not change, nor do they
take long, and nothing is left."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from typing import Any

import pytest

from tests.batch.conftest import Place
from tests.cli.test_kill import left_after, subreaper
from tests.sdk.serving import children

__all__ = ["subreaper"]
HOSTILE = {
    "memory": "x = []\nwhile True: x.append(bytearray(10_000_000))",
    "forks": "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
    "flood": "import sys\nwhile True: sys.stdout.write('x' * 65536)",
    "loop": "while True: pass",
    "killer": "import os, signal\nos.kill(-1, signal.SIGKILL)",
    "stopper": "import os, signal\nos.kill(-1, signal.SIGSTOP)\nos.kill(os.getpid(), 19)",
    "files": "n = 0\nwhile True:\n    open(f'/tmp/{n}', 'w').write('x' * 100_000); n += 1",
    "exit": "import os\nos._exit(0)",
}
GOOD = "import sys\nassert sum(range(1000)) == 499500\nprint('fine')"


WORDS = ("--completed", "--timeout", "2s", "--memory", "64M", "--disk", "16M", "--processes", "16")


@pytest.mark.in_turn(day=1)
@pytest.mark.usefixtures("subreaper")
def test_good_programs_do_not_notice_hostile_ones(place: Place) -> None:
    records = [{"id": f"good{n}", "code": GOOD} for n in range(9 * len(HOSTILE))]
    place.lines("c.jsonl", records)
    assert place.batch_for(120, "--jsonl", "c.jsonl", "-o", "alone.jsonl", *WORDS).code == 0
    alone = _typical(place.results("alone.jsonl"))
    for at, (name, code) in enumerate(HOSTILE.items()):
        records.insert(10 * at, {"id": name, "code": code})
    place.lines("c.jsonl", records)
    began, before = time.monotonic(), children()
    ran = place.batch_for(120, "--jsonl", "c.jsonl", "-o", "out.jsonl", *WORDS)
    results = place.results()
    assert ran.code == 1
    good = {name: one for name, one in results.items() if name not in HOSTILE}
    assert len(good) == 9 * len(HOSTILE)
    assert all(one["passed"] for one in good.values())
    assert _typical(good) < 2 * alone
    assert {results[name]["verdict"] for name in HOSTILE} == {"failed"}
    outcomes = {name: results[name]["outcome"] for name in ("memory", "flood", "loop", "exit")}
    assert outcomes == {"memory": "oom", "flood": "timeout", "loop": "timeout", "exit": "ok"}
    assert time.monotonic() - began < 60
    assert left_after(8.0, before) == []


def _typical(results: Mapping[str, Any]) -> float:
    """Seconds."""
    seconds: list[float] = [one["seconds"] for one in results.values()]
    return statistics.median(seconds)
