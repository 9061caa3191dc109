"""What answers inside a loopback sandbox: processes, files and the code interpreter."""

from __future__ import annotations

import base64
import json
import mmap
import os
import queue
import shlex
import signal
import subprocess
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from tests.e2b.loopback import HOME, Box, Cut, LoopbackHandler

# E2B gives a Go name to the signal that ended a process.
GO_NAMES = {9: "killed", 15: "terminated", 11: "segmentation fault", 6: "aborted"}

KERNEL = r"""
import ast, io, json, sys, traceback
out, sys.stdout = sys.stdout, None
def emit(**event):
    out.write(json.dumps(event) + "\n"); out.flush()
class Stream(io.TextIOBase):
    def __init__(self, kind): self.kind = kind
    def write(self, text):
        if text: emit(type=self.kind, text=text, timestamp="2026-01-01T00:00:00Z")
        return len(text)
sys.stdout, sys.stderr = Stream("stdout"), Stream("stderr")
def display(**data): emit(type="result", is_main_result=False, **data)
names = {"__name__": "__main__", "display": display}
for count, line in enumerate(sys.stdin, 1):
    emit(type="number_of_executions", execution_count=count)
    try:
        tree = ast.parse(json.loads(line), "<cell>")
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, "<cell>", "exec"), names)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), "<cell>", "eval"), names)
            if value is not None:
                emit(type="result", is_main_result=True, text=repr(value), extra={})
    except BaseException as error:
        emit(type="error", name=type(error).__name__, value=str(error),
             traceback=traceback.format_exc())
    emit(type="end_of_execution")
"""


def answer(handler: LoopbackHandler, box: Box, path: str) -> None:
    if path == "/health":
        handler.send(204)
    elif path == "/files":
        files(handler, box)
    elif path == "/execute":
        Execute(handler, box).run()
    elif path.endswith("/Start"):
        Start(handler, box).run()
    else:
        unary(handler, box, path.rsplit("/", 1)[1])


def here(box: Box, text: str) -> str:
    return text.replace(HOME, str(box.home))


def local(box: Box, path: str) -> Path:
    return Path(here(box, path)) if path.startswith("/") else box.home / path


def unary(handler: LoopbackHandler, box: Box, method: str) -> None:
    body = handler.json_body()
    if method == "ListDir":
        list_dir(handler, local(box, body["path"]))
        return
    process = box.processes.get(int(body["process"]["pid"]))
    if process is None or process.poll() is not None:
        connect_error(handler, 404, "not_found", "process not found")
        return
    if method == "SendSignal":
        number = signal.SIGKILL if "KILL" in body["signal"] else signal.SIGTERM
        process.send_signal(number)
    elif method == "SendInput" and process.stdin is not None:
        with suppress(OSError):
            process.stdin.write(base64.b64decode(body["input"]["stdin"]))
            process.stdin.flush()
    elif method == "CloseStdin" and process.stdin is not None:
        with suppress(OSError):
            process.stdin.close()
    handler.send_json(200, {})


def connect_error(handler: LoopbackHandler, status: int, code: str, message: str) -> None:
    handler.send_json(status, {"code": code, "message": message})


def list_dir(handler: LoopbackHandler, directory: Path) -> None:
    if not directory.is_dir():
        connect_error(handler, 404, "not_found", "no such directory")
        return
    found: list[dict[str, object]] = []
    for child in sorted(directory.iterdir()):
        kind = "FILE_TYPE_DIRECTORY" if child.is_dir() else "FILE_TYPE_FILE"
        entry: dict[str, object] = {"name": child.name, "type": kind, "path": str(child)}
        entry["isSymlink"] = child.is_symlink()
        found.append(entry | {"size": str(child.lstat().st_size)})
    handler.send_json(200, {"entries": found})


def files(handler: LoopbackHandler, box: Box) -> None:
    query = urllib.parse.parse_qs(handler.query)
    path = query.get("path", [""])[0]
    if handler.command == "POST":
        try:
            handler.send_json(200, upload(handler, box, path))
        except IsADirectoryError:
            handler.refuse(400, "path is a directory")
        return
    target = local(box, path)
    if not target.is_file():
        status = 400 if target.is_dir() else 404
        handler.refuse(status, f"path '{path}' does not exist or is a directory")
        return
    handler.send_response(200)
    handler.send_header("Content-Length", str(target.stat().st_size))
    handler.end_headers()
    with target.open("rb") as file:
        while piece := file.read(1 << 16):
            handler.wfile.write(piece)


def upload(handler: LoopbackHandler, box: Box, path: str) -> list[dict[str, str]]:
    kind = handler.headers["Content-Type"]
    if not kind.startswith("multipart/"):
        return [store(box, path, handler.spool.read())]
    boundary = b"--" + kind.split("boundary=")[1].strip('"').encode()
    done: list[dict[str, str]] = []
    with mmap.mmap(handler.spool.fileno(), 0, access=mmap.ACCESS_READ) as body:
        at = body.find(boundary)
        while body[at + len(boundary) : at + len(boundary) + 2] != b"--":
            head_end = body.find(b"\r\n\r\n", at)
            head = body[at:head_end].decode()
            name = head.split('filename="', 1)[1].split('"', 1)[0]
            following = body.find(b"\r\n" + boundary, head_end)
            done.append(store(box, path or name, memoryview(body)[head_end + 4 : following]))
            at = following + 2
    return done


def store(box: Box, path: str, data: bytes | memoryview) -> dict[str, str]:
    target = local(box, path)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with target.open("wb") as file:
            file.write(data)
    finally:
        if isinstance(data, memoryview):
            data.release()  # its map cannot be closed before
    return {"name": target.name, "path": path, "type": "file"}


class Stream:
    """A response that goes on for as long as there are events; a `Cut` among them ends it."""

    def __init__(self, handler: LoopbackHandler, box: Box) -> None:
        self.handler = handler
        self.box = box
        self.events: queue.Queue[Any] = queue.Queue(64)

    def head(self, kind: str) -> None:
        self.handler.send_response(200)
        self.handler.send_header("Content-Type", kind)
        self.handler.send_header("Transfer-Encoding", "chunked")
        self.handler.end_headers()

    def chunk(self, data: bytes) -> None:
        self.handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def serve(self, write: Callable[[Any], bool]) -> None:
        self.box.streams.add(self.events)
        try:
            while self.box.alive:
                event = self.events.get()
                if isinstance(event, Cut):
                    break
                if not write(event):
                    self.chunk(b"")
                    return
        finally:
            self.box.streams.discard(self.events)
        self.handler.cut("rst")


class Start(Stream):
    """process.Process/Start."""

    def run(self) -> None:
        self.handler.spool.read(5)
        body = json.loads(self.handler.spool.read())
        config = body["process"]
        self.head("application/connect+json")
        arguments = [here(self.box, one) for one in config["args"]]
        if arguments[:2] == ["-l", "-c"]:  # at E2B a login shell's python3 has pip
            python = shlex.quote(os.path.dirname(sys.executable))
            arguments[2] = f"command -v python3 >&- && PATH={python}:$PATH\n{arguments[2]}"
        process = subprocess.Popen(
            [config["cmd"], *arguments],
            cwd=local(self.box, config.get("cwd") or HOME),
            env={**self.box.system, **config.get("envs", {}), "PIP_NO_INDEX": "1"},
            stdin=subprocess.PIPE if body.get("stdin") else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            bufsize=0,
        )
        self.box.processes[process.pid] = process
        self.events.put({"start": {"pid": process.pid}})
        milliseconds = int(self.handler.headers.get("Connect-Timeout-Ms") or 0)
        threading.Thread(target=self.follow, args=(process, milliseconds), daemon=True).start()
        self.serve(self.write)

    def follow(self, process: subprocess.Popen[bytes], milliseconds: int) -> None:
        pumps = [
            threading.Thread(target=self.pump, args=(pipe, name), daemon=True)
            for pipe, name in ((process.stdout, "stdout"), (process.stderr, "stderr"))
        ]
        for thread in pumps:
            thread.start()
        try:
            code = process.wait(milliseconds / 1000 if milliseconds else None)
        except subprocess.TimeoutExpired:
            self.events.put(None)
            process.kill()
            return
        for thread in pumps:
            thread.join(0.5 if code < 0 else None)
        if code < 0:
            status = "signal: " + GO_NAMES.get(-code, f"signal {-code}")
            end = {"exitCode": -1, "exited": False, "status": status, "error": status}
        else:
            end = {"exitCode": code, "exited": True, "status": f"exit status {code}"}
        if not self.box.alive:
            return  # the whole sandbox went, and says nothing any more
        self.events.put({"end": end})

    def pump(self, pipe: IO[bytes], name: str) -> None:
        with suppress(OSError, ValueError):
            while data := os.read(pipe.fileno(), 1 << 15):
                shown = data.replace(str(self.box.home).encode(), HOME.encode())
                self.events.put({"data": {name: base64.b64encode(shown).decode()}})

    def write(self, event: dict[str, Any] | None) -> bool:
        if event is None:
            late = {"error": {"code": "deadline_exceeded", "message": "too late"}}
            self.envelope(2, late)
            return False
        fault = self.handler.loopback.fault("EVENT", next(iter(event)))
        if isinstance(fault, Cut):
            self.handler.cut(fault.how)
        if fault is None:
            self.envelope(0, {"event": event})
        if "end" in event:
            self.envelope(2, {})
        return "end" not in event

    def envelope(self, flags: int, message: dict[str, Any]) -> None:
        body = json.dumps(message).encode()
        self.chunk(bytes([flags]) + len(body).to_bytes(4, "big") + body)


class Execute(Stream):
    """The code interpreter: one process per sandbox keeps the state."""

    def run(self) -> None:
        code = self.handler.json_body()["code"]
        if self.box.kernel is None:
            self.box.kernel = subprocess.Popen(
                [sys.executable, "-u", "-c", KERNEL],
                cwd=self.box.home,
                env=self.box.system,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
                bufsize=0,
            )
        self.head("application/x-ndjson")
        threading.Thread(target=self.follow, args=(self.box.kernel, code), daemon=True).start()
        self.serve(self.write)

    def follow(self, kernel: subprocess.Popen[bytes], code: str) -> None:
        assert kernel.stdin is not None
        assert kernel.stdout is not None
        kernel.stdin.write(json.dumps(code).encode() + b"\n")
        reader = kernel.stdout
        for line in iter(lambda: read_line(reader), b""):
            self.events.put(line)
            if json.loads(line)["type"] == "end_of_execution":
                return
        time.sleep(0.05)
        if self.box.alive:
            gone = {"type": "error", "name": "ContextRestarting", "value": "", "traceback": ""}
            self.events.put(json.dumps(gone).encode() + b"\n")
            self.events.put(b'{"type": "end_of_execution"}\n')

    def write(self, line: bytes) -> bool:
        kind = json.loads(line)["type"]
        fault = self.handler.loopback.fault("EVENT", kind)
        if isinstance(fault, Cut):
            self.handler.cut(fault.how)
        if kind != "end_of_execution" or self.handler.loopback.end_event:
            self.chunk(line)
        return bool(kind != "end_of_execution")


def read_line(pipe: IO[bytes]) -> bytes:
    return pipe.readline()
