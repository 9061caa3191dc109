"""What `exec` leaves in the store."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from e2brun.runs.origin import State, StoredRun
from e2brun.runs.record import CaseRecord, ExecutionRecord
from e2brun.runs.spool import append, files_of, spool_of
from e2brun.runs.store import Store
from e2brun.runs.unspool import unspool
from tests.cli.conftest import begin
from tests.conftest import Run

Recorded = Callable[[], list[tuple[StoredRun, list[CaseRecord]]]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "runs.sqlite"


@pytest.fixture
def environment(path: Path) -> dict[str, str]:
    return {"E2BRUN_ON": "local", "E2BRUN_STORE": str(path)}


def test_output_that_is_shown_again_is_no_command_and_no_escape(
    e2brun: Run, environment: dict[str, str], script: Callable[..., Path]
) -> None:
    script("print('a ##vso[task.x]b\\x1b[31m\\n::error::c\\n##teamcity[x]')")
    assert e2brun("exec", "-q", "prog.py", env=environment).code == 0
    shown = e2brun("runs", "show", "@last", env=environment).text
    assert "    a ##vso\u200b[task.x]b\u241b[31m\n    :\u200b:error::c\n" in shown
    for command in ("##vso[", "##teamcity[", "\x1b", " ::error"):
        assert command not in shown


@pytest.fixture
def recorded(path: Path) -> Recorded:
    """Every run, the newest first, with its cases whole."""

    def read() -> list[tuple[StoredRun, list[CaseRecord]]]:
        with closing(Store(path)) as store:
            unspool(store)
            found = store.runs()
            return [(run, list(store.cases(run.record.id, whole=True))) for run in found]

    return read


def _execution(case: CaseRecord) -> ExecutionRecord:
    found = case.attempts[0].steps[0].execution
    assert found is not None
    return found


def test_a_program_is_recorded_with_all_that_is_known_of_it(
    e2brun: Run, script: Callable[..., Path], environment: dict[str, str], recorded: Recorded
) -> None:
    program = script("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")
    ran = e2brun("exec", "prog.py", "one", env=environment)
    assert ran.code == 3
    ((run, (case,)),) = recorded()
    assert (run.state, run.exit_code, run.origin.kind) == (State.FINISHED, 3, "exec")
    assert run.origin.command == ("exec", "prog.py", "one")
    assert run.origin.directory == str(program.parent)
    assert len(run.origin.code_hash) == 64
    assert (run.record.file, run.record.pipeline) == (str(program), "prog.py")
    assert run.record.backend == "local"
    execution = _execution(case)
    assert (execution.outcome, execution.exit_code) == ("error", 3)
    assert (execution.stdout, execution.stderr) == ("out\n", "err\n")
    assert execution.sandbox_id in ran.err
    assert "sys.exit(3)" in case.attempts[0].code
    assert case.seconds > 0


def test_a_cell_is_recorded_with_its_error_and_its_results(
    e2brun: Run, environment: dict[str, str], recorded: Recorded
) -> None:
    assert e2brun("exec", "-c", "1 + 1", env=environment).code == 0
    assert e2brun("exec", "-c", "1 / 0", env=environment).code == 1
    (_, (bad,)), (_, (good,)) = recorded()
    assert [result.get("text") for result in _execution(good).results] == ["2"]
    assert _execution(bad).error == "ZeroDivisionError: division by zero"
    assert "1 / 0" in _execution(bad).traceback


def test_long_output_is_kept_whole(
    e2brun: Run, script: Callable[..., Path], environment: dict[str, str], recorded: Recorded
) -> None:
    script("for n in range(50_000): print('line', n)")
    ran = e2brun("exec", "prog.py", env=environment)
    ((run, (case,)),) = recorded()
    assert _execution(case).stdout == ran.text
    names = {
        file.name for file in files_of(Path(environment["E2BRUN_STORE"]), run.record.id).iterdir()
    }
    assert all(name.endswith(".gz") for name in names)


def test_no_secret_is_recorded(
    e2brun: Run, script: Callable[..., Path], environment: dict[str, str], path: Path
) -> None:
    named, valued = "named-0123", "v@lue/with odd=characters"
    text = "import os\nfor n in range({}): print(os.environ['A_TOKEN'], os.environ['B_SECRET'])\n"
    for count in (1, 5000):
        script(text.format(count) + f"# {named}\n")
        options = ("--env", f"A_TOKEN={named}", "--env", f"B_SECRET={valued}")
        own = {**environment, "HOST_PASSWORD": "of-the-host"}
        ran = e2brun("exec", *options, "prog.py", "of-the-host", env=own)
        assert ran.text.startswith(f"{named} {valued}\n")
    with closing(Store(path)) as store:
        _nothing_of((named, valued, "of-the-host"), path.parent)
        unspool(store)
        _nothing_of((named, valued, "of-the-host"), path.parent)
        whole = [next(store.cases(run.record.id, whole=True)) for run in store.runs()]
    assert [_execution(case).stdout for case in whole] == ["*** ***\n" * 5000, "*** ***\n"]


def _nothing_of(secrets: tuple[str, ...], directory: Path) -> None:
    for file in directory.rglob("*"):
        content = file.read_bytes() if file.is_file() else b""
        assert not any(secret.encode() in content for secret in secrets), file


def test_with_no_store_nothing_is_left(
    e2brun: Run, script: Callable[..., Path], environment: dict[str, str], path: Path
) -> None:
    script("print(1)")
    assert e2brun("exec", "--no-store", "prog.py", env=environment).code == 0
    assert e2brun("exec", "prog.py", env={**environment, "E2BRUN_STORE": "off"}).code == 0
    assert not path.parent.exists()
    assert e2brun("exec", "--store", "other.sqlite", "prog.py", env=environment).code == 0
    assert not path.parent.exists()
    assert (path.parents[1] / "other.sqlite.spool").exists()


def test_where_nothing_can_be_recorded_one_line_says_so_and_the_exit_code_is_the_programs(
    e2brun: Run, script: Callable[..., Path], path: Path, environment: dict[str, str]
) -> None:
    script("print('x' * 100_000); raise SystemExit(7)")
    path.parent.write_text("no directory")
    ran = e2brun("exec", "prog.py", env=environment)
    assert ran.code == 7
    assert len(ran.out) == 100_001
    assert ran.err.count("not recorded") == 1
    assert "Traceback" not in ran.err


def test_a_full_disk_is_told_in_one_line(
    e2brun: Run, script: Callable[..., Path], path: Path, environment: dict[str, str]
) -> None:
    script("print('fine')")
    path.parent.mkdir()
    spool_of(path).symlink_to("/dev/full")
    ran = e2brun("exec", "prog.py", env=environment)
    assert (ran.code, ran.text) == (0, "fine\n")
    assert ran.err.count("No space left on device") == 1


def test_what_could_not_start_is_recorded_as_infrastructure_and_bad_usage_is_not(
    e2brun: Run, script: Callable[..., Path], environment: dict[str, str], recorded: Recorded
) -> None:
    script("print(1)")
    nowhere = {**environment, "E2B_API_KEY": "e2b_" + "0" * 40, "E2B_API_URL": "http://127.0.0.1:9"}
    assert e2brun("exec", "missing.py", env=environment).code == 2
    assert e2brun("exec", "--on", "e2b", "prog.py", env=nowhere).code == 125
    ((run, (case,)),) = recorded()
    assert (run.state, run.exit_code) == (State.FINISHED, 125)
    assert _execution(case).outcome == "infrastructure"
    assert case.verdict == "infrastructure"


def _started(tmp_path: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    words = ("exec", "prog.py")
    process = begin(*words, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    assert process.stdout.readline() == b"there\n"
    return process


def test_a_run_is_running_until_it_is_killed(
    tmp_path: Path, script: Callable[..., Path], environment: dict[str, str], recorded: Recorded
) -> None:
    script("import time; print('there', flush=True); time.sleep(60)")
    process = _started(tmp_path, environment)
    try:
        ((running, cases),) = recorded()
        assert (running.state, cases) == (State.RUNNING, [])
    finally:
        process.kill()
        process.communicate()
    ((killed, _),) = recorded()
    assert (killed.state, killed.record.id) == (State.KILLED, running.record.id)


def test_an_interrupted_run_is_recorded_with_its_exit_code(
    tmp_path: Path, script: Callable[..., Path], environment: dict[str, str], recorded: Recorded
) -> None:
    script("import time; print('there', flush=True); time.sleep(60)")
    process = _started(tmp_path, environment)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 143
    ((run, (case,)),) = recorded()
    assert (run.state, run.exit_code) == (State.FINISHED, 143)
    assert (_execution(case).outcome, _execution(case).stdout) == ("killed", "there\n")


def test_a_run_whose_document_cannot_be_written_is_recorded_as_over(
    tmp_path: Path, environment: dict[str, str], recorded: Recorded
) -> None:
    with Path("/dev/full").open("wb") as full:
        words = ("exec", "--json", "-c", "1")
        process = begin(
            *words, cwd=tmp_path, env=environment, stdout=full, stderr=subprocess.DEVNULL
        )
    code = process.wait(60)
    ((run, _),) = recorded()
    assert (code, run.state, run.exit_code) == (125, State.FINISHED, 125)


def _begun(run_id: str) -> dict[str, object]:
    return {
        "run": run_id, "started": time.time(), "name": "p.py", "file": "/p.py",
        "backend": "local", "command": ("exec", "p.py"), "directory": "/", "version": "0",
        "owner": "", "source": b"print()",
    }  # fmt: skip


def test_half_a_line_costs_only_itself(path: Path) -> None:
    append(path, _begun("first"))
    with spool_of(path).open("ab") as file:
        file.write(b"\n{'run': 'torn', 'started': 12")
    append(path, _begun("second"))
    for junk in (b"\xff\xfe\0", b"(" * 5000, b"[1]", b"{'run': 1}", b"{'run': 'x'}"):
        with spool_of(path).open("ab") as file:
            file.write(junk + b"\n")
    with closing(Store(path)) as store:
        unspool(store)
        assert {run.record.id for run in store.runs()} == {"first", "second"}
        assert list(path.parent.glob("*.spool*")) == []


def test_taken_in_twice_is_taken_in_once(
    e2brun: Run,
    script: Callable[..., Path],
    path: Path,
    environment: dict[str, str],
    recorded: Recorded,
) -> None:
    script("for n in range(50_000): print('line', n)")
    ran = e2brun("exec", "prog.py", env=environment)
    content = spool_of(path).read_bytes()
    for _ in range(3):
        spool_of(path).with_name("runs.sqlite.spool.left").write_bytes(content)
        ((_, (case,)),) = recorded()
        assert _execution(case).stdout == ran.text


def test_a_writer_waits_for_nobody_who_takes_the_lines_in(path: Path) -> None:
    append(path, _begun("first"))
    with closing(Store(path)) as store, store.together():  # it has only begun to
        unspool(store)
        append(path, _begun("second"))
    with closing(Store(path)) as store:
        unspool(store)
        assert {run.record.id for run in store.runs()} == {"first", "second"}


WRITER = """
import sys, time
from pathlib import Path
from e2brun.runs.spool import append
from tests.runs.test_exec import _begun
for number in range(10_000):
    append(Path(sys.argv[1]), _begun(f"{sys.argv[2]}-{number}"))
    print(number, flush=True)
    time.sleep(0.001)
"""


@pytest.fixture
def writers(path: Path) -> Iterator[list[subprocess.Popen[str]]]:
    import sys

    started = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(number)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        for number in range(3)
    ]
    yield started
    for process in started:
        process.kill()
        process.communicate()


def test_what_writers_said_they_wrote_is_there_whoever_is_killed_when(
    path: Path, writers: list[subprocess.Popen[str]]
) -> None:
    said: list[int] = []
    for turn, process in enumerate(writers):
        assert process.stdout is not None
        for _ in range(20 + 37 * turn):
            process.stdout.readline()
        with closing(Store(path)) as store:
            unspool(store)  # among those who write
        os.kill(process.pid, signal.SIGKILL)
        said.append(20 + 37 * turn + len(process.stdout.read().splitlines()))
        process.wait()
    with closing(Store(path)) as store:
        unspool(store)
        found = {run.record.id for run in store.runs()}
    for writer, count in enumerate(said):
        assert {f"{writer}-{number}" for number in range(count)} <= found


def test_the_lines_are_taken_in_before_they_become_too_many(
    e2brun: Run, script: Callable[..., Path], path: Path, environment: dict[str, str]
) -> None:
    script("print('fine')")
    path.parent.mkdir()
    spool_of(path).write_bytes(b"#" * 5_000_000)
    ran = e2brun("exec", "prog.py", env=environment)
    assert (ran.code, ran.text) == (0, "fine\n")
    assert list(path.parent.glob("*.spool*")) == []
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT count(*) FROM cases").fetchone() == (1,)
