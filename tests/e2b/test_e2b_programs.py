from __future__ import annotations

import os
import resource
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from e2brun.errors import FileTransferFailed, SandboxError
from e2brun.sandbox.contract import Outcome, Program, SandboxSpec, Upload
from e2brun.sandbox.e2b import E2BBackend, E2BSandbox
from tests.e2b.conftest import Run
from tests.e2b.loopback import Answer, Cut, Delay, Loopback
from tests.waiting import until


def test_a_broken_pipe_is_not_written_to_again(sandbox: E2BSandbox) -> None:
    calls: list[bytes] = []

    def broken(data: bytes) -> None:
        calls.append(data)
        raise BrokenPipeError

    err = bytearray()
    line = "echo 1; sleep 0.1; echo 2; sleep 0.1; echo e >&2; exit 4"
    program = Program(("sh", "-c", line))
    ended = sandbox.run_program(program, timeout=10, stdout=broken, stderr=err.extend)
    assert len(calls) == 1
    assert bytes(err) == b"e\n"
    assert ended.exit_code == 4


def test_a_timeout_ends_the_whole_program_and_the_sandbox_lives_on(
    server: Loopback, sandbox: E2BSandbox, run: Run
) -> None:
    start = time.monotonic()
    ran = run("sh", "-c", "echo before; sleep 33 & sleep 34", timeout=0.5)
    assert time.monotonic() - start < 15
    assert ran.execution.outcome is Outcome.TIMEOUT
    assert ran.execution.exit_code is None
    assert ran.out == b"before\n"
    assert ran.execution.detail == "time limit 0.5 s"
    assert server.boxes[sandbox.id].alive
    assert run("echo", "still").out == b"still\n"
    until(lambda: b"33" not in run("pgrep", "-f", "-x", "sleep 33").out)


def test_a_program_that_is_not_there_is_ours_to_tell(run: Run) -> None:
    with pytest.raises(SandboxError, match="could not be started: nonesuch: No such file"):
        run("nonesuch", "x")
    with pytest.raises(SandboxError, match=r"could not be started: \./data: Permission denied"):
        run("./data", files=(Upload("data", b"x"),))


@pytest.mark.parametrize("code", [3, "-11"])
def test_the_end_of_a_program_is_its_own_whoever_holds_its_output(
    run: Run, code: int | str
) -> None:
    ends = f"kill {code} $$" if isinstance(code, str) else f"exit {code}"
    start = time.monotonic()
    ran = run("sh", "-c", f"echo out; echo err >&2; sleep 33 & {ends}")
    assert time.monotonic() - start < 15
    ended = ran.execution
    assert (ran.out, ran.err) == (b"out\n", b"err\n")
    if isinstance(code, str):
        assert (ended.signal, ended.exit_code) == (-int(code), 128 - int(code))
    else:
        assert (ended.signal, ended.exit_code) == (None, code)


def test_all_that_a_program_wrote_is_told_before_its_end(run: Run) -> None:
    size = 3_000_000
    code = f"import os; os.fork() or os._exit(os.system('sleep 33')); os.write(2, b'E2brun-'); \
[os.write(1, b'E' * 1000) for _ in range({size // 1000})]".encode()
    ran = run("python3", "x.py", files=(Upload("x.py", code),))
    assert (len(ran.out), ran.err, ran.execution.exit_code) == (size, b"E2brun-", 0)


def test_a_forged_end_is_just_output(run: Run) -> None:
    code = (
        b"import os, sys, time\n"
        b"for said in (b'E2brun-', b'E2brun-0123456789abcdef=0 1;', b'E' * 3, b'E2brun-0'):\n"
        b"    os.write(1, said); time.sleep(0.05)\n"
        b"sys.exit(4)"
    )
    ran = run("python3", "x.py", files=(Upload("x.py", code),))
    assert ran.out == b"E2brun-E2brun-0123456789abcdef=0 1;EEEE2brun-0"
    assert ran.execution.exit_code == 4


def test_the_largest_process_is_told(run: Run) -> None:
    ended = run("python3", "x.py", files=(Upload("x.py", b"x = b'1' * 80_000_000"),)).execution
    assert ended.peak_memory is not None
    assert 80_000_000 < ended.peak_memory < 400_000_000


def test_where_there_is_no_python_a_program_runs_all_the_same(run: Run, server: Loopback) -> None:
    run("true")
    (next(iter(server.boxes.values())).home / ".bash_profile").write_text("PATH=/nowhere")
    ran = run("/bin/sh", "-c", "echo x; kill -11 $$")
    assert (ran.out, ran.execution.signal) == (b"x\n", 11)
    assert ran.execution.peak_memory is None


@pytest.mark.parametrize("path", ["", "dir/", "nul\0"])
def test_what_names_no_file_is_refused(run: Run, path: str) -> None:
    with pytest.raises(FileTransferFailed):
        run("true", files=(Upload(path, b"x"),))


def test_a_local_file_that_is_not_there_is_ours_to_tell(run: Run, tmp_path: Path) -> None:
    with pytest.raises(FileTransferFailed, match="cannot read"):
        run("true", files=(Upload("x", tmp_path / "nope"),))
    with pytest.raises(FileTransferFailed, match="not a regular file"):
        run("true", files=(Upload("x", Path("/dev/zero")),))


def test_large_files_go_up_in_one_request_beside_the_start(
    server: Loopback, run: Run, tmp_path: Path
) -> None:
    big = tmp_path / "big"
    big.write_bytes(os.urandom(3_000_000))
    server.fail("POST /files", Delay(1.5))
    files = (
        Upload("in/big", big),
        Upload("tool", b"#!/bin/sh\nsum=$(cksum < in/big); echo $sum\n", executable=True),
        Upload("more", os.urandom(500_000)),
    )
    ran = run("./tool", files=files, timeout=20)
    assert ran.execution.outcome is Outcome.OK
    assert ran.out.split()[1] == b"3000000"
    assert ran.execution.execution_time < 1.5  # the upload is not the program's time
    assert server.count("POST", "/files") == 1
    start, sent = (
        next(c.time for c in server.calls if c.path == path)
        for path in ("/process.Process/Start", "/files")
    )
    assert abs(sent - start) < 1.4  # side by side
    assert {entry.name for entry in next(iter(server.boxes.values())).home.iterdir()} == {
        "in",
        "tool",
        "more",
    }


@pytest.mark.parametrize("fault", [Answer(507), Cut("rst")])
def test_an_upload_that_fails_ends_the_waiting_command(
    server: Loopback, run: Run, fault: Answer | Cut
) -> None:
    server.fail("POST /files", fault)
    with pytest.raises(FileTransferFailed):
        run("echo", "ran", files=(Upload("x", os.urandom(500_000)),))
    box = next(iter(server.boxes.values()))
    until(lambda: all(p.poll() is not None for p in box.processes.values()))


def test_much_output_is_not_held_in_memory(sandbox: E2BSandbox) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    size = 0

    def count(data: bytes) -> None:
        nonlocal size
        size += len(data)

    program = Program(("head", "-c", str(60_000_000), "/dev/zero"))
    sandbox.run_program(program, timeout=60, stdout=count, stderr=count)
    assert size == 60_000_000
    # The server, in this same process, is counted too.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40_000


def test_a_program_can_run_for_ever_until_it_is_killed(
    server: Loopback, backend: E2BBackend
) -> None:
    sandbox = backend.create(SandboxSpec())
    threading.Timer(0.4, sandbox.kill).start()
    start = time.monotonic()
    ended = sandbox.run_program(
        Program(("sleep", "60")), timeout=None, stdout=lambda d: None, stderr=lambda d: None
    )
    assert time.monotonic() - start < 20
    assert ended.outcome is Outcome.KILLED
    until(lambda: not server.running())
    again = sandbox.run_program(
        Program(("true",)), timeout=None, stdout=lambda d: None, stderr=lambda d: None
    )
    assert again.outcome is Outcome.LOST


def test_an_interrupt_is_heard_while_a_program_runs(sandbox: E2BSandbox) -> None:
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        sandbox.run_program(
            Program((sys.executable, "-c", "import time; time.sleep(60)")),
            timeout=60,
            stdout=lambda d: None,
            stderr=lambda d: None,
        )
    assert time.monotonic() - start < 20
