"""Commands timed against each other in one run: interleaved, medians, ratios."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import clean_environment

E2BRUN = (sys.executable, "-m", "e2brun")
# As pip installs it: compiled. Else 10,000 lines would be compiled in every single run.
_NOT_COMPILED = "PYTHONDONTWRITEBYTECODE"


@dataclass(frozen=True)
class Measured:
    """Seconds of every round, and the largest resident size of the command itself in MiB."""

    seconds: tuple[float, ...]
    peak_mib: float

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def once(command: Sequence[str], directory: Path, stdout: int) -> tuple[float, float]:
    """(seconds, peak MiB) of one run, which must end with code 0."""
    started = time.perf_counter()
    process = subprocess.Popen(
        # A process starts with the peak of the one that forked it: let that be a small shell.
        ("sh", "-c", '"$@"', "sh", *command),
        cwd=directory,
        env={k: v for k, v in clean_environment().items() if k != _NOT_COMPILED},
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{command} ended with {process.returncode}")
    return seconds, usage.ru_maxrss / 1024


def interleaved(
    commands: Mapping[str, Sequence[str]], directory: Path, *, rounds: int
) -> dict[str, Measured]:
    """Every command `rounds` times, in turns, after one turn to warm up."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for turn in range(rounds + 1):
        for name, command in commands.items():
            sample = once(command, directory, subprocess.DEVNULL)
            if turn:
                taken[name].append(sample)
    return {
        name: Measured(tuple(s for s, _ in samples), max(mib for _, mib in samples))
        for name, samples in taken.items()
    }


def bwrap(directory: Path, *command: str) -> tuple[str, ...]:
    """Plain bubblewrap with the flags of a hardened sandbox, for comparison."""
    base = Path(sys.base_prefix)
    python: tuple[str, ...] = ()
    if not base.is_relative_to("/usr"):
        site = sysconfig.get_path("purelib", vars={"base": str(base)})
        # What others installed there would be measured as well (.pth files run at start-up).
        python = ("--ro-bind", str(base), str(base), "--tmpfs", site)
    return (
        *("bwrap", "--unshare-all", "--unshare-user", "--uid", "1000", "--gid", "1000"),
        *("--disable-userns", "--die-with-parent", "--new-session", "--cap-drop", "ALL"),
        *("--clearenv", "--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin"),
        *("--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64", *python),
        *("--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"),
        *("--ro-bind", str(directory), "/home/user", "--chdir", "/home/user"),
        *command,
    )


def base_python() -> str:
    """The interpreter the embedded sandbox uses."""
    executable: str = getattr(sys, "_base_executable", sys.executable)
    return os.path.realpath(executable)


def table(
    title: str, measured: Mapping[str, Measured], baseline: str, extra: Callable[[str], str]
) -> None:
    """Print medians and their ratio to the baseline."""
    print(f"\n{title}")
    for name, taken in measured.items():
        ratio = taken.median / measured[baseline].median
        print(
            f"  {name:34} {taken.median * 1000:9.1f} ms  x{ratio:5.2f}  "
            f"peak {taken.peak_mib:6.1f} MiB  {extra(name)}"
        )
