"""A real HTTP server on loopback that answers as E2B does, and fails as it can.

It runs commands as local processes: for this project's own test programs only. `/home/user` is
a temporary directory per sandbox, and is replaced by its name in what a command says.
"""

from __future__ import annotations

import json
import os
import queue
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
import urllib.parse
from collections import defaultdict, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar

KEY = "e2b_" + "0123456789abcdef" * 2 + "01234567"
TOKEN = "envd-token-of-the-sandbox"
HOME = "/home/user"


@dataclass(frozen=True)
class Answer:
    """An error in place of the real answer."""

    status: int
    headers: dict[str, str] = field(default_factory=dict[str, str])
    body: str | None = None


@dataclass(frozen=True)
class Cut:
    """The connection ends: `rst` or `fin`; before anything was done, or after it was."""

    how: str = "rst"
    after_doing: bool = False


@dataclass(frozen=True)
class Delay:
    seconds: float


Fault = Answer | Cut | Delay


@dataclass(frozen=True)
class Call:
    """One request that arrived."""

    method: str
    path: str
    headers: dict[str, str]
    time: float


class Gone(Exception):
    """The connection was cut on purpose."""


@dataclass
class Box:
    """One sandbox."""

    id: str
    home: Path
    template: str
    metadata: dict[str, str]
    env: dict[str, str]
    end: float
    network: bool | None = None
    find_links: str = ""
    rules: dict[str, Any] | None = None
    alive: bool = True
    processes: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)
    streams: set[queue.Queue[Any]] = field(default_factory=set)
    kernel: subprocess.Popen[bytes] | None = None

    @property
    def system(self) -> dict[str, str]:
        """What every process in it gets. pip stays off the network and off this machine: what
        it installs goes into the sandbox's own directory, and comes from wheels given by path
        or from `Loopback.find_links`."""
        site = f"{self.home}.site"
        pip = {"PIP_NO_INDEX": "1", "PIP_TARGET": site, "PIP_CONFIG_FILE": os.devnull}
        own = {"HOME": str(self.home), "USER": "user", "PYTHONPATH": site}
        if self.find_links:
            pip["PIP_FIND_LINKS"] = self.find_links
        return {"PATH": os.environ["PATH"], **own, **self.env, **pip}

    def die(self) -> None:
        self.alive = False
        for process in [*self.processes.values(), *([self.kernel] if self.kernel else [])]:
            with suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
        for stream in list(self.streams):
            with suppress(queue.Full):
                stream.put_nowait(Cut())


class Loopback:
    """Start it with `with`. `fail` queues what is to go wrong at a path (a prefix)."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.boxes: dict[str, Box] = {}
        self.faults: dict[str, deque[Fault]] = defaultdict(deque)
        self.find_links = ""  # a directory of wheels for pip
        self.end_event = False  # E2B's own server ends a cell without it
        self.most: int | None = None  # sandboxes at once; one more is refused
        self.refusals = 0
        # Asked at every request, and (of method EVENT) before every event of a stream.
        self.chaos: Callable[[str], Fault | None] = lambda method: None
        self.root = Path(tempfile.mkdtemp(prefix="e2b-loopback-"))
        self.lock = threading.Lock()
        self._stopped = threading.Event()

        class Handler(LoopbackHandler):
            loopback = self

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # a client that went away, which is what half of the tests are about

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self) -> Loopback:
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        threading.Thread(target=self._reap, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopped.set()
        for box in self.boxes.values():
            box.die()
        self.server.shutdown()
        self.server.server_close()
        for box in self.boxes.values():
            for process in [*box.processes.values(), *([box.kernel] if box.kernel else [])]:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(2)
                for pipe in (process.stdin, process.stdout, process.stderr):
                    if pipe is not None:
                        with suppress(OSError):
                            pipe.close()
        shutil.rmtree(self.root, ignore_errors=True)

    def _reap(self) -> None:
        while not self._stopped.wait(0.05):
            for box in list(self.boxes.values()):
                if box.alive and time.monotonic() > box.end:
                    box.die()

    def fail(self, method_and_path: str, *faults: Fault) -> None:
        """`POST /v2/sandboxes`, say: the next requests there meet these faults, in turn."""
        self.faults[method_and_path].extend(faults)

    def fault(self, method: str, path: str) -> Fault | None:
        for prefix, waiting in self.faults.items():
            if waiting and f"{method} {path}".startswith(prefix):
                return waiting.popleft()
        return self.chaos(method)

    def count(self, method: str, path: str) -> int:
        return sum(c.method == method and c.path.startswith(path) for c in self.calls)

    def running(self) -> list[Box]:
        return [box for box in self.boxes.values() if box.alive]

    def create(self, body: dict[str, Any]) -> Box:
        number = f"{len(self.boxes):019d}"
        box = Box(
            f"i{number}",
            self.root / number,
            body["templateID"],
            body.get("metadata", {}),
            body.get("envVars", {}),
            time.monotonic() + body.get("timeout", 300),
            body.get("allow_internet_access"),
            self.find_links,
            rules=body.get("network"),
        )
        box.home.mkdir()
        Path(f"{box.home}.site").mkdir()  # Python forgets a directory that was missing at first
        self.boxes[box.id] = box
        return box


class LoopbackHandler(BaseHTTPRequestHandler):
    """Reads a request, lets a fault have its way, and finds who answers."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 0
    loopback: ClassVar[Loopback]

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.serve()

    def do_POST(self) -> None:
        self.serve()

    def do_DELETE(self) -> None:
        self.serve()

    def serve(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        path, _, self.query = self.path.partition("?")
        self.loopback.calls.append(Call(self.command, path, headers, time.monotonic()))
        with tempfile.TemporaryFile() as spool:
            self.spool = spool
            self.read_body()
            fault = self.loopback.fault(self.command, path)
            try:
                self.meet(fault, lambda: self.route(path))
            except Gone:
                self.close_connection = True

    def meet(self, fault: Fault | None, answer: Callable[[], None]) -> None:
        match fault:
            case Answer(status, headers, body):
                text = body or json.dumps({"code": status, "message": f"fault {status}"})
                self.send(status, text.encode(), headers)
            case Cut(how, after_doing):
                if after_doing:
                    self.send = lambda *_args, **_kwargs: None  # type: ignore[method-assign]
                    answer()
                self.cut(how)
            case Delay(seconds):
                time.sleep(seconds)
                answer()
            case None:
                answer()

    def cut(self, how: str) -> None:
        if how == "rst":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(self.connection.detach())
        raise Gone

    def read_body(self) -> None:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while size := int(self.rfile.readline().split(b";")[0], 16):
                self.spool.write(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
        left = int(self.headers.get("Content-Length") or 0)
        while left:
            piece = self.rfile.read(min(left, 1 << 20))
            if not piece:
                break
            self.spool.write(piece)
            left -= len(piece)
        self.spool.seek(0)

    def json_body(self) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(self.spool.read() or b"{}")
        return body

    def send(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def send_json(self, status: int, document: object) -> None:
        self.send(status, json.dumps(document).encode())

    def refuse(self, status: int, message: str) -> None:
        self.send_json(status, {"code": status, "message": message})

    def route(self, path: str) -> None:
        from tests.e2b.loopback_envd import answer

        sandbox = self.headers.get("E2b-Sandbox-Id")
        if sandbox is None:
            self.control(path)
            return
        box = self.loopback.boxes.get(sandbox)
        if box is None or not box.alive:
            document = {"sandboxId": sandbox, "message": "The sandbox was not found", "code": 502}
            self.send_json(502, document)
        elif path != "/health" and self.headers.get("X-Access-Token") != TOKEN:
            self.refuse(401, "wrong token")
        else:
            answer(self, box, path)

    def control(self, path: str) -> None:
        one = re.fullmatch(r"(?:/v2)?/sandboxes/([^/]+)(/connect|/timeout)?", path)
        if self.headers.get("X-API-KEY") != KEY:
            self.refuse(401, "Invalid API key")
        elif self.command == "POST" and path in {"/sandboxes", "/v2/sandboxes"}:
            with self.loopback.lock:
                full = self.loopback.most is not None and (
                    len(self.loopback.running()) >= self.loopback.most
                )
                box = None if full else self.loopback.create(self.json_body())
                self.loopback.refusals += full
            if box is None:
                self.refuse(429, "too many sandboxes")
            else:
                self.send_json(201, self.described(box))
        elif self.command == "GET" and path == "/v2/sandboxes":
            self.listed()
        elif one and one.group(1) in self.loopback.boxes:
            self.one(self.loopback.boxes[one.group(1)], one.group(2))
        else:
            self.refuse(404, "not found")

    def described(self, box: Box) -> dict[str, object]:
        made: dict[str, object] = {"sandboxID": box.id, "templateID": box.template}
        return made | {"clientID": "c", "envdVersion": "0.6.4", "envdAccessToken": TOKEN}

    def listed(self) -> None:
        raw = urllib.parse.parse_qs(self.query).get("metadata", [""])[0]
        wanted = {
            urllib.parse.unquote(key): urllib.parse.unquote(value)
            for key, value in urllib.parse.parse_qsl(raw)
        }
        found = [
            self.described(box) | {"metadata": box.metadata}
            for box in self.loopback.running()
            if wanted.items() <= box.metadata.items()
        ]
        self.send_json(200, found)

    def one(self, box: Box, verb: str | None) -> None:
        if not box.alive:
            self.refuse(404, "not found")
        elif verb == "/connect":
            self.send_json(200, self.described(box))
        elif verb == "/timeout":
            box.end = time.monotonic() + self.json_body()["timeout"]
            self.send(204)
        elif self.command == "DELETE":
            box.die()
            self.send(204)
        else:
            self.send_json(200, self.described(box))
