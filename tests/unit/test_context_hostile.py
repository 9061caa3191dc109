"""Forks, pools and cells that mean harm: the context goes on, or is seen to end."""

from __future__ import annotations

import os
import time

import pytest

from tests.unit.context_program import AGENT, Context, running_context

__all__ = ["running_context"]  # the fixture `context`


# Processes


def test_a_program_that_a_cell_starts_inherits_nothing(context: Context) -> None:
    code = (
        "import os, subprocess, sys\n"
        "code = 'import os; print(sorted(os.listdir(\"/proc/self/fd\")))'\n"
        "subprocess.run([sys.executable, '-c', code]"
        ", close_fds=False)\n"
        "os.system('ls /proc/self/fd')"
    )
    cell = context.run(code)
    lines = cell.stdout.splitlines()
    # Besides the three streams: the descriptor by which the directory itself is read.
    assert lines == ["['0', '1', '2', '3']", "0", "1", "2", "3"]


@pytest.mark.parametrize(
    ("ending", "status", "said"),
    [
        ("pass", 0, ""),
        ("raise ValueError('child')", 1, "ValueError: child"),
        ("import sys; sys.exit(5)", 5, ""),
        ("import asyncio; await asyncio.sleep(0)", 0, ""),
    ],
)
def test_a_fork_that_falls_through_ends_as_a_script(
    context: Context, ending: str, status: int, said: str
) -> None:
    lines = ending.replace("; ", "\n    ")
    cell = context.run(
        f"import os\npid = os.fork()\nif pid == 0:\n    {lines}\n"
        "else:\n    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])\n"
        "None if pid == 0 else status"
    )
    assert cell.forged == ""
    assert cell.main["text"] == str(status)
    assert said in cell.stderr
    assert str(AGENT) not in cell.stderr
    assert context.run("1 + 1").main["text"] == "2"


def test_a_forked_child_does_not_hold_our_pipes_open(context: Context) -> None:
    context.run(
        "import os, time\nif os.fork() == 0:\n    os.close(1)\n    os.close(2)\n"
        "    time.sleep(20)\n    os._exit(0)"
    )
    started = time.monotonic()
    os.close(context.cells)
    context.cells = -1
    assert os.read(context.frames, 1) == b""
    assert time.monotonic() - started < 15


def test_functions_and_classes_of_cells_can_be_pickled_and_run_in_a_pool(context: Context) -> None:
    code = (
        "import multiprocessing, pickle\n"
        "class Point:\n    def __init__(self, x): self.x = x\n"
        "def square(p): return Point(p.x ** 2)\n"
        "pool = multiprocessing.get_context('fork').Pool(2)\n"
        "with pool: squares = pool.map(square, [Point(n) for n in range(4)])\n"
        "[p.x for p in squares], pickle.loads(pickle.dumps(Point(7))).x"
    )
    cell = context.run(code)
    assert cell.outcome.error is None, cell.error.traceback
    assert cell.main["text"] == "([0, 1, 4, 9], 7)"
    assert context.run("square(Point(3)).x").main["text"] == "9"


# Hostile cells


@pytest.mark.parametrize(
    "code",
    [
        "import builtins\nfor n in list(vars(builtins)):\n    if n[0] != '_': delattr(builtins, n)",
        "import builtins\nvars(builtins).clear()",
        "import json, os, traceback, linecache, sys\njson.dumps = json.loads = None\n"
        "os.write = os.read = os.getpid = None\ntraceback.TracebackException = None\n"
        "linecache.cache = None\nsys.modules.pop('__main__')",
        "import sys\nsys.stdout = sys.stderr = None\nsys.modules.clear()\nsys.meta_path.clear()",
        "import sys\nsys.setrecursionlimit(60)",
        "import os\nos.environ = None",
        "globals().clear()",
    ],
)
def test_what_a_cell_breaks_costs_its_context_at_most(context: Context, code: str) -> None:
    first = context.run(code)
    assert first.outcome.ended or first.died
    if not first.died:
        failed = context.run("x = nowhere", {"SOME": "env"})
        assert failed.died or failed.outcome.error is not None
