from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from e2brun.sandbox.contract import SandboxSpec
from e2brun.sandbox.e2b import E2BBackend, E2BSandbox
from tests.e2b.loopback import KEY, Answer, Cut, Delay, Loopback
from tests.waiting import until


def owner(server: Loopback, *, then: str) -> subprocess.Popen[str]:
    """A process of its own that creates a sandbox, and then does something."""
    script = textwrap.dedent(f"""
        import sys, time, os, signal
        from e2brun.sandbox.contract import SandboxSpec
        from e2brun.sandbox.e2b import Credentials, E2BBackend
        url = {server.url!r}
        backend = E2BBackend(Credentials(sys.stdin.readline(), url, url))
        sandbox = backend.create(SandboxSpec())
        print(backend.guard.pid, flush=True)
        {then}
    """)
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    process.stdin.write(KEY)
    process.stdin.close()
    return process


def ended(process: subprocess.Popen[str]) -> None:
    process.wait(60)
    if process.stdout is not None:
        process.stdout.close()


def test_kill_is_told_at_once_and_done_without_us(server: Loopback, sandbox: E2BSandbox) -> None:
    server.fail("DELETE", Delay(2))
    start = time.monotonic()
    sandbox.kill()
    sandbox.kill()
    assert time.monotonic() - start < 1.5
    until(lambda: not server.running())
    assert server.count("DELETE", "/sandboxes/") == 1


def test_close_kills_what_was_not_released(server: Loopback, backend: E2BBackend) -> None:
    kept, lost = backend.create(SandboxSpec()), backend.create(SandboxSpec())
    kept.release()
    backend.close()
    until(lambda: len(server.running()) == 1)
    assert [box.id for box in server.running()] == [kept.id]
    assert lost.id != kept.id


def test_close_waits_a_second_at_most_and_the_kill_still_happens(
    server: Loopback, backend: E2BBackend
) -> None:
    backend.create(SandboxSpec())
    server.fail("DELETE", Delay(4))
    start = time.monotonic()
    backend.close()
    assert time.monotonic() - start < 3
    until(lambda: not server.running())


@pytest.mark.parametrize("fault", [Answer(429), Answer(502), Cut("rst")])
def test_a_kill_that_fails_is_tried_again(
    server: Loopback, sandbox: E2BSandbox, fault: Answer | Cut
) -> None:
    server.fail("DELETE", fault)
    sandbox.kill()
    until(lambda: not server.running())
    assert server.count("DELETE", "/sandboxes/") == 2


def test_a_rejected_key_is_not_tried_again(server: Loopback, backend: E2BBackend) -> None:
    sandbox = backend.create(SandboxSpec())
    server.fail("DELETE", Answer(401))
    sandbox.kill()
    backend.close()
    time.sleep(0.5)
    assert server.count("DELETE", "/sandboxes/") == 1


def test_whatever_ends_the_owner_the_sandbox_is_killed(server: Loopback) -> None:
    process = owner(server, then="os.kill(os.getpid(), signal.SIGKILL); time.sleep(30)")
    ended(process)
    assert process.returncode != 0
    until(lambda: bool(server.boxes) and not server.running())
    assert server.count("DELETE", "/sandboxes/") == 1


def test_an_owner_killed_while_it_creates_leaves_nothing(server: Loopback) -> None:
    server.fail("POST /v2/sandboxes", Delay(1.0))
    process = owner(server, then="time.sleep(30)")
    until(lambda: bool(server.calls))
    process.kill()
    ended(process)
    until(lambda: bool(server.boxes) and not server.running())


def test_an_interrupt_is_heard_while_a_sandbox_is_created(
    server: Loopback, backend: E2BBackend
) -> None:
    server.fail("POST /v2/sandboxes", Delay(5))
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        backend.create(SandboxSpec())
    backend.close()
    assert time.monotonic() - start < 4
    until(lambda: bool(server.boxes) and not server.running())


def test_sandboxes_of_other_processes_are_left_alone(
    server: Loopback, backend: E2BBackend, sandbox: E2BSandbox
) -> None:
    server.fail("POST /v2/sandboxes", Cut("rst", after_doing=True))
    process = owner(server, then="")
    ended(process)
    until(lambda: [box.id for box in server.running()] == [sandbox.id])


def test_the_key_is_in_no_list_of_processes_and_in_no_environment(
    monkeypatch: pytest.MonkeyPatch, backend: E2BBackend
) -> None:
    monkeypatch.setenv("E2B_API_KEY", KEY)
    backend.create(SandboxSpec())
    process = Path(f"/proc/{backend.guard.pid}")
    # `env`, which leaves the key out, has to have become the guardian first.
    until(lambda: not process.joinpath("cmdline").read_bytes().startswith(b"env"))
    assert KEY.encode() not in process.joinpath("cmdline").read_bytes()
    assert KEY.encode() not in process.joinpath("environ").read_bytes()
    assert os.environ["E2B_API_KEY"] == KEY


def test_the_guardian_hears_no_signal_and_holds_none_of_our_pipes(
    server: Loopback, sandbox: E2BSandbox, backend: E2BBackend
) -> None:
    pid = backend.guard.pid
    assert pid is not None
    time.sleep(0.3)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(pid, number)
    streams = [Path(f"/proc/{pid}/fd/{n}").readlink() for n in (1, 2)]
    assert streams == [Path("/dev/null")] * 2
    assert os.getsid(pid) == pid
    sandbox.kill()
    until(lambda: not server.running())


def test_a_guardian_that_was_killed_is_started_again(
    server: Loopback, backend: E2BBackend, sandbox: E2BSandbox
) -> None:
    other = backend.create(SandboxSpec())
    pid = backend.guard.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    time.sleep(0.1)
    sandbox.kill()
    assert backend.guard.pid != pid
    until(lambda: [box.id for box in server.running()] == [other.id])
    backend.close()
    until(lambda: not server.running())


def test_the_guardian_is_gone_soon_after_its_work(backend: E2BBackend, sandbox: E2BSandbox) -> None:
    pid = backend.guard.pid
    backend.close()
    assert not Path(f"/proc/{pid}").exists()


def test_no_sandbox_outlives_its_lifetime(server: Loopback, backend: E2BBackend) -> None:
    backend.create(SandboxSpec(lifetime=0.5)).release()
    until(lambda: not server.running(), 2)


def test_no_key_is_in_what_a_backend_says_of_itself(backend: E2BBackend) -> None:
    assert KEY not in repr(vars(backend))
