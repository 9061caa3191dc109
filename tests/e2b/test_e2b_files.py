from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from e2brun.errors import RateLimited
from e2brun.sandbox.contract import Upload
from e2brun.sandbox.e2b import E2BSandbox
from tests.e2b.loopback import KEY, Answer, Loopback


def test_many_files_go_up_in_one_request(server: Loopback, sandbox: E2BSandbox) -> None:
    sandbox.write_files([Upload(f"d/{n}", b"x" * n) for n in range(300)])
    assert server.count("POST", "/files") == 1
    assert len(sandbox.list_files("d")) == 300


def test_reading_and_listing_are_asked_again_when_the_provider_is_busy(
    server: Loopback, sandbox: E2BSandbox, notices: list[str]
) -> None:
    sandbox.write_files([Upload("x", b"1")])
    server.fail("GET /files", Answer(429))
    server.fail("POST /filesystem", Answer(429))
    assert list(sandbox.read_file("x")) == [b"1"]
    assert len(sandbox.list_files(".")) == 1
    assert len(notices) == 2


def test_writing_is_refused_without_being_repeated(server: Loopback, sandbox: E2BSandbox) -> None:
    server.fail("POST /files", Answer(429))
    with pytest.raises(RateLimited):
        sandbox.write_files([Upload("x", b"1")])
    assert server.count("POST", "/files") == 1


def test_a_large_file_is_never_held_in_memory(server: Loopback, tmp_path: Path) -> None:
    big = tmp_path / "big"
    with big.open("wb") as file:
        file.truncate(100_000_000)
    script = textwrap.dedent(f"""
        import resource, sys
        from pathlib import Path
        from e2brun.sandbox.contract import Program, SandboxSpec, Upload
        from e2brun.sandbox.e2b import Credentials, E2BBackend
        url = {server.url!r}
        backend = E2BBackend(Credentials(sys.stdin.readline(), url, url))
        sandbox = backend.create(SandboxSpec())
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        program = Program(("stat", "-c", "%s", "big"), files=(Upload("big", Path({str(big)!r})),))
        sandbox.run_program(program, timeout=60, stdout=lambda d: print(d.decode()), stderr=print)
        print(sum(len(piece) for piece in sandbox.read_file("big")))
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
        backend.close()
    """)
    command = [sys.executable, "-W", "error", "-c", script]
    done = subprocess.run(
        command, input=KEY, capture_output=True, text=True, timeout=60, check=False
    )
    sent, received, grown = done.stdout.split()
    assert (sent, received) == ("100000000", "100000000")
    assert int(grown) < 40_000
    assert done.stderr == ""
