"""Hostile programs among good ones: the good ones' verdicts do not change, and nothing is left."""

from __future__ import annotations

import time

import pytest

from tests.batch.conftest import Place
from tests.cli.test_kill import children, left_after, subreaper

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


@pytest.mark.usefixtures("subreaper")
def test_good_programs_do_not_notice_hostile_ones(place: Place) -> None:
    records = [{"id": f"good{n}", "code": GOOD} for n in range(12)]
    for at, (name, code) in enumerate(HOSTILE.items()):
        records.insert(2 * at, {"id": name, "code": code})
    place.lines("c.jsonl", records)
    words = ("--timeout", "2s", "--memory", "64M", "--disk", "16M", "--processes", "16")
    began, before = time.monotonic(), set(children())
    ran = place.batch("--jsonl", "c.jsonl", "-o", "out.jsonl", "--completed", *words)
    results = place.results()
    assert ran.code == 1
    assert {name for name, one in results.items() if one["passed"]} == {
        f"good{n}" for n in range(12)
    }
    assert {results[name]["verdict"] for name in HOSTILE} == {"failed"}
    outcomes = {name: results[name]["outcome"] for name in ("memory", "flood", "loop", "exit")}
    assert outcomes == {"memory": "oom", "flood": "timeout", "loop": "timeout", "exit": "ok"}
    assert time.monotonic() - began < 60
    assert left_after(8.0, before) == []
