"""Hostile programs, each in one sandbox: a request as a line of JSON on stdin, what happened as
one on stdout.

A process of its own, so that it can be another user, and so that what it inherits (descriptors,
environment, command line) is known; for each request it forks one that has started already.
Imports nothing but e2brun and the standard library.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import threading
import time
import traceback
from typing import Any

from e2brun.errors import SandboxError
from e2brun.sandbox.contract import Limits, Program, SandboxSpec, Upload
from e2brun.sandbox.local.backend import LocalBackend
from e2brun.sandbox.local.isolation import forkserver
from e2brun.sandbox.local.isolation.bubblewrap import Bubblewrap
from e2brun.sandbox.local.isolation.driver import Jail, Jailed
from e2brun.sandbox.local.isolation.forkserver import Forkserver
from e2brun.values import Network

# For a forked sandbox that is to do without its second filter, which alone keeps namespaces out.
ALL_ALLOWED = b"\x06\0\0\0\0\0\xff\x7f"
_HIDDEN = "of process "
_KEPT = 1024 * 1024  # of each stream; the rest is counted only


class Recording:
    """The real driver, and the pid namespaces of what it started."""

    def __init__(self, kind: str, bwrap: str | None) -> None:
        weakened = bwrap is not None  # only bubblewrap can be made to do without a protection
        forkserver = kind == "forkserver" and not weakened
        self._driver: Forkserver | Bubblewrap = Forkserver() if forkserver else Bubblewrap(bwrap)
        self.forks = forkserver
        self.launchers: list[int] = []

    def start(self, jail: Jail, control: int) -> Jailed:
        jailed = self._driver.start(jail, control)
        self.launchers.append(jailed.launcher)
        if isinstance(self._driver, Forkserver):
            self.launchers += self._driver.pids()
        return jailed

    def namespaces(self) -> set[str]:
        """The pid namespaces of what lives in the sandboxes now; not our own."""
        found = {_namespace(pid) for pid in descendants(self.launchers)}
        return found - {_namespace(os.getpid()), "", *self._zygotes()}

    def _zygotes(self) -> set[str]:
        """Of zygotes themselves, which outlast their sandboxes: each is a first process."""
        pids = self._driver.pids() if isinstance(self._driver, Forkserver) else []
        return {_namespace(child) for pid in pids for child in _children(pid)}


class Memory(threading.Thread):
    """The least memory the host had available while it ran, and for how long it had so much less
    than before that a limit must have been passed by more than it may be."""

    def __init__(self, limits: Limits, spare: int = 0) -> None:
        """`spare`: of the disk, which is memory here as well."""
        super().__init__(daemon=True)
        self.before = self.least = _available()
        self.over = threading.Event()
        self.excess = 0.0
        self._bound = limits.memory + limits.memory // 10 + (64 << 20) + spare

    def run(self) -> None:
        looked = time.monotonic()
        while not self.over.wait(0.005):
            available, now = _available(), time.monotonic()
            if self.before - available > self._bound:
                self.excess += now - looked
            self.least, looked = min(self.least, available), now

    def rise(self) -> int:
        self.over.set()
        return self.before - self.least


def _available() -> int:
    """With the free pages that processors have set aside, hundreds of MiB at times."""
    with open("/proc/meminfo") as file:
        available = next(int(line.split()[1]) for line in file if line.startswith("MemAvailable:"))
    with open("/proc/zoneinfo") as file:
        aside = sum(int(line.split()[1]) for line in file if line.lstrip().startswith("count:"))
    return available * 1024 + aside * os.sysconf("SC_PAGE_SIZE")


def _namespace(pid: int) -> str:
    """The pid namespace of a living process; '' for a zombie, which waits for init alone. One
    that shows nothing of itself to us, as a sandbox's first process, counts for itself."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            words = file.read().rpartition(b")")[2].split()
        return "" if words[0] in b"ZX" else os.readlink(f"/proc/{pid}/ns/pid")
    except PermissionError:
        return f"{_HIDDEN}{pid} {words[19].decode()}"
    except OSError:
        return ""


def descendants(roots: list[int]) -> list[int]:
    parents: dict[int, list[int]] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                parent = int(file.read().rpartition(b")")[2].split()[1])
        except OSError:
            continue
        parents.setdefault(parent, []).append(int(name))
    found = list(roots)
    for pid in found:
        found += parents.get(pid, [])
    return found


def _children(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(word) for word in file.read().split()]


def _survivors(namespaces: set[str]) -> int:
    """Processes still in one of the namespaces when they had their time to end: two seconds on a
    machine that does nothing else."""
    end = time.monotonic() + 8
    while True:
        left = [n for n in os.listdir("/proc") if n.isdigit() and _namespace(int(n)) in namespaces]
        if not left or time.monotonic() > end:
            return len(left)
        time.sleep(0.02)


class Stream:
    """A sink that keeps the beginning and counts all."""

    def __init__(self, namespaces: set[str], driver: Recording) -> None:
        self.kept, self.total = bytearray(), 0
        self._namespaces, self._driver = namespaces, driver

    def __call__(self, data: bytes) -> None:
        if self.total == 0:
            self._namespaces |= self._driver.namespaces()
        self.total += len(data)
        self.kept += data[: max(0, _KEPT - len(self.kept))]


def _after(sandbox: Any, operation: list[str]) -> Any:
    """A file operation on the sandbox after the run: its value, or why it was refused."""
    kind, path = operation
    try:
        if kind == "read":
            size, kept = 0, b""
            for piece in sandbox.read_file(path):
                size += len(piece)
                kept = (kept + piece)[:1000]
            return {"size": size, "text": kept.decode(errors="replace")}
        if kind == "write":
            sandbox.write_files([Upload(path, b"written by the host")])
            return {}
        return {"names": [[e.name, e.kind] for e in sandbox.list_files(path)]}
    except SandboxError as error:
        return {"refused": f"{type(error).__name__}: {error}"}


def _neighbour(backend: LocalBackend, spec: SandboxSpec, code: str, timeout: float) -> Any:
    """Another sandbox of the same driver in which this runs meanwhile; none if it is ''."""
    if not code:
        return None
    sandbox = backend.create(spec)
    program = Program((sandbox.jail.interpreter.executable, "-c", code))
    nowhere: list[bytes] = []
    threading.Thread(
        target=lambda: sandbox.run_program(
            program, timeout=timeout, stdout=nowhere.append, stderr=nowhere.append
        )
    ).start()
    return sandbox


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Run the program of the request and describe how it went."""
    if request["unfiltered"]:
        vars(forkserver).update(last_filter=lambda **_: ALL_ALLOWED)
    driver = Recording(request["driver"], request["bwrap"])
    backend = LocalBackend(cache_directory=request["cache"], driver=driver)
    spec = SandboxSpec(
        limits=Limits(**request["limits"]),
        network=request["network"] and Network(request["network"]),
        cells=request["cell"],
    )
    sandbox = backend.create(spec)
    python = sandbox.jail.interpreter.executable
    files = tuple(Upload(name, text.encode()) for name, text in request["files"].items())
    # Which a forked sandbox has no need to start.
    argv = tuple(request["argv"]) or ("python3" if driver.forks else python, "probe.py")
    program = Program(argv, (Upload("probe.py", request["code"].encode()), *files))
    neighbour = _neighbour(backend, spec, request["neighbour"], request["timeout"])
    namespaces: set[str] = set()
    stdout, stderr = Stream(namespaces, driver), Stream(namespaces, driver)
    memory = Memory(spec.limits, request["spare"])
    if request["watched"]:
        memory.start()
    started = time.monotonic()
    if request["cell"]:
        execution = sandbox.run_cell(
            request["code"], timeout=request["timeout"], stdout=stdout, stderr=stderr
        )
    else:
        execution = sandbox.run_program(
            program, timeout=request["timeout"], stdout=stdout, stderr=stderr
        )
    elapsed = time.monotonic() - started
    if neighbour is not None:
        neighbour.kill()
    namespaces |= driver.namespaces()
    after = [_after(sandbox, operation) for operation in request["after"]]
    backend.close()
    return {
        "outcome": str(execution.outcome),
        "exit_code": execution.exit_code,
        "signal": execution.signal,
        "detail": execution.detail,
        "error": execution.error.name if execution.error else "",
        "stdout": base64.b64encode(stdout.kept).decode(),
        "stderr": base64.b64encode(stderr.kept).decode(),
        "stdout_total": stdout.total,
        "elapsed": elapsed,
        "memory_rise": memory.rise(),
        "excess": memory.excess,
        "namespaces": len([n for n in namespaces if not n.startswith(_HIDDEN)] or namespaces),
        "survivors": _survivors(namespaces),
        "after": after,
    }


def answer(line: bytes) -> str:
    """What a process of its own says to the request."""
    get, put = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            said = json.dumps(run(json.loads(line)))
        except BaseException:  # noqa: BLE001  # the test tells of it
            said = json.dumps({"failure": traceback.format_exc()})
        with open(put, "w") as file:
            file.write(said)
        os._exit(0)
    os.close(put)
    with open(get) as file:
        said = file.read()
    os.waitpid(pid, 0)
    return said or json.dumps({"failure": "the harness itself was killed"})


if __name__ == "__main__":
    for request in sys.stdin.buffer:
        print(answer(request), flush=True)
