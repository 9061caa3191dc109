"""What the probes share: who runs them, how they are run, and how a protection is taken away."""

from __future__ import annotations

import base64
import compileall
import json
import os
import select
import shutil
import subprocess
import sys
import textwrap
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

MIB = 1024 * 1024
NOBODY = "65534"
MOMENT = 0.1
_HERE = Path(__file__).parent
_PACKAGE = _HERE.parent.parent / "e2brun"

# In place of bwrap: takes its arguments from descriptor 5 as bwrap would, drops or adds some,
# and becomes the real one. That is how a probe is seen to succeed without a protection.
_WEAK_BWRAP = """#!{python} -IS
import json, os
words = os.fsdecode(b"".join(iter(lambda: os.read(5, 65536), b""))).split("\\0")
for option, values in json.loads({drop!r}):
    while option in words:
        at = words.index(option)
        del words[at : at + 1 + values]
words += json.loads({add!r})
os.close(5)
fd = os.memfd_create("arguments")
os.write(fd, "\\0".join(words).encode())
os.lseek(fd, 0, 0)
os.set_inheritable(fd, True)
if fd != 5:
    os.dup2(fd, 5)
import sys
os.execve({bwrap!r}, [{bwrap!r}, *sys.argv[1:]], {{}})
"""
# Probes look at everything: those of a forked sandbox are forked all the same, not started.
_OBSERVING = "e2brun/sandbox/local/agent/programs/observing.py"
_BLIND = "\n\ndef seen(_: object) -> int:\n    return Seen.END\n"


class Harness:
    """harness.py, which takes one request after the other."""

    def __init__(self, command: Sequence[str], **how: Any) -> None:
        get, self._requests = os.pipe()
        self._answers, put = os.pipe()
        self._process = subprocess.Popen(command, stdin=get, stdout=put, **how)
        os.close(get)
        os.close(put)

    def ask(self, request: Mapping[str, object], seconds: float) -> dict[str, Any]:
        """Its answer, which may be a failure of its own."""
        os.write(self._requests, json.dumps(request).encode() + b"\n")
        if not select.select([self._answers], [], [], seconds)[0]:
            self._process.kill()
        said = b""
        while not said.endswith(b"\n") and (more := os.read(self._answers, 1 << 20)):
            said += more
        answer: dict[str, Any] = json.loads(said or b'{"failure": "no answer in time"}')
        return answer

    def close(self) -> None:
        """Let it end."""
        os.close(self._requests)
        self._process.wait(10)
        os.close(self._answers)


@dataclass(frozen=True)
class Report:
    """How a probe went, seen from outside."""

    outcome: str
    exit_code: int | None
    signal: int | None
    detail: str
    error: str
    stdout: str
    stderr: str
    stdout_total: int
    elapsed: float
    memory_rise: int
    excess: float  # seconds
    namespaces: int
    survivors: int
    after: list[dict[str, Any]]

    @property
    def lines(self) -> list[str]:
        return self.stdout.splitlines()

    @property
    def answer(self) -> Any:
        """What the probe printed as its last line, in JSON."""
        assert self.outcome == "ok", (self.outcome, self.detail, self.stderr)
        return json.loads(self.lines[-1])


@dataclass(frozen=True)
class Weak:
    """bwrap without some of its options: (option, how many words follow it)."""

    drop: tuple[tuple[str, int], ...] = ()
    add: tuple[str, ...] = ()


NO_FILTER = Weak(drop=(("--add-seccomp-fd", 1),))


@dataclass(frozen=True)
class Probe:
    """Runs hostile programs in real sandboxes, as one user."""

    account: str  # "root" or "user"
    python: str
    directory: Path  # readable for everyone, not below /tmp: a sandbox being built hides that
    prefix: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    driver: str = "bubblewrap"  # or "forkserver"
    # What was started for probes, by what is special about it.
    harnesses: dict[object, Harness] = field(default_factory=dict[object, Harness])

    def __call__(
        self,
        code: str,
        *,
        timeout: float = 15,
        weak: Weak | None = None,
        descriptors: Sequence[int] = (),
        environment: Mapping[str, str] | None = None,
        words: Sequence[str] = (),
        **more: object,
    ) -> Report:
        """Run `code` inside; `more`: limits, files, argv, cell, network, after, neighbour
        (harness.py), whether the memory of the host is `watched`, and whether a forked sandbox is
        to be `unfiltered`."""
        request: dict[str, object] = {
            "code": textwrap.dedent(code),
            "timeout": timeout,
            "driver": self.driver,
            "bwrap": None if weak is None else self._weakened(weak),
            "cache": str(self.directory / "cache" / self.account),  # nobody else may write it
            "limits": {},
            "files": {},
            "argv": [],
            "after": [],
            "cell": False,
            "network": None,
            "neighbour": "",
            "spare": 0,
            "watched": False,
            "unfiltered": False,
            **more,
        }
        options = (tuple(words), tuple(descriptors), tuple((environment or {}).items()))
        # Two that run at a time have two.
        special = (threading.get_ident(), self.prefix, *options)
        harness = self.harnesses.get(special)
        if harness is None:
            harness = self.harnesses[special] = Harness(
                [*self.prefix, self.python, str(self.directory / "harness.py"), *words],
                env={**self.environment, **(environment or {})},
                cwd=self.directory,
                pass_fds=tuple(descriptors),
            )
        answer = harness.ask(request, timeout + 30)
        if descriptors or "failure" in answer:  # these numbers will be other files'
            self.harnesses.pop(special).close()
        failure = answer.get("failure", "")
        _need_packages(failure)
        assert not failure, failure
        for stream in ("stdout", "stderr"):
            answer[stream] = base64.b64decode(answer[stream]).decode(errors="replace")
        return Report(**answer)

    def close(self) -> None:
        """End what was kept for more probes."""
        while self.harnesses:
            self.harnesses.popitem()[1].close()

    def within(self, rise: int, code: str, **more: Any) -> Report:
        """A run during which the host never had `rise` bytes less than before. Others live on
        this host as well, so it has three chances."""
        reports = (self(code, watched=True, **more) for _ in range(3))
        seen: list[int] = []
        for report in reports:
            if report.memory_rise < rise:
                return report
            seen.append(report.memory_rise)
        raise AssertionError(f"three times the host had more than {rise} bytes less: {seen}")

    def bounded(self, code: str, **more: Any) -> Report:
        """A run during which the host lost more than the limit, a tenth of it and 64 MiB for no
        longer than a moment. It has three chances, likewise."""
        seen: list[float] = []
        for _ in range(3):
            report = self(code, watched=True, **more)
            if report.excess <= MOMENT:
                return report
            seen.append(report.excess)
        raise AssertionError(f"three times the host was without that memory for {seen} s")

    def outside(
        self,
        code: str,
        *,
        environment: Mapping[str, str] | None = None,
        descriptors: Sequence[int] = (),
    ) -> Any:
        """The same code with no sandbox at all; its last line, in JSON."""
        done = subprocess.run(
            [*self.prefix, self.python, "-c", textwrap.dedent(code)],
            capture_output=True,
            text=True,
            env={**self.environment, **(environment or {})},
            cwd=self.directory,
            pass_fds=tuple(descriptors),
            timeout=30,
            check=False,
        )
        _need_packages(done.stderr)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    def _weakened(self, weak: Weak) -> str:
        path = self.directory / f"bwrap-{abs(hash(weak)):x}"
        if not path.exists():
            text = _WEAK_BWRAP.format(
                python=system_python(),
                bwrap=shutil.which("bwrap"),
                drop=json.dumps(weak.drop),
                add=json.dumps(weak.add),
            )
            path.write_text(text)
            path.chmod(0o755)
        return str(path)


def _need_packages(said: str) -> None:
    """Cells in the system's Python need a layer of their own, and what fetches it."""
    if "ModuleNotFoundError: No module named 'packaging'" in said:
        pytest.skip("this user's Python has not what e2brun depends on")


def system_python() -> str:
    """An interpreter that every user may start."""
    found = shutil.which("python3", path="/usr/bin:/bin:/usr/local/bin")
    return found or os.path.realpath(sys.executable)


def world_readable_copy(directory: Path) -> None:
    """What the harness needs, where another user can read it."""
    shutil.copytree(_PACKAGE, directory / "e2brun")  # with what is compiled already
    with (directory / _OBSERVING).open("a") as file:
        file.write(_BLIND)
    shutil.copy(_HERE / "harness.py", directory)
    (directory / "cache").mkdir()
    (directory / "cache").chmod(0o1777)
    for path in directory.rglob("*"):
        path.chmod(0o755 if path.is_dir() and path.name != "cache" else path.stat().st_mode | 0o444)
    directory.chmod(0o755)
    compileall.compile_dir(directory, quiet=2)


def python_for_everyone(directory: Path) -> str | None:
    """An interpreter that an ordinary user can start, new enough for e2brun."""
    for python in (sys.executable, system_python()):
        words = ["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", python, "-c"]
        check = "import e2brun.errors, tomllib"
        environment = {"PYTHONPATH": str(directory), "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            done = subprocess.run(
                [*words, check], env=environment, cwd="/", capture_output=True, check=False
            )
        except OSError:
            return None
        if done.returncode == 0:
            return python
    return None
