"""A wheelhouse, and a package index on loopback that can be slow and can go away."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import os
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path

from e2brun.sandbox.contract import USUAL_ROOM, Room

_PIECE = 256 * 1024


def fill(directory: Path) -> Path:
    """Make it, and in it the tiny distributions that the tests install, or fail to install.

    `directory`/it-ran comes to be when anything runs code out of a source distribution.
    """
    directory.mkdir()
    script = "tinytool-1.0.data/scripts/tinytool"
    value = "VALUE = 42\n"
    wheel(directory, "tiny", {"tiny/__init__.py": value, "tiny/tests/test_tiny.py": value})
    wheel(directory, "tinytool", {"tinytool.py": "", script: "#!python\nprint('tool runs')\n"})
    machine = os.uname().machine
    version = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    native = f"{version}-{version}-manylinux_2_17_{machine}.manylinux2014_{machine}"
    wheel(directory, "binary", {"binary/core.so": "not really"}, tag=native)
    wheel(directory, "alien", {"alien.py": ""}, tag="cp27-cp27mu-win32")
    wheel(directory, "choking", {"choking.py": "def f(:\n"})
    source_distribution(directory, "sourceonly", directory / "it-ran")
    return directory


def wheel(
    directory: Path,
    name: str,
    files: Mapping[str, str | bytes],
    *,
    tag: str = "py3-none-any",
    version: str = "1.0",
    compression: int = zipfile.ZIP_STORED,
) -> Path:
    """One that may hold anything; its path, to add members that no mapping can hold."""
    info = f"{name}-{version}.dist-info"
    contents = dict(files)
    contents[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    contents[f"{info}/WHEEL"] = (
        f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n"
    )
    record = "".join(f"{path},,\n" for path in contents)
    contents[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n"
    path = directory / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w", compression, compresslevel=1) as archive:
        for member, content in contents.items():
            archive.writestr(member, content)
    return path


def source_distribution(directory: Path, name: str, trace: Path) -> None:
    """One whose setup.py leaves a trace if anybody runs it."""
    files = {
        "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        # In the sdist itself, so that a build would get as far as running it, offline too.
        "pyproject.toml": "[build-system]\nrequires = []\nbuild-backend = 'evil'\n"
        "backend-path = ['.']\n",
        "evil.py": f"open({str(trace)!r}, 'w')\n",
    }
    with tarfile.open(directory / f"{name}-1.0.tar.gz", "w:gz") as archive:
        for path, text in files.items():
            member = tarfile.TarInfo(f"{name}-1.0/{path}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))


_BUILDER = """
import json, pathlib, sys
from e2brun.sandbox.contract import Room
from e2brun.sandbox.local.interpreter import current_interpreter
from e2brun.sandbox.local.packages.layers import Layers
cache, environment, room, *names = sys.argv[1:]
layers = Layers(pathlib.Path(cache), json.loads(environment), room=Room(*json.loads(room)))
for name in names:
    layers.layer([name], current_interpreter())
"""


def build_elsewhere(
    cache: Path, environment: Mapping[str, str], *names: str, room: Room = USUAL_ROOM
) -> None:
    """A layer for each, by a process that has ended since and uses none of them any more."""
    arguments = [str(cache), json.dumps(dict(environment)), json.dumps(room), *names]
    subprocess.run([sys.executable, "-c", _BUILDER, *arguments], check=True)


class Registry:
    """A package index on loopback that can be slow and can go away."""

    def __init__(self, wheelhouse: Path) -> None:
        self.asked = threading.Event()
        self.hold = threading.Event()
        self.hold.set()
        self.pause = 0.0  # seconds after every 256 KiB
        registry = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                registry.asked.set()
                registry.hold.wait(30)
                name = self.path.rstrip("/").rpartition("/")[2]
                wheel = wheelhouse / name
                if name.endswith(".whl") and wheel.exists():
                    return self.answer(200, wheel.read_bytes(), "application/octet-stream")
                links = "".join(
                    f'<a href="/f/{w.name}#sha256={hashlib.sha256(w.read_bytes()).hexdigest()}">'
                    f"{w.name}</a>"
                    for w in wheelhouse.glob(f"{name}-*.whl")
                )
                return self.answer(200 if links else 404, links.encode(), "text/html")

            def answer(self, code: int, body: bytes, kind: str) -> None:
                self.send_response(code)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                for start in range(0, len(body), _PIECE) if self.command != "HEAD" else ():
                    self.wfile.write(body[start : start + _PIECE])
                    time.sleep(registry.pause)

            do_HEAD = do_GET  # noqa: N815 - the name http.server looks for

            def log_message(self, format: str, *args: object) -> None:
                pass

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, request: object, client_address: object) -> None:
                pass  # a client that was killed

        self.server = Server(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://user:secret@127.0.0.1:{self.server.server_port}/simple"

    def close(self) -> None:
        self.hold.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def disk_usage(directory: Path) -> int:
    """Bytes that its files take on disk, hard links counted once."""
    found = [path.lstat() for path in directory.rglob("*")]
    return sum({(one.st_dev, one.st_ino): one.st_blocks * 512 for one in found}.values())
