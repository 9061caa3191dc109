"""The service under E2B's own command line, as far as it works without a terminal."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.caches import of_pytest
from tests.conftest import Ran, clean_environment
from tests.sdk import npm
from tests.sdk.serving import Serving

pytestmark = pytest.mark.slow

E2B = Callable[..., Ran]


@pytest.fixture(scope="module")
def program(request: pytest.FixtureRequest) -> Path:
    packages = npm.project(of_pytest(request.config)) / "node_modules"
    return packages / "@e2b" / "cli" / "dist" / "index.js"


@pytest.fixture
def e2b(program: Path, service: Serving, tmp_path: Path) -> E2B:
    """Run `e2b WORDS...` with the service's variables and a home directory of its own."""

    def run(
        *words: str, stdin: bytes = b"", check: bool = True, more: Mapping[str, str] | None = None
    ) -> Ran:
        result = subprocess.run(
            ["node", str(program), *words],
            input=stdin,
            capture_output=True,
            cwd=tmp_path,
            env=clean_environment({**service.environment, "HOME": str(tmp_path), **(more or {})}),
            timeout=60,
            check=False,
        )
        ran = Ran(result.returncode, result.stdout, result.stderr.decode())
        if check:
            assert ran.code == 0, f"{words}: {ran.text} {ran.err}"
        return ran

    return run


@pytest.fixture
def sandbox(service: Serving) -> Iterator[Any]:
    """Made without the command line, which takes half a second to start, as is all that does not
    ask about it."""
    from e2b import Sandbox

    sandbox = Sandbox.create("base", timeout=120)
    yield sandbox
    sandbox.kill()


@pytest.fixture
def made(sandbox: Any) -> str:
    return str(sandbox.sandbox_id)


def test_a_created_sandbox_is_listed_until_it_is_killed(e2b: E2B) -> None:
    from e2b import Sandbox

    made = e2b("sandbox", "create", "base", "--detach").text.split()[-1]
    assert made in e2b("sandbox", "list").text
    e2b("sandbox", "kill", made)
    assert made not in {info.sandbox_id for info in Sandbox.list().next_items()}


@pytest.mark.in_turn(day=0)
def test_info_tells_about_a_sandbox(e2b: E2B, made: str) -> None:
    info = json.loads(e2b("sandbox", "info", made, "--format", "json").text)
    assert info["sandboxId"] == made
    assert info["state"] == "running"


def test_exec_takes_what_a_shell_gives_and_passes_output_and_exit_code_on(
    e2b: E2B, made: str
) -> None:
    options = ("--cwd", "/tmp", "--user", "root", "--env", "COLOUR=blue")
    line = 'echo "$PWD $(whoami) $COLOUR"; wc -c; echo err >&2; exit 3'
    ran = e2b("sandbox", "exec", *options, made, "sh", "-c", line, stdin=b"hello\n", check=False)
    assert (ran.code, ran.text.split()) == (3, ["/tmp", "root", "blue", "6"])
    assert "err" in ran.err


@pytest.mark.in_turn(day=0)
def test_exec_in_the_background_returns_at_once(e2b: E2B, made: str) -> None:
    began = time.monotonic()
    e2b("sandbox", "exec", "--background", made, "sleep", "30")
    assert time.monotonic() - began < 25


@pytest.mark.in_turn(day=0)
def test_a_sandbox_is_paused_and_resumed(e2b: E2B, sandbox: Any) -> None:
    e2b("sandbox", "pause", sandbox.sandbox_id)
    assert sandbox.get_info().state == "paused"
    e2b("sandbox", "resume", sandbox.sandbox_id)
    assert sandbox.get_info().state == "running"


@pytest.mark.in_turn(day=0)
def test_metrics_and_logs_are_shown(e2b: E2B, made: str) -> None:
    e2b("sandbox", "metrics", made, "--format", "json")
    e2b("sandbox", "logs", made, "--format", "json", "--level", "DEBUG")


@pytest.mark.in_turn(day=0)
def test_snapshots_are_created_and_deleted(e2b: E2B, sandbox: Any) -> None:
    e2b("sandbox", "snapshot", "create", sandbox.sandbox_id)
    [snapshot] = sandbox.list_snapshots().next_items()
    e2b("sandbox", "snapshot", "delete", snapshot.snapshot_id)
    assert sandbox.list_snapshots().next_items() == []


@pytest.mark.in_turn(day=0)
def test_a_wrong_key_is_told(e2b: E2B) -> None:
    ran = e2b("sandbox", "list", check=False, more={"E2B_API_KEY": "e2b_" + "f" * 40})
    assert ran.code != 0
    assert "401" in _all(ran) or "key" in _all(ran).lower()


def _all(ran: Ran) -> str:
    return ran.text + ran.err
