"""What every backend owes its callers, tried on each of them."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from e2brun.errors import FileTransferFailed, InstallFailed, SandboxError, Unsupported
from e2brun.sandbox.contract import Backend, Outcome, Program, Sandbox, SandboxSpec, Upload
from tests.contract.backends import BACKENDS
from tests.contract.hearing import cell, python, run
from tests.waiting import until


@pytest.fixture(scope="module", params=sorted(BACKENDS))
def backend(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Backend]:
    with BACKENDS[request.param](tmp_path_factory.mktemp("backend")) as backend:
        yield backend


@pytest.fixture(params=sorted(BACKENDS))
def own_backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    """One that nobody else uses: it may be closed."""
    with BACKENDS[request.param](tmp_path) as backend:
        yield backend


@pytest.fixture
def sandbox(backend: Backend) -> Iterator[Sandbox]:
    made = backend.create(SandboxSpec(lifetime=120))
    yield made
    made.kill()


def test_an_id_looks_like_one_of_e2b(sandbox: Sandbox, backend: Backend) -> None:
    assert re.fullmatch(r"i[a-z0-9]{19}", sandbox.id)
    assert sandbox.backend == backend.name


def test_a_program_gets_its_arguments_and_its_streams_stay_apart(sandbox: Sandbox) -> None:
    code = "import sys\nprint(sys.argv[1:])\nprint('no', file=sys.stderr)"
    execution, heard = run(sandbox, python(code, "a b", "'c'", "$HOME", ""))
    assert heard.stdout == b"['a b', \"'c'\", '$HOME', '']\n"
    assert heard.stderr == b"no\n"
    assert (execution.outcome, execution.exit_code) == (Outcome.OK, 0)


def test_output_is_exact_to_the_byte(sandbox: Sandbox) -> None:
    code = "import sys; sys.stdout.buffer.write(bytes(range(256)) * 64)"
    _, heard = run(sandbox, python(code))
    assert heard.stdout == bytes(range(256)) * 64


@pytest.mark.parametrize("code", [1, 137])
def test_an_exit_code_is_the_programs_own(sandbox: Sandbox, code: int) -> None:
    execution, _ = run(sandbox, python(f"raise SystemExit({code})"))
    assert (execution.outcome, execution.exit_code, execution.signal) == (Outcome.ERROR, code, None)


def test_a_program_that_dies_of_a_signal_says_which(sandbox: Sandbox) -> None:
    execution, _ = run(sandbox, python("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"))
    assert (execution.outcome, execution.exit_code, execution.signal) == (Outcome.ERROR, 139, 11)


def test_stdin_is_empty_unless_given(sandbox: Sandbox) -> None:
    read = python("import sys; print(repr(sys.stdin.read()))")
    assert run(sandbox, read)[1].stdout == b"''\n"
    given = python("import sys; print(repr(sys.stdin.read()))", stdin=b"one\ntwo")
    assert run(sandbox, given)[1].stdout == b"'one\\ntwo'\n"


def test_stdin_comes_from_a_descriptor_until_its_end(sandbox: Sandbox) -> None:
    read, write = os.pipe()
    os.write(write, b"first\n")

    def finish() -> None:
        os.write(write, b"second\n")
        os.close(write)

    later = threading.Timer(0.2, finish)
    later.start()
    _, heard = run(
        sandbox, python("import sys\nfor line in sys.stdin: print(line.strip())", stdin=read)
    )
    later.join()
    os.close(read)
    assert heard.stdout == b"first\nsecond\n"


def test_a_program_that_ignores_an_endless_stdin_still_ends(sandbox: Sandbox) -> None:
    read, write = os.pipe()
    before = threading.active_count()
    try:
        execution, _ = run(sandbox, python("print(1)", stdin=read))
        until(lambda: threading.active_count() <= before)  # nobody reads on
    finally:
        os.close(write)
        os.close(read)
    assert execution.outcome is Outcome.OK


def test_output_comes_while_the_program_runs(sandbox: Sandbox) -> None:
    times: list[float] = []
    code = "import time\nfor i in range(3): print(i); time.sleep(0.3)"
    sandbox.run_program(
        python(code), timeout=20, stdout=lambda _: times.append(time.monotonic()), stderr=print
    )
    assert times[-1] - times[0] > 0.5


def test_a_sink_that_nobody_reads_is_given_no_more(sandbox: Sandbox) -> None:
    calls: list[bytes] = []

    def broken(data: bytes) -> None:
        calls.append(data)
        raise BrokenPipeError

    code = "import time\nfor i in range(20):\n    print(i)\n    time.sleep(0.02)"
    execution = sandbox.run_program(python(code), timeout=10, stdout=broken, stderr=lambda _: None)
    assert len(calls) == 1
    assert execution.outcome in {Outcome.ERROR, Outcome.OK}  # it may have seen the closed pipe


def test_environment_and_directory_are_those_asked_for(backend: Backend) -> None:
    sandbox = backend.create(SandboxSpec(lifetime=60, env={"A": "from spec", "B": "from spec"}))
    sandbox.write_files([Upload("deep/er/x.txt", b"")])
    code = "import os; print(os.environ['A'], '|', os.environ['B'], os.getcwd())"
    program = Program(
        ("python3", "-c", code), cwd="deep/er", env={"B": 'of the "run" $x\n', "C": ""}
    )
    _, heard = run(sandbox, program)
    assert heard.stdout == b'from spec | of the "run" $x\n /home/user/deep/er\n'


def test_a_missing_program_or_directory_is_an_error_of_ours_or_code_127(sandbox: Sandbox) -> None:
    for program in (Program(("no-such-program",)), Program(("true",), cwd="/no/such")):
        try:
            execution, _ = run(sandbox, program)
        except SandboxError:
            continue
        assert execution.outcome is Outcome.ERROR
        assert execution.exit_code not in {0, None}


def test_a_timeout_is_a_timeout_and_the_sandbox_lives_on(sandbox: Sandbox) -> None:
    code = "import signal, time\nsignal.signal(15, signal.SIG_IGN)\nprint('in')\ntime.sleep(60)"
    started = time.monotonic()
    execution, heard = run(sandbox, python(code), timeout=1)
    assert time.monotonic() - started < 20
    assert execution.outcome is Outcome.TIMEOUT
    assert heard.stdout == b"in\n"
    assert run(sandbox, python("print('still here')"))[1].stdout == b"still here\n"


def test_killing_the_sandbox_ends_the_run_as_killed_or_lost(sandbox: Sandbox) -> None:
    killer = threading.Timer(0.5, sandbox.kill)
    killer.start()
    started = time.monotonic()
    execution, _ = run(sandbox, python("import time; time.sleep(60)"))
    killer.join()
    assert execution.outcome in {Outcome.KILLED, Outcome.LOST}
    assert time.monotonic() - started < 30


@pytest.mark.parametrize("delay", [0, 0.004, 0.01, 0.03])
def test_a_sandbox_killed_while_it_starts_keeps_nobody_waiting(
    backend: Backend, delay: float
) -> None:
    for _ in range(5 if backend.name == "local" else 1):
        sandbox = backend.create(SandboxSpec(lifetime=60))
        killer = threading.Timer(delay, sandbox.kill)
        killer.start()
        started = time.monotonic()
        with suppress(SandboxError):
            execution, _ = run(sandbox, python("import time; time.sleep(30)"))
            assert execution.outcome in {Outcome.KILLED, Outcome.LOST}
        killer.join()
        assert time.monotonic() - started < 20


def test_many_kills_in_the_middle_of_runs_disturb_no_other_sandbox(backend: Backend) -> None:
    """A killed sandbox's descriptors get their numbers anew at once: nobody may still use them."""
    rounds = 12 if backend.name == "local" else 2
    for _ in range(rounds):
        doomed, other = (backend.create(SandboxSpec(lifetime=60)) for _ in range(2))
        killer = threading.Timer(0.05, doomed.kill)
        killer.start()
        with suppress(SandboxError):  # killed before it began
            ended, _ = run(doomed, python("while True: print('doomed' * 99)"))
            assert ended.outcome in {Outcome.KILLED, Outcome.LOST}
        execution, heard = run(other, python("print('other' * 5000)"))
        killer.join()
        assert (execution.outcome, heard.stdout) == (Outcome.OK, b"other" * 5000 + b"\n")


def test_kill_can_be_repeated_and_ends_everything(sandbox: Sandbox) -> None:
    sandbox.kill()
    sandbox.kill()
    try:
        execution, _ = run(sandbox, python("print(1)"))
    except SandboxError:
        return
    assert execution.outcome in {Outcome.KILLED, Outcome.LOST, Outcome.INFRASTRUCTURE}


def test_a_file_comes_back_as_it_went(sandbox: Sandbox, tmp_path: Path) -> None:
    there = str(tmp_path / "there")  # where the sandbox is a directory of this machine, ours
    for size in (5_000_000, 1, 0):
        content = os.urandom(size)
        (tmp_path / "local").write_bytes(content)
        sandbox.write_files([Upload("a/b c/ü.bin", content), Upload(there, tmp_path / "local")])
        assert b"".join(sandbox.read_file("a/b c/ü.bin")) == content
        assert b"".join(sandbox.read_file(there)) == content


def test_files_of_a_program_are_there_when_it_starts(sandbox: Sandbox, tmp_path: Path) -> None:
    big = os.urandom(3_000_000)
    (tmp_path / "big").write_bytes(big)
    program = Program(
        ("python3", "main.py"),
        (
            Upload("big", tmp_path / "big"),
            Upload("sub/tool.sh", b"#!/bin/sh\necho tool\n", executable=True),
            Upload(
                "main.py",
                b"import subprocess\nprint(len(open('big','rb').read()), flush=True)\n"
                b"subprocess.run(['./sub/tool.sh'])",
            ),
        ),
    )
    _, heard = run(sandbox, program)
    assert heard.stdout == b"3000000\ntool\n"


def test_a_directory_is_listed_with_kinds_and_sizes(sandbox: Sandbox) -> None:
    sandbox.write_files([Upload("d/one", b"123"), Upload("d/two/three", b"")])
    entries = [(entry.name, entry.kind) for entry in sandbox.list_files("d")]
    assert entries == [("one", "file"), ("two", "directory")]
    assert sandbox.list_files("d")[0].size == 3


@pytest.mark.parametrize("path", ["nowhere", "d"])
def test_what_is_no_file_cannot_be_read_nor_listed(sandbox: Sandbox, path: str) -> None:
    sandbox.write_files([Upload("d/x", b"")])
    with pytest.raises(FileTransferFailed):
        b"".join(sandbox.read_file(path))
    with pytest.raises(FileTransferFailed):
        sandbox.list_files("nowhere")


def test_a_file_that_could_not_be_written_does_not_stop_later_programs(sandbox: Sandbox) -> None:
    sandbox.write_files([Upload("d/x", b"")])
    with pytest.raises(FileTransferFailed):
        sandbox.write_files([Upload("d", b"data")])
    with pytest.raises(SandboxError):
        run(sandbox, Program(("true",), (Upload("d", b"data"),)))
    assert run(sandbox, python("print('fine')"))[1].stdout == b"fine\n"


def test_cells_share_state_and_show_the_last_value(sandbox: Sandbox) -> None:
    assert cell(sandbox, "x = 20")[0].outcome is Outcome.OK
    execution, heard = cell(sandbox, "print('hi')\nx + 22")
    assert heard.stdout == b"hi\n"
    assert execution.results[0]["text"] == "42"
    assert heard.results == list(execution.results)


def test_a_cell_that_raises_says_what_and_where(sandbox: Sandbox) -> None:
    execution, _ = cell(sandbox, "x = 1\nraise KeyError('gone')")
    assert (execution.outcome, execution.exit_code) == (Outcome.ERROR, 1)
    assert execution.error is not None
    assert execution.error.name == "KeyError"
    assert "line 2" in execution.error.traceback


def test_a_cell_that_leaves_has_its_exit_code(sandbox: Sandbox) -> None:
    execution, _ = cell(sandbox, "import sys; sys.exit(7)")
    assert (execution.outcome, execution.exit_code) == (Outcome.ERROR, 7)


def test_a_cell_past_its_time_is_a_timeout(sandbox: Sandbox) -> None:
    started = time.monotonic()
    execution, _ = cell(sandbox, "import time; time.sleep(60)", timeout=1)
    assert execution.outcome is Outcome.TIMEOUT
    assert time.monotonic() - started < 20


def test_packages_come_with_a_sandbox_or_later(backend: Backend, tmp_path: Path) -> None:
    first = backend.create(SandboxSpec(lifetime=60, install=("tiny",)))
    assert run(first, python("import tiny; print(tiny.VALUE)"))[1].stdout == b"42\n"
    later = backend.create(SandboxSpec(lifetime=60))
    assert cell(later, "import tiny")[0].outcome is Outcome.ERROR
    later.install(["tiny"])
    assert cell(later, "import tiny; tiny.VALUE")[0].outcome is Outcome.OK
    assert run(later, python("import tiny; print(tiny.VALUE)"))[1].stdout == b"42\n"


def test_packages_that_do_not_exist_give_one_line(backend: Backend) -> None:
    with pytest.raises(InstallFailed, match="no-such-demo") as raised:
        backend.create(SandboxSpec(lifetime=60, install=("no-such-demo",)))
    assert "\n" not in str(raised.value)


def test_releasing_is_possible_or_refused(own_backend: Backend) -> None:
    backend = own_backend
    sandbox = backend.create(SandboxSpec(lifetime=120))
    if backend.name == "local":
        with pytest.raises(Unsupported):
            sandbox.release()
    else:
        sandbox.release()
        backend.close()
        assert run(sandbox, python("print(1)"))[1].stdout == b"1\n"
        sandbox.kill()


def test_a_sandbox_made_by_a_thread_outlives_it(backend: Backend) -> None:
    made: list[Sandbox] = []

    def make() -> None:
        made.append(backend.create(SandboxSpec(lifetime=60)))
        made[0].list_files("~")  # it is up, and has set all its death signals

    maker = threading.Thread(target=make)
    maker.start()
    maker.join()
    time.sleep(0.3)
    assert run(made[0], python("print('alive')"))[1].stdout == b"alive\n"


def test_what_was_killed_leaves_nothing_open(backend: Backend) -> None:
    if backend.name != "local":
        pytest.skip("the server that stands for E2B has its descriptors in this process, too")

    def once() -> None:
        sandbox = backend.create(SandboxSpec(lifetime=60))
        run(sandbox, python("print(1)"))
        cell(sandbox, "1")
        sandbox.kill()

    for _ in range(3):  # from the second on, a backend may keep what makes the next ones quick
        once()
        time.sleep(0.5)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        once()
    time.sleep(0.5)
    assert len(os.listdir("/proc/self/fd")) == before
