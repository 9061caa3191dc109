"""`e2brun serve`: how it is told where it is, how it ends, and the one-line form."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import COMMAND, Run, clean_environment
from tests.sdk.serving import descendants, survivors

EXPORT = re.compile(
    r"export E2B_API_URL=(http://127\.0\.0\.1:\d+) E2B_SANDBOX_URL=\1 "
    r"E2B_API_KEY=(e2b_[0-9a-f]{40}) E2B_VOLUME_API_URL=\1\n"
)
KEY = "e2b_" + "0123456789abcdef" * 2 + "01234567"
PROGRAM = """
import sys
from e2b import Sandbox
sandbox = Sandbox.create()
sys.exit(sandbox.commands.run("echo hello > f; cat f").stdout != "hello\\n")
"""
THREADS = """
from e2b import Sandbox
start = "threading.Thread(target=time.sleep, args=(1,)).start()"
code = f"import threading, time; [{start} for _ in range(100)]"
Sandbox.create("base").commands.run(f"python3 -c '{code}'")
"""


@contextmanager
def serving(directory: Path, *words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process and its first line."""
    process = subprocess.Popen(
        [*COMMAND, "serve", *words],
        cwd=directory,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline()
    finally:
        process.kill()
        process.communicate()


def ask(url: str, key: str | None, method: str = "GET") -> int:
    request = urllib.request.Request(f"{url}/v2/sandboxes", method=method)
    request.add_header("Content-Type", "application/json")
    if key is not None:
        request.add_header("X-API-KEY", key)
    body = b'{"templateID": "base"}' if method == "POST" else None
    try:
        with urllib.request.urlopen(request, data=body, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_its_variables_and_stops_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    with serving(tmp_path) as (process, line):
        found = EXPORT.fullmatch(line)
        assert found is not None, line
        url, key = found.groups()
        assert ask(url, key) == 200
        assert ask(url, None) == 401
        assert ask(url, key, "POST") == 201
        inside = descendants(process.pid)
        assert inside
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
        assert (process.returncode, out) == (0, "")
        assert "POST /v2/sandboxes 201" in err
        assert key not in err
        assert survivors(inside) == []


def test_killed_it_leaves_no_process(tmp_path: Path) -> None:
    with serving(tmp_path, "-q") as (process, line):
        found = EXPORT.fullmatch(line)
        assert found is not None
        assert ask(found[1], found[2], "POST") == 201
        inside = descendants(process.pid)
        process.kill()
        assert inside
        assert survivors(inside) == []


def test_an_env_file_is_private_and_goes_with_the_service(tmp_path: Path) -> None:
    path = tmp_path / "e2b.env"
    with serving(tmp_path, "--env-file", str(path)) as (process, line):
        written = path.read_text()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert "export " + written.strip().replace("\n", " ") + "\n" == line
        process.terminate()
        process.wait(20)
        assert not path.exists()


def test_an_env_file_replaces_nothing_of_the_users(e2brun: Run, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("SECRET=1\n")
    ran = e2brun("serve", "--env-file", ".env")
    assert (ran.code, (tmp_path / ".env").read_text()) == (2, "SECRET=1\n")


def test_a_state_without_a_name_is_not_the_working_directory(e2brun: Run, tmp_path: Path) -> None:
    ran = e2brun("serve", "--state", "", "--template", "base", "--", "true")
    assert (ran.code, ran.err) == (2, "e2brun: --state: the name is empty\n")
    assert not (tmp_path / "lock").exists()


def test_json_is_one_document(tmp_path: Path) -> None:
    with serving(tmp_path, "--json", "-q") as (process, line):
        document = json.loads(line)
        assert document["E2B_API_URL"] == document["E2B_SANDBOX_URL"]
        assert (document["pid"], document["success"]) == (process.pid, True)
        assert ask(document["E2B_API_URL"], document["E2B_API_KEY"]) == 200


def test_other_machines_need_a_key_that_was_chosen(e2brun: Run) -> None:
    ran = e2brun("serve", "--host", "0.0.0.0")
    assert (ran.code, "E2BRUN_SERVE_KEY" in ran.err) == (2, True)
    assert e2brun("serve", "--host", "0.0.0.0", "--key", "12345678").code == 2
    ran = e2brun("serve", "--host", "0.0.0.0", "--", "true", env={"E2BRUN_SERVE_KEY": KEY})
    assert ran.code == 0


def test_a_port_in_use_is_one_line(e2brun: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = e2brun("serve", "--port", str(port))
    assert (ran.code, ran.out) == (125, b"")
    assert ran.err.startswith(f"e2brun: 127.0.0.1:{port} is in use\n")
    assert (
        json.loads(e2brun("serve", "--host", "nowhere.invalid", "--json").out)["success"] is False
    )


def test_an_unmodified_program_runs_with_the_variables(e2brun: Run, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    env = {"E2B_API_KEY": "e2b_" + "0" * 40, "E2B_DOMAIN": "nowhere.invalid"}
    ran = e2brun("serve", "-q", "--", sys.executable, "program.py", env=env)
    assert (ran.code, ran.out, ran.err) == (0, b"", "")


@pytest.mark.parametrize("words", [("--processes", "200"), ()])
def test_sandboxes_may_have_as_many_threads_as_was_said(
    e2brun: Run, tmp_path: Path, words: tuple[str, ...]
) -> None:
    (tmp_path / "program.py").write_text(THREADS)
    env = {} if words else {"E2BRUN_PROCESSES": "200"}
    assert e2brun("serve", *words, "--", sys.executable, "program.py", env=env).code == 0


def test_a_cache_that_cannot_be_written_is_one_line(e2brun: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    env = {"E2BRUN_CACHE_DIR": str(tmp_path / "file/cache")}
    ran = e2brun("serve", "--template", "base", "--", "true", env=env)
    assert (ran.code, ran.out) == (125, b"")
    assert ran.err.startswith(f"e2brun: packages cannot be kept in {tmp_path}/file/cache/")
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(("line", "code"), [("exit 7", 7), ("kill -TERM $$", 143)])
def test_it_ends_as_its_command_did(e2brun: Run, line: str, code: int) -> None:
    assert e2brun("serve", "--", "sh", "-c", line).code == code


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--max-output", "x", "--max-output: 'x' is not a size"),
        ("--output-rate", "x", "--output-rate: 'x' is not a size"),
        ("--install", "x y", "--install: 'x y' is not a requirement"),
        ("--requirements", "no.txt", "no.txt: this requirements file cannot be read"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    e2brun: Run, option: str, value: str, said: str
) -> None:
    ran = e2brun("serve", option, value)
    assert ran.code == 2
    assert said in ran.err
    assert "Traceback" not in ran.err


def test_a_command_that_is_not_there_is_127(e2brun: Run, tmp_path: Path) -> None:
    (tmp_path / "no-such-command").mkdir()  # the kernel says EACCES, as of a place closed to us
    for env in ({}, {"PATH": str(tmp_path)}):
        ran = e2brun("serve", "--", "no-such-command", env=env)
        assert (ran.code, ran.err) == (127, "e2brun: no-such-command: No such file or directory\n")


def test_a_command_that_cannot_be_run_is_126(e2brun: Run, tmp_path: Path) -> None:
    (tmp_path / "command").write_text("#!/nowhere/python3\n")
    for mode in (0o644, 0o755):
        (tmp_path / "command").chmod(mode)
        assert e2brun("serve", "--", str(tmp_path / "command")).code == 126


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGUSR1])
def test_signals_are_the_commands(tmp_path: Path, number: signal.Signals) -> None:
    name = number.name.removeprefix("SIG")
    line = f"trap 'exit 9' {name}; echo up; while :; do sleep 0.05; done"
    with serving(tmp_path, "--", "bash", "-c", line) as (process, first):
        assert first == "up\n"
        os.kill(process.pid, number)
        assert process.wait(20) == 9
