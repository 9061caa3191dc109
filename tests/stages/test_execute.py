from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from e2brun.errors import SandboxError, SandboxUnavailable, UsageError
from e2brun.primitives.cache_store import MemoryCache, SQLiteCache
from e2brun.primitives.events import Event, Executed, Retried, SandboxReady
from e2brun.primitives.mock import create_test_context
from e2brun.primitives.retry import RetryPrimitive
from e2brun.runs.record import ExecutionRecord, Verdict
from e2brun.sandbox.contract import MIB, Sandbox, SandboxSpec
from e2brun.sandbox.local.backend import LocalBackend
from e2brun.stages.check.exits import ExitCode
from e2brun.stages.check.text import TextCheck
from e2brun.stages.execute.order import safe_name
from e2brun.stages.execute.settings import ExecuteSettings
from e2brun.stages.execute.stage import ExecuteStage
from e2brun.stages.work import Case, Work
from tests.parity.notebooks import document
from tests.stages.taking import take

pytestmark = pytest.mark.anyio


@dataclass
class Counting:
    """The real backend, which fails to create a sandbox the first times."""

    backend: LocalBackend
    failures: int = 0
    created: int = 0
    error: type[SandboxError] = SandboxUnavailable
    name: str = "local"

    def create(self, spec: SandboxSpec) -> Sandbox:
        self.created += 1
        if self.created <= self.failures:
            raise self.error("not now")
        return self.backend.create(spec)

    def close(self) -> None:
        pass


def stage(backend: LocalBackend | Counting, **settings: object) -> ExecuteStage:
    return ExecuteStage(lambda: backend, ExecuteSettings(**settings))  # type: ignore[arg-type]


async def ran(step: ExecuteStage, code: str, **variables: object) -> ExecutionRecord:
    work = await take(step, code, variables)
    assert work.steps[-1].verdict is Verdict.PASSED, work.steps[-1]
    assert work.execution is not None
    return work.execution


async def test_a_program_has_what_the_settings_give_it(
    backend: LocalBackend, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "d.txt").write_text("D")
    step = stage(
        backend,
        args=("a b", "{{n}}"),
        stdin="in {{n}}",
        env={"WORD": "{{word}}"},
        files=("data/d.txt:in/d.txt", "data"),
        inline_files={"i.txt": "{{word}}", "b.bin": b"\xff"},
        directory=tmp_path,
        cwd="/tmp",
    )
    code = (
        "import os, sys, pathlib\n"
        "home = pathlib.Path('/home/user')\n"
        "print(sys.argv[1:], sys.stdin.read(), os.environ['WORD'], os.getcwd(), __file__)\n"
        "for name in ('in/d.txt', 'data/d.txt', 'i.txt', 'b.bin'):\n"
        "    print((home / name).read_bytes())\n"
    )
    record = await ran(step, code, n=4, word="o'k")
    assert record.stdout == (
        "['a b', '4'] in 4 o'k /tmp /home/user/main.py\nb'D'\nb'D'\nb\"o'k\"\nb'\\xff'\n"
    )


async def test_a_cell_has_results(backend: LocalBackend) -> None:
    record = await ran(
        stage(backend, cell=True), "x = 2\nawait __import__('asyncio').sleep(0)\nx+2"
    )
    assert record.results[0]["text"] == "4"


async def test_a_shell_script_and_a_notebook_run_as_what_they_are(backend: LocalBackend) -> None:
    work = await take(stage(backend), "echo $((1+1))", file="dir/run.sh")
    assert work.execution is not None
    assert work.execution.stdout == "2\n"
    work = await take(stage(backend), document(["40 + 2"]), file="x.ipynb")
    assert work.execution is not None
    assert work.execution.results[0]["text"] == "42"


async def test_a_broken_notebook_is_the_candidates_fault(backend: LocalBackend) -> None:
    work = await take(stage(backend), "{", file="x.ipynb")
    assert work.steps[-1].verdict is Verdict.FAILED
    assert work.steps[-1].message.startswith("x.ipynb: not a notebook")


@pytest.mark.parametrize(
    ("code", "settings", "outcome", "message"),
    [
        ("1/0", {}, "error", "ZeroDivisionError: division by zero"),
        ("import sys; sys.exit(7)", {}, "error", "exit code 7"),
        ("while True: pass", {"timeout": 0.5}, "timeout", "time limit 0.5 s"),
        ("x = b'x' * 10**9", {"memory": 64 * MIB}, None, "Memory"),
        ("import os; os.kill(os.getpid(), 9)", {}, "killed", "Killed"),
    ],
    ids=["raised", "exit", "timeout", "memory", "killed"],
)
async def test_code_that_ends_badly_fails(
    backend: LocalBackend, code: str, settings: dict[str, object], outcome: str | None, message: str
) -> None:
    work = await take(stage(backend, **settings), code)
    assert work.steps[-1].verdict is Verdict.FAILED
    assert message in work.steps[-1].message
    assert work.execution is not None
    assert outcome in {None, work.execution.outcome}
    assert work.stopped


async def test_a_non_zero_exit_is_left_to_a_check_that_judges_it(backend: LocalBackend) -> None:
    step = ExecuteStage(lambda: backend, ExecuteSettings(timeout=0.5), (ExitCode(3),))
    assert (await take(step, "raise SystemExit(3)")).steps[-1].verdict is Verdict.PASSED
    assert (await take(step, "while 1: pass", {})).steps[-1].verdict is Verdict.FAILED


async def test_output_is_limited_and_counted_and_kept_as_it_is(backend: LocalBackend) -> None:
    code = r"import sys; sys.stdout.buffer.write(b'\x1b]0;t\x07\xff\0' + b'x' * 100)"
    record = await ran(stage(backend, max_output=10), code)
    assert record.stdout == "\x1b]0;t\x07\ufffd\0xx"
    assert record.truncated == {"stdout": 98, "stderr": 0}


async def test_packages_are_installed_for_who_asks(backend: LocalBackend) -> None:
    code = "import tiny\nprint(tiny.VALUE)"
    block = '# /// script\n# dependencies = ["tiny"]\n# ///\n'
    assert (await ran(stage(backend, install=("tiny",)), code)).stdout == "42\n"
    assert (await ran(stage(backend, auto_install=True), code)).stdout == "42\n"
    assert (await ran(stage(backend), block + code)).stdout == "42\n"


async def test_who_names_a_package_that_is_not_there_is_to_blame(backend: LocalBackend) -> None:
    candidates = await take(stage(backend, auto_install=True), "import nosuchthing")
    authors = await take(stage(backend, install=("nosuchthing",)), "1")
    assert candidates.steps[-1].verdict is Verdict.FAILED
    assert authors.steps[-1].verdict is Verdict.INFRASTRUCTURE


async def test_files_are_got_into_a_directory_of_the_case(
    backend: LocalBackend, tmp_path: Path
) -> None:
    step = stage(backend, get=("out.txt", "none.txt"), get_to=tmp_path)
    work = Work(Case("../a/b"), code="open('out.txt', 'w').write('x')")
    done = await step.execute(work, create_test_context())
    place = tmp_path / safe_name("../a/b") / "out.txt"
    assert place.read_text() == "x"
    assert done.execution is not None
    assert done.execution.files == {"out.txt": str(place)}
    assert done.steps[-1].message == (
        "get: none.txt: /home/user/none.txt: No such file or directory"
    )
    assert done.steps[-1].verdict is Verdict.FAILED


def test_names_of_directories_are_safe_and_differ() -> None:
    ids = ["a", "../a", "/a", "..", "", "a b", "a_b", "é", "x" * 300, "\udc80"]
    names = [safe_name(case) for case in ids]
    assert names[0] == "a"
    assert len(set(names)) == len(ids)
    assert all(name.strip(".") and "/" not in name and len(name) < 100 for name in names)


async def test_infrastructure_is_retried_and_code_is_not(backend: LocalBackend) -> None:
    flaky = Counting(backend, failures=2)
    events: list[Event] = []
    step = stage(flaky, retry=partial(RetryPrimitive, max_retries=2, initial_delay=0.001))
    work = await take(step, "1/0", context=create_test_context(events.append))
    assert flaky.created == 3
    assert [type(e) for e in events].count(Retried) == 2
    assert work.steps[-1].message == "ZeroDivisionError: division by zero"


async def test_infrastructure_that_stays_away_is_no_fault_of_the_candidate(
    backend: LocalBackend,
) -> None:
    flaky = Counting(backend, failures=9)
    record = (
        await take(
            stage(flaky, retry=partial(RetryPrimitive, max_retries=1, initial_delay=0.001)), "1"
        )
    ).steps[-1]
    assert (record.verdict, record.message) == (Verdict.INFRASTRUCTURE, "not now")
    assert "given up after 2 attempts" in record.details


@pytest.mark.parametrize("store", [lambda _: MemoryCache(), lambda p: SQLiteCache(p / "c.db")])
async def test_identical_work_runs_once(
    backend: LocalBackend, tmp_path: Path, store: Callable[[Path], MemoryCache]
) -> None:
    counting = Counting(backend)
    step = stage(counting, cache=store(tmp_path), args=("{{n}}",))
    code = "import sys; print(sys.argv[1]); open('o', 'w').write('x')"
    first = await ran(step, code, n=1)
    again = await asyncio.gather(*(ran(step, code, n=1, other=i) for i in range(3)))
    assert counting.created == 1
    assert [first.cached, *(record.cached for record in again)] == [False, True, True, True]
    assert {record.stdout for record in again} == {"1\n"}
    await ran(step, code, n=2)
    await ran(step, code + " ", n=1)
    assert counting.created == 3


async def test_code_that_failed_is_not_kept(backend: LocalBackend) -> None:
    counting = Counting(backend)
    step = stage(counting, cache=MemoryCache())
    await take(step, "1/0")
    await take(step, "1/0")
    assert counting.created == 2


async def test_repeated_code_has_to_pass_every_time(backend: LocalBackend, tmp_path: Path) -> None:
    counting = Counting(backend)
    work = await take(stage(counting, repeat=3), "print(1)")
    assert (counting.created, work.steps[-1].message) == (3, "3 runs: exit code 0")
    flaky = "import os; print(os.getpid() and __import__('time').time_ns())"
    checks = (TextCheck(equals="never"),)
    step = ExecuteStage(lambda: counting, ExecuteSettings(repeat=3), checks)
    work = await take(step, flaky)
    assert counting.created == 4
    assert work.steps[-1].message == "run 1 of 3: exit code 0"


async def test_the_sandbox_is_ended_when_the_work_is_cancelled(backend: LocalBackend) -> None:
    ready = asyncio.Event()
    ids: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, SandboxReady):
            ids.append(event.sandbox_id)
            ready.set()

    code = "import time, sys\nprint('up', flush=True)\ntime.sleep(60)"
    task = asyncio.create_task(
        take(stage(backend, timeout=60), code, context=create_test_context(listen))
    )
    await ready.wait()
    await asyncio.sleep(0.3)  # until it runs
    before = asyncio.get_running_loop().time()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.get_running_loop().time() - before < 10
    processes = [Path("/proc", name, "cmdline") for name in os.listdir("/proc") if name.isdigit()]
    assert not any(ids[0].encode() in _read(path) for path in processes)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


async def test_subscribers_are_told_of_the_execution(backend: LocalBackend) -> None:
    events: list[Event] = []
    await take(stage(backend), "print('x')", context=create_test_context(events.append))
    (executed,) = [event for event in events if isinstance(event, Executed)]
    assert executed.result["stdout"] == "x\n"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"repeat": 2, "cache": MemoryCache()}, "repeat and cache"),
        ({"files": ("",)}, "empty name"),
        ({"env": {"A=B": "x"}}, "environment variable"),
        ({"file": "../x.py"}, "no file name"),
    ],
)
async def test_settings_that_cannot_be_are_refused(
    settings: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        ExecuteSettings(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "settings",
    [
        {"files": ("no-such-file",)},
        {"install": ("-e .",)},
        {"requirements": (Path("no.txt"),)},
        {"python": "2.7"},
        {"inline_files": {"main.py": "x"}},
        {"args": ("{{nope}}",)},
    ],
)
async def test_what_is_wrong_with_settings_is_found_before_a_sandbox_starts(
    backend: LocalBackend, settings: dict[str, object]
) -> None:
    counting = Counting(backend)
    with pytest.raises(UsageError):
        await take(stage(counting, **settings), "1")
