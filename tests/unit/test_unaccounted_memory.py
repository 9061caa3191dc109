"""Memory that nobody has is charged to who was at work when it went, and to nobody else."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from e2brun.sandbox.contract import MIB
from e2brun.sandbox.local.memory.unaccounted import Unaccounted

_PAGE = 4096
_NOISE = 100 * MIB
_MANY = 1 << 40


_FACTS = {
    "MemTotal": 8192 * MIB, "MemFree": 4096 * MIB, "Cached": 2048 * MIB, "AnonPages": 1024 * MIB,
    "KReclaimable": 512 * MIB, "SUnreclaim": 128 * MIB,
}  # fmt: skip


@dataclass
class Host:
    """A machine's /proc, as far as it is looked at."""

    directory: Path
    facts: dict[str, int] = field(default_factory=_FACTS.copy)
    ticks: int = 0
    aside: int = 0  # bytes of free pages at the processors

    def meminfo(self) -> bytes:
        lines = f"  pagesets\n    cpu: 0\n              count:    {self.aside // _PAGE}\n"
        (self.directory / "zoneinfo").write_text(lines)
        (self.directory / "stat").write_text(f"cpu  100 0 {self.ticks} 5000 0 0 0 0 0 0\n")
        return "".join(f"{name}: {size // 1024} kB\n" for name, size in self.facts.items()).encode()

    def move(self, size: int, source: str, target: str = "") -> None:
        self.facts[source] -= size
        if target:
            self.facts[target] += size


def _charged(host: Host, watch: Unaccounted, own: int, most_pages: int = _MANY) -> int:
    """What is charged once it has lasted."""
    watch.charge(host.meminfo(), most_pages, lambda: own)
    time.sleep(0.03)
    return watch.charge(host.meminfo(), most_pages, lambda: own)


def test_pages_that_go_while_a_sandbox_is_at_work_are_its(tmp_path: Path) -> None:
    host, watch = Host(tmp_path), Unaccounted(_NOISE, str(tmp_path))
    assert _charged(host, watch, own=0) == 0
    host.move(512 * MIB, "MemFree")
    host.ticks = 50
    assert _charged(host, watch, own=45) == 512 * MIB
    host.move(-512 * MIB, "MemFree")
    assert _charged(host, watch, own=45) == 0


def test_pages_that_go_while_others_are_at_work_are_not_its(tmp_path: Path) -> None:
    host, watch = Host(tmp_path), Unaccounted(_NOISE, str(tmp_path))
    assert _charged(host, watch, own=0) == 0
    host.move(1024 * MIB, "MemFree")
    host.ticks = 100
    assert _charged(host, watch, own=2) == 0


def test_the_host_s_own_load_is_nobody_s(tmp_path: Path) -> None:
    host, watch = Host(tmp_path), Unaccounted(_NOISE, str(tmp_path))
    assert _charged(host, watch, own=0) == 0
    for target in ("AnonPages", "Cached", "KReclaimable"):
        host.move(1024 * MIB, "MemFree", target)
        host.ticks += 100
        assert _charged(host, watch, own=host.ticks) == 0, target
    host.move(800 * MIB, "MemFree")
    host.aside = 800 * MIB  # freed by a program, and not yet by the processor
    assert _charged(host, watch, own=host.ticks) == 0


def test_objects_of_the_kernel_count_and_pages_up_to_what_could_keep_them(tmp_path: Path) -> None:
    host, watch = Host(tmp_path), Unaccounted(_NOISE, str(tmp_path))
    assert _charged(host, watch, own=0, most_pages=50 * MIB) == 0
    host.move(600 * MIB, "MemFree")
    host.ticks = 100
    assert _charged(host, watch, own=100, most_pages=50 * MIB) == 0
    host.move(600 * MIB, "MemFree", "SUnreclaim")
    host.ticks = 200
    assert _charged(host, watch, own=200, most_pages=50 * MIB) == 650 * MIB


def test_what_is_gone_for_a_moment_only_is_not_charged(tmp_path: Path) -> None:
    host, watch = Host(tmp_path), Unaccounted(_NOISE, str(tmp_path))
    watch.charge(host.meminfo(), _MANY, lambda: 0)
    host.move(512 * MIB, "MemFree")
    host.ticks = 10
    assert watch.charge(host.meminfo(), _MANY, lambda: 10) == 0
    assert watch.doubtful
    host.move(-512 * MIB, "MemFree")
    assert _charged(host, watch, own=10) == 0
    assert not watch.doubtful
