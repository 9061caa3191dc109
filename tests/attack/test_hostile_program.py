"""One program full of small attacks, by every way in which a program gets into a sandbox."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.attack.conftest import SECRET
from tests.attack.test_inside import _write
from tests.attack.wire import INTERPRETER, Sandbox, Wire
from tests.conftest import COMMAND, clean_environment

_PROGRAM = Path(__file__).with_name("hostile_program.py").read_text()


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What there is to be found: files, ports, sockets, a process, a secret of the caller's."""
    directory = tmp_path_factory.mktemp("of-the-host")
    file = directory / "private"
    file.write_text("private")
    abstract = f"e2brun-test-{secrets.token_hex(8)}"
    number = "98765.4321"
    with (
        socket.create_server(("0.0.0.0", 0)) as port,
        socket.socket(socket.AF_UNIX) as first,
        socket.socket(socket.AF_UNIX) as second,
        subprocess.Popen(["sleep", number]) as process,
    ):
        for one, address in (first, "\0" + abstract), (second, f"{file}.sock"):
            one.bind(address)
            one.listen()
        yield {
            "file": str(file),
            "directory": str(directory),
            "port": str(port.getsockname()[1]),
            "abstract": abstract,
            "process": number,
            "secret": f"secret-{secrets.token_hex(8)}",
        }
        process.kill()


def _code(host: dict[str, str]) -> str:
    return _PROGRAM.replace("HOST: dict[str, str] = {}", f"HOST = {host!r}")


# Of a service's sandbox that is its own, as root's at E2B (see test_own_root.py).
_OWN = [f"write /etc/{name}" for name in ("passwd", "ld.so.preload", "hosts")]


def _check(said: str, may: Sequence[str] = ()) -> None:
    told, order = said.strip().splitlines()[-2:]
    found = json.loads(told)
    assert found["tried"] > 80
    assert sorted(found["worked"]) == sorted(may)
    assert order == "first to go"


_EXEC = {
    "a program": ["exec", "hostile.py"],
    "a program with its directory": ["exec", "--cwd", "/home/user/deep/er", "hostile.py"],
    "a cell": ["exec", "--cell", "hostile.py"],
}


@pytest.mark.parametrize("way", _EXEC)
def test_nothing_works_by_exec(host: dict[str, str], tmp_path: Path, way: str) -> None:
    (tmp_path / "hostile.py").write_text(_code(host))
    done = _run(tmp_path, host, *_EXEC[way])
    assert done.returncode == 0, done.stderr
    _check(done.stdout)


def test_nothing_works_in_a_pipeline(host: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "hostile.py").write_text(_code(host))
    text = '[pipeline]\nname = "p"\n[generate]\nfiles = ["hostile.py"]\n[execute]\n'
    (tmp_path / "p.toml").write_text(text)
    done = _run(tmp_path, host, "pipeline", "run", "p.toml", "--json")
    (case,) = json.loads(done.stdout)["cases"]
    (ran,) = [s["execution"] for s in case["attempts"][-1]["steps"] if s["execution"]]
    _check(ran["stdout"])


def _run(place: Path, host: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    secret = {"E2BRUN_ON": "local", "CALLERS_SECRET": host["secret"]}
    return subprocess.run(
        [*COMMAND, *words],
        cwd=place,
        env=clean_environment(secret),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("user", ["user", "root"])
def test_nothing_works_in_a_service(
    wire: Wire, stranger: Sandbox, host: dict[str, str], user: str
) -> None:
    _write(wire, stranger, "/tmp/hostile.py", _code(_of(wire, host)))
    sudo = "sudo " if user == "root" else ""
    line = f"mkdir -p /tmp/w; cd /tmp/w; {sudo}python3 /tmp/hostile.py"
    _check(wire.run(stranger, line).decode(), _OWN)


def test_nothing_works_in_a_cell_of_a_service(
    wire: Wire, stranger: Sandbox, host: dict[str, str]
) -> None:
    token = {"X-Access-Token": stranger.token}
    code = {"code": _code(_of(wire, host))}
    answer = wire.inside(stranger, INTERPRETER, "POST", "/execute", code, token)
    lines = [json.loads(line) for line in answer.body.splitlines()]
    _check("".join(line["text"] for line in lines if line["type"] == "stdout"), _OWN)


def _of(wire: Wire, host: dict[str, str]) -> dict[str, str]:
    return {**host, "service": str(wire.address[1]), "secret": SECRET}


def test_the_attacks_would_work_outside(host: dict[str, str], tmp_path: Path) -> None:
    """Some that harm nobody: or nothing is shown by those that fail."""
    names = [
        "read the host's file", "connect to an abstract socket of the host",
        "connect to a socket in a directory of the host", "see a process of the host",
        f"connect to localhost, {host['port']}", "find a secret of the caller's",
    ]  # fmt: skip
    code = _code(host).replace("ONLY: list[str] = []", f"ONLY = {names!r}")
    assert f"ONLY = {names!r}" in code
    (tmp_path / "outside.py").write_text(code)
    environment = {**os.environ, "CALLERS_SECRET": host["secret"]}
    done = subprocess.run(
        [COMMAND[0], "outside.py"], cwd=tmp_path, env=environment, capture_output=True, check=False
    )
    assert json.loads(done.stdout.splitlines()[0])["worked"] == names
