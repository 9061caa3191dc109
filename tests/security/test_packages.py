"""`--network packages`: the package index answers inside, and nothing else does."""

from __future__ import annotations

import dataclasses
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.contract import wheelhouse
from tests.indexes import Answer, Index, index_served
from tests.security.probing import Probe, system_python

pytestmark = pytest.mark.crossed

# What the mirror's process imports beside e2brun, for accounts that cannot read ours.
_LIBRARIES = ("httpx", "httpcore", "h11", "anyio", "idna", "certifi", "packaging",
              "typing_extensions", "sniffio")  # fmt: skip
_ASK = """
import json, os, socket, sys
PORT = int(os.environ["PIP_INDEX_URL"].split(":")[2].split("/")[0])
def ask(text, port=PORT):
    try:
        with socket.create_connection(("127.0.0.1", port), 20) as s:
            s.sendall(text.replace("HOST", f"127.0.0.1:{PORT}").encode())
            answer = b""
            while data := s.recv(65536):
                answer += data
            return answer.decode("latin-1")
    except OSError as error:
        return type(error).__name__
def get(path):
    return ask(f"GET {path} HTTP/1.1\\r\\nHost: HOST\\r\\n\\r\\n")
"""


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    directory = wheelhouse.fill(tmp_path_factory.mktemp("wheelhouse") / "wheels")
    with index_served() as running:
        running.html("/simple/tiny/", "/f/tiny-1.0-py3-none-any.whl")
        wheel = next(directory.glob("tiny-1.0*.whl"))
        running.pages["/f/tiny-1.0-py3-none-any.whl"] = Answer(wheel.read_bytes())
        yield running


@pytest.fixture(scope="module")
def environment(index: Index, shared_directory: Path) -> dict[str, str]:
    """What names the index, with credentials."""
    libraries = shared_directory / "libraries"
    for name in _LIBRARIES if not libraries.exists() else ():
        spec = find_spec(name)
        if spec is None or spec.origin is None:
            continue
        origin = Path(spec.origin)
        if origin.name == "__init__.py":
            shutil.copytree(origin.parent, libraries / name, dirs_exist_ok=True)
        else:
            libraries.mkdir(exist_ok=True)
            shutil.copy(origin, libraries)
    for path in (libraries, *libraries.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return {
        "PYTHONPATH": f"{shared_directory}{os.pathsep}{libraries}",
        "PIP_INDEX_URL": f"http://me:hushhush@127.0.0.1:{index.port}/simple",
        "UV_NO_CONFIG": "1",
    }


@pytest.fixture
def able(probe: Probe, environment: dict[str, str]) -> Probe:
    """One whose Python can start another, which the mirror's process is."""
    again = "import httpx, subprocess, sys; subprocess.run([sys.executable, '-c', ''], check=True)"
    for python in (probe.python, system_python()):
        words = [*probe.prefix, python, "-c", again]
        done = subprocess.run(words, env=environment, cwd="/", capture_output=True, check=False)
        if done.returncode == 0:
            return dataclasses.replace(probe, python=python)
    pytest.skip("no Python here that an ordinary user can start")


def test_nothing_but_pages_and_archives_can_be_had_from_inside(
    able: Probe, environment: dict[str, str], index: Index
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as host:
        port = host.getsockname()[1]
        index.asked.clear()
        code = f"""{_ASK}
answers = dict(
    page=get("/simple/tiny/"),
    archive=get("/files/tiny/tiny-1.0-py3-none-any.whl")[:15],
    connect=ask("CONNECT 127.0.0.1:{port} HTTP/1.1\\r\\nHost: HOST\\r\\n\\r\\n"),
    absolute=ask("GET http://127.0.0.1:{port}/ HTTP/1.1\\r\\nHost: HOST\\r\\n\\r\\n"),
    host=ask("GET /simple/tiny/ HTTP/1.1\\r\\nHost: 127.0.0.1:{port}\\r\\n\\r\\n"),
    post=ask("POST /simple/tiny/ HTTP/1.1\\r\\nHost: HOST\\r\\nContent-Length: 1\\r\\n\\r\\nx"),
    path=get("/files/tiny/..%2f..%2fetc%2fpasswd"),
    service=ask("GET / HTTP/1.1\\r\\n\\r\\n", {port}),
    index=ask("GET / HTTP/1.1\\r\\n\\r\\n", {index.port}),
    environment=json.dumps(dict(os.environ)),
)
print(json.dumps(answers))
"""
        told = able(code, network="packages", environment=environment, timeout=90).answer
        host.setblocking(False)
        with pytest.raises(BlockingIOError):
            host.accept()
    assert told.pop("archive").startswith("HTTP/1.1 200")
    assert "/files/tiny/tiny-1.0-py3-none-any.whl" in told["page"]
    assert "hushhush" not in "".join(told.values())
    status = {name: answer.split()[1] for name, answer in told.items() if " " in answer[:9]}
    assert (status["connect"], status["absolute"], status["host"]) == ("405", "404", "421")
    assert (status["post"], status["path"]) == ("405", "404")
    assert told["service"] == told["index"] == "ConnectionRefusedError"
    assert set(index.paths) <= {"/simple/tiny/", "/f/tiny-1.0-py3-none-any.whl"}


def test_a_thousand_connections_leave_the_host_as_it_is(
    able: Probe, environment: dict[str, str]
) -> None:
    code = f"""{_ASK}
import resource
most = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 20
for _ in range(1000 // most + 1):
    crowd = []
    for _ in range(most):
        one = socket.socket()
        one.setblocking(False)
        one.connect_ex(("127.0.0.1", PORT))
        crowd.append(one)
    for one in crowd:
        one.close()
print(json.dumps(get("/simple/tiny/").split()[1]))
"""
    report = able(code, network="packages", environment=environment, timeout=90)
    assert report.answer == "200"
    assert report.survivors == 0


def test_without_it_nobody_answers_at_that_port(probe: Probe, environment: dict[str, str]) -> None:
    code = """
    import json, os, socket
    from contextlib import suppress
    heard = [name for name in os.environ if "INDEX" in name or "registry" in name]
    with suppress(OSError):
        heard.append(socket.create_connection(("127.0.0.1", 49984), 5).recv(1).decode())
    print(json.dumps(heard))
    """
    assert probe(code, environment=environment).answer == []
