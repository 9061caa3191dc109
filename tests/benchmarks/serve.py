"""`python -m tests.benchmarks.serve [ROUNDS]`: what `e2brun serve` costs the real Python SDK.

cold     start of the service to the first result       at most 600 ms
life     create -> run_code("1+1") -> kill              at most 15 ms, aim 8.5
warm     run_code("1+1")                                at most 3 ms, aim 1.4
context  create_code_context -> run_code                at most 50 ms
stdout   20 MB of one command                           under 1 s
file     1 GiB up, 1 GiB down                           flat memory
many     1,000 live sandboxes                           50 a second, 10 MiB each (PSS)
churn    1,000 creates and kills                        nothing left behind
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from e2b_code_interpreter import Sandbox

from tests.benchmarks.measure import E2BRUN
from tests.conftest import clean_environment

MIB, GIB = 1024**2, 1024**3


class Service:
    """One that runs, seen from outside."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def family(self) -> list[int]:
        """It and everything below it."""
        parents: dict[int, list[int]] = {}
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                stat = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if stat[0] != "Z":
                parents.setdefault(int(stat[1]), []).append(int(name))
        found = [self.pid]
        for pid in found:
            found += parents.get(pid, [])
        return found

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def pss(self, pids: list[int]) -> float:
        """Proportional memory of all of them, MiB."""
        return sum(_field(f"/proc/{pid}/smaps_rollup", "Pss:") for pid in pids) / 1024

    def rss(self) -> float:
        return _field(f"/proc/{self.pid}/status", "VmRSS:") / 1024

    def peak(self) -> float:
        return _field(f"/proc/{self.pid}/status", "VmHWM:") / 1024


def _field(path: str, name: str) -> int:
    try:
        for line in Path(path).read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


@contextmanager
def serving(*options: str) -> Iterator[Service]:
    """`e2brun serve`, with the variables of its clients set."""
    command = [*E2BRUN, "serve", "--json", "--quiet", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=clean_environment())
    assert process.stdout is not None
    told = json.loads(process.stdout.readline())
    os.environ.update({name: value for name, value in told.items() if name.startswith("E2B_")})
    try:
        yield Service(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
        process.stdout.close()


def median(action: Callable[[], object], rounds: int) -> float:
    """Milliseconds."""
    action()
    taken: list[float] = []
    for _ in range(rounds):
        started = time.perf_counter()
        action()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken) * 1000


def say(name: str, value: str) -> None:
    print(f"  {name:34} {value}", flush=True)


def cold() -> None:
    """Start of the service to the first result, in a client that has imported the SDK before."""
    taken: list[float] = []
    for _ in range(3):
        started = time.perf_counter()
        with serving(), Sandbox.create() as sandbox:
            sandbox.run_code("1+1")
            taken.append(time.perf_counter() - started)
    say("cold start to the first result", f"{statistics.median(taken) * 1000:.0f} ms")


def life() -> None:
    sandbox = Sandbox.create()
    sandbox.run_code("1+1")
    sandbox.kill()


def quick(rounds: int) -> None:
    say("create -> run_code -> kill", f"{median(life, rounds):.1f} ms")
    sandbox = Sandbox.create()
    say("warm run_code", f"{median(lambda: sandbox.run_code('1+1'), rounds * 3):.2f} ms")

    def context() -> None:
        sandbox.run_code("1+1", context=sandbox.create_code_context())

    say("a new context, used", f"{median(context, min(rounds, 20)):.1f} ms")
    say("commands.run('true')", f"{median(lambda: sandbox.commands.run('true'), rounds):.1f} ms")
    flood = "head -c 20000000 /dev/zero | tr '\\0' x"
    say("20 MB of stdout", f"{median(lambda: sandbox.commands.run(flood), 3):.0f} ms")
    sandbox.kill()


def files(service: Service) -> None:
    sandbox = Sandbox.create("base")
    with tempfile.TemporaryFile() as big:
        # Data, not a hole: for the client's kernel to make up zeros is half of such an upload.
        for _ in range(GIB // MIB):
            big.write(b"x" * MIB)
        os.fsync(big.fileno())  # nor is it for its disk to get them
        big.seek(0)
        started = time.perf_counter()
        sandbox.files.write("big", big)
        up = time.perf_counter() - started
    started = time.perf_counter()
    received = sum(len(piece) for piece in sandbox.files.read("big", format="stream"))
    down = time.perf_counter() - started
    assert received == GIB, received
    say(
        "1 GiB up, down", f"{1024 / up:.0f}, {1024 / down:.0f} MiB/s; peak {service.peak():.0f} MiB"
    )
    sandbox.kill()


def many(service: Service, count: int) -> None:
    before = set(service.family())
    started = time.perf_counter()
    sandboxes = [Sandbox.create(timeout=3600) for _ in range(count)]
    rate = count / (time.perf_counter() - started)
    idle = service.pss([pid for pid in service.family() if pid not in before]) / count
    for sandbox in sandboxes[: count // 10]:
        sandbox.run_code("1+1")
    family = [pid for pid in service.family() if pid not in before]
    used = (service.pss(family) / count - idle) * 10
    say(f"{count} sandboxes", f"{rate:.0f} a second, {idle:.2f} MiB each (PSS), idle")
    say("a used context more", f"{used:.2f} MiB")
    say("the service itself", f"{service.rss():.0f} MiB")
    for sandbox in sandboxes:
        sandbox.kill()


def churn(service: Service, count: int) -> None:
    life()
    time.sleep(2)

    def state() -> tuple[int, int, float]:
        return len(service.family()), service.descriptors(), service.rss()

    before = state()
    for _ in range(count):
        Sandbox.create().kill()
    time.sleep(2)
    after = state()
    say(f"{count} creates and kills", f"processes, descriptors, MiB: {before} -> {after}")


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    cold()
    with serving("--disk", "2GiB") as service:
        quick(rounds)
        files(service)
    with serving() as service:
        churn(service, count)
        many(service, count)


if __name__ == "__main__":
    main()
