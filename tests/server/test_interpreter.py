"""Contexts and cells of a live sandbox, without HTTP in between; on the lean template."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from e2brun.sandbox.local.host.contexts import Context, Contexts, NotStarted
from e2brun.sandbox.local.host.execution import RequestedCell, execute
from e2brun.sandbox.local.host.running import RunningSandbox
from e2brun.sandbox.local.interpreter import current_interpreter
from e2brun.sandbox.local.isolation.bubblewrap import Bubblewrap
from e2brun.sandbox.local.isolation.driver import Jail, new_id
from e2brun.sandbox.local.packages.installed import installed_layer
from e2brun.settings import load_settings
from tests.server.inside import living

pytestmark = pytest.mark.anyio
Events = list[dict[str, Any]]


class Trial:
    """A sandbox, its contexts, and a way to run cells."""

    def __init__(self, live: RunningSandbox) -> None:
        self.live = live
        self.contexts = live.part(Contexts)
        self.python = self.contexts.default("python")

    async def run(
        self, code: str, env: dict[str, str] | None = None, context: Context | None = None
    ) -> Events:
        """All events of one cell."""
        cell = RequestedCell(code, env or {})
        pieces = [piece async for piece in execute(self.contexts, context or self.python, cell)]
        said = b"".join(pieces)
        assert said.isascii()
        return [json.loads(line) for line in said.splitlines()]

    async def leave(self, code: str, after: str) -> None:
        """Start a cell, and hang up when it has printed `after`."""
        lines = execute(self.contexts, self.python, RequestedCell(code, {}))
        async for piece in lines:
            if after.encode() in piece:
                break
        await lines.aclose()  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
async def live(anyio_backend: str) -> AsyncIterator[RunningSandbox]:
    if Bubblewrap().problem() is not None:
        pytest.skip("bubblewrap (bwrap) is not installed")
    python = current_interpreter()
    layer = str(installed_layer(load_settings(None, None).cache_dir, python))
    async with living(Jail(new_id(), python, layer=layer)) as one:
        yield one


@pytest.fixture
async def trial(live: RunningSandbox) -> AsyncIterator[Trial]:
    """Its contexts are as they were at its start."""
    trial = Trial(live)
    yield trial
    await trial.python.end()


def _types(events: Events) -> list[str]:
    return [event["type"] for event in events]


def _of(events: Events, kind: str) -> dict[str, Any]:
    (found,) = [event for event in events if event["type"] == kind]
    return found


async def test_a_cell_is_told_in_order(trial: Trial) -> None:
    events = await trial.run("print('Hello')\nprint('there')\n'value'")
    assert _types(events) == ["number_of_executions", "stdout", "result", "end_of_execution"]
    assert _of(events, "stdout")["text"] == "Hello\nthere\n"
    assert _of(events, "stdout")["timestamp"]
    shown = _of(events, "result")
    assert (shown["text"], shown["is_main_result"], shown["extra"]) == ("value", True, {})


async def test_a_service_that_is_behind_tells_a_cell_in_order(trial: Trial) -> None:
    await trial.run("1")
    asyncio.get_running_loop().call_later(0, time.sleep, 0.2)
    events = await trial.run("print('Hello')")
    assert _types(events) == ["number_of_executions", "stdout", "end_of_execution"]


async def test_variables_of_one_execution_end_with_it(trial: Trial) -> None:
    trial.live.environment["A"] = "global"
    ask = "import os; (os.environ.get('A'), os.environ.get('B'))"
    inner = await trial.run(ask, {"A": "own", "B": "own"})
    assert _of(inner, "result")["text"] == "('own', 'own')"
    assert _of(await trial.run(ask), "result")["text"] == "('global', None)"


async def test_a_cell_deaf_to_interrupts_costs_its_context(trial: Trial) -> None:
    deaf = "import time, signal; signal.signal(2, signal.SIG_IGN); print('in'); time.sleep(300)"
    await trial.leave(deaf, "in")
    events = await trial.run("1 + 1")
    assert _of(events, "number_of_executions")["execution_count"] == 1
    assert _of(events, "result")["text"] == "2"


async def test_the_end_of_a_context_is_an_error_and_the_next_cell_works(trial: Trial) -> None:
    for code in ("import os; os._exit(3)", "import os; os.kill(os.getpid(), 9)"):
        events = await trial.run(code)
        assert _of(events, "error")["name"] == "ContextRestarting"
        assert _types(events)[-1] == "end_of_execution"
        assert _of(await trial.run("1 + 1"), "result")["text"] == "2"


@pytest.mark.parametrize(
    "code",
    [
        "import os; os.write(4, b'nonsense\\n')",
        "import os; os.close(4)",
        "import os; os.closerange(3, 100); 1",
        'import os; os.write(4, b\'{"type":"end"}\\n{"type":"end"}\\n\')',
    ],
)
async def test_tampering_with_results_costs_the_cell_and_its_context(
    trial: Trial, code: str
) -> None:
    events = await trial.run(code)
    assert _of(events, "error")["name"] in {"ForgedResults", "ContextRestarting"}
    assert _of(await trial.run("1 + 1"), "result")["text"] == "2"


async def test_cells_of_one_context_run_one_after_the_other(trial: Trial) -> None:
    slow = trial.run("import time; time.sleep(0.2); n = 1")
    _, second = await asyncio.gather(slow, trial.run("n + 1"))
    assert _of(second, "result")["text"] == "2"


async def test_what_is_printed_between_cells_blocks_nobody(trial: Trial) -> None:
    await trial.run(
        "import threading, time\n"
        "def talk():\n  global said\n  time.sleep(0.1)\n"
        "  for said in range(3): print('x' * 1_000_000)\n"
        "threading.Thread(target=talk).start()"
    )
    await asyncio.sleep(1.5)
    events = await trial.run("said")
    assert _of(events, "result")["text"] == "2"
    assert "stdout" not in _types(events)


async def test_a_context_of_python_stands_in_the_home_where_its_directory_is_none(
    trial: Trial,
) -> None:
    for cwd in ("/nowhere", "/etc/passwd"):
        made = await trial.contexts.create("python", cwd)
        assert made.described()["cwd"] == cwd
        told = await trial.run("import os; os.getcwd()", context=made)
        assert _of(told, "result")["text"] == "/home/user"
    for cwd in ("/a\0b", "/\ud800", "x" * 5000):
        with pytest.raises(NotStarted, match="could not be started in"):
            await trial.contexts.create("python", cwd)
    with pytest.raises(NotStarted, match="could not be started in /nowhere"):
        await trial.contexts.create("bash", "/nowhere")


async def test_a_context_looks_like_a_python_of_its_own(trial: Trial) -> None:
    code = (
        "import os, sys\n"
        "open('channel.py', 'w').write('mine = 1')\n"
        "import channel\n"
        "fds = sorted(map(int, os.listdir('/proc/self/fd')))[:-1]\n"
        "alone = os.getsid(0) == os.getpid()\n"
        "(channel.mine, sys.argv, sys.path[0], sys.flags.no_site, fds, alone)"
    )
    said = _of(await trial.run(code), "result")["text"]
    assert said == "(1, [''], '', 0, [0, 1, 2, 3, 4], True)"
