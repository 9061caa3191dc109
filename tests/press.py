"""Commands that are forked from a process which has imported what they need already: up to half a
second of a processor less for each, and E2B's SDK is most of it. All else is as if they had been
started; what a command imports by itself is asked by tests/test_startup.py."""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

_ENDS = 3  # stdin, stdout, stderr
# Of e2brun all that a command may import, and of others what it takes besides.
_PACKAGES = (
    "batch", "cli", "jobs", "pipeline", "primitives", "report", "runs", "sandbox", "stages",
)  # fmt: skip
_NOT_COMMANDS = (".agent", ".mirror", ".e2b.launcher")  # processes of their own
_IMPORTED = (
    "_sha2" if sys.version_info >= (3, 12) else "_sha256", "e2b", "e2b_code_interpreter",
    "e2brun.server.background.client", "encodings.ascii", "encodings.idna", "encodings.utf_8_sig",
    "packaging.requirements", "pydantic.main", "resource", "uv",
)  # fmt: skip


class Press:
    """The process that forks, once it is wanted. Commands may run side by side."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def _begin(self) -> subprocess.Popen[bytes]:
        self._orders, theirs = socket.socketpair()
        with theirs:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.press", str(theirs.fileno())],
                cwd=Path(__file__).parents[1],
                env=self._env,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )

    def start(
        self, words: Sequence[str], cwd: Path, env: Mapping[str, str], ends: Sequence[int]
    ) -> Forked:
        """Run `e2brun WORDS...` with these three descriptors."""
        with self._lock:
            self._process = self._process or self._begin()
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self._orders, [b"!"], [*ends, theirs.fileno()])
        order = {"argv": ["e2brun", *words], "cwd": str(cwd), "env": dict(env)}
        ours.sendall(json.dumps(order).encode() + b"\n")
        return Forked(ours)

    def run(
        self,
        words: Sequence[str],
        cwd: Path,
        env: Mapping[str, str],
        stdin: bytes | None,
        timeout: float,
    ) -> tuple[int, bytes, bytes]:
        """(exit code, stdout, stderr), which are pipes. Raises TimeoutError."""
        (get, put), (out, out_end), (err, err_end) = (os.pipe() for _ in range(_ENDS))
        forked = self.start(words, cwd, env, (get, out_end, err_end))
        for end in (get, out_end, err_end):
            os.close(end)
        with ThreadPoolExecutor(_ENDS) as together:
            together.submit(_write, put, stdin or b"")
            said = [together.submit(_read, end) for end in (out, err)]
            return forked.wait(timeout), said[0].result(), said[1].result()

    def close(self) -> None:
        """What still runs goes on."""
        if self._process is not None:
            self._orders.close()
            self._process.wait(10)


class Forked:
    """One command that runs."""

    def __init__(self, told: socket.socket) -> None:
        self._told = told.makefile("rb")
        self._socket = told
        self.pid = int(self._told.readline())

    def wait(self, timeout: float) -> int:
        """Its exit code, negative for a signal. Raises TimeoutError, and then it was killed."""
        with self._socket, self._told:
            self._socket.settimeout(timeout)
            try:
                return int(self._told.readline())
            except TimeoutError:
                os.kill(self.pid, signal.SIGKILL)
                raise


def _write(descriptor: int, data: bytes) -> None:
    with suppress(BrokenPipeError), open(descriptor, "wb", 0) as file:
        file.write(data)


def _read(descriptor: int) -> bytes:
    with open(descriptor, "rb") as file:
        return file.read()


def _get_ready() -> None:
    """Import and make what every command would."""
    for package in _PACKAGES:
        directory = importlib.import_module(f"e2brun.{package}").__path__
        for module in pkgutil.walk_packages(directory, f"e2brun.{package}."):
            if not any(part in module.name for part in _NOT_COMMANDS):
                importlib.import_module(module.name)
    for name in _IMPORTED:
        importlib.import_module(name)
    with suppress(ImportError):
        for name in ("metrics", "propagate"):  # which E2B's SDK takes where they are
            importlib.import_module(f"opentelemetry.{name}")
    from e2brun.cli.app import tree
    from e2brun.report.safe import one_line

    tree()
    one_line("compiles its patterns")
    gc.freeze()  # or each fork copies what it looks at


def _main(orders: socket.socket) -> None:
    _get_ready()
    running: dict[int, tuple[int, socket.socket]] = {}  # by pidfd: whose it is, and who waits
    poll = select.poll()
    poll.register(orders, select.POLLIN)
    while True:
        for descriptor, _ in poll.poll():
            if descriptor in running:
                poll.unregister(descriptor)
                _tell_end(descriptor, *running.pop(descriptor))
            elif descriptors := socket.recv_fds(orders, 1, _ENDS + 1)[1]:
                *ends, telling = descriptors
                client = socket.socket(fileno=telling)
                if (pid := os.fork()) == 0:
                    _close(orders.fileno(), *running, *(s.fileno() for _, s in running.values()))
                    _follow(client, ends)
                _close(*ends)
                running[pidfd := os.pidfd_open(pid)] = pid, client
                poll.register(pidfd, select.POLLIN)
            else:
                return


def _tell_end(pidfd: int, pid: int, client: socket.socket) -> None:
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with client, suppress(BrokenPipeError):  # nobody waits any more
        client.sendall(b"%d\n" % code)
    os.close(pidfd)


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _follow(client: socket.socket, ends: Sequence[int]) -> NoReturn:
    """Tell our pid and become the command; who waits is told the exit code by our parent."""
    with client, client.makefile("rb") as file:
        order = json.loads(file.readline())
        client.sendall(b"%d\n" % os.getpid())
    _become(order, ends)


def _become(order: Mapping[str, Any], ends: Sequence[int]) -> NoReturn:
    try:
        for number, end in enumerate(ends):
            os.dup2(end, number)
            os.close(end)
        os.chdir(order["cwd"])
        os.environ.clear()
        os.environ.update(order["env"])
        os.umask(0o022)
        sys.argv, sys.path[0] = order["argv"], order["cwd"]
        from e2brun.__main__ import main as command

        command()
    except BaseException:  # noqa: BLE001  # a fork must not return into its parent
        import traceback

        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(99)


if __name__ == "__main__":
    _main(socket.socket(fileno=int(sys.argv[1])))
