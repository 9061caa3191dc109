"""Memory through the service: what the host loses is bounded there as well, and others go on."""

from __future__ import annotations

import textwrap
from contextlib import suppress

import pytest

from e2brun.sandbox.contract import Limits
from tests.attack.test_inside import _write
from tests.attack.wire import INTERPRETER, Sandbox, Wire
from tests.security.harness import Memory
from tests.security.probing import MOMENT
from tests.security.test_kernel_memory import COUNTED, HIDDEN
from tests.security.test_memory import WAYS

_ALL = WAYS | COUNTED | HIDDEN
# One of each kind that is counted; all ways are tried by tests/security.
_CHOSEN = [
    "in many processes", "in one process", "in shared memory dropped from every page table",
    "buffers of TCP connections", "events that inotify keeps",
]  # fmt: skip


def _excess(wire: Wire, sandbox: Sandbox, line: str) -> float:
    """For how long the host was without more memory than it may lose."""
    memory = Memory(Limits())
    memory.start()
    try:
        with suppress(OSError):  # it has gone away, which is as well
            wire.run(sandbox, line)
    finally:
        memory.rise()
    return memory.excess


def _is_told(wire: Wire, sandbox: Sandbox) -> bool:
    return b"out of memory" in wire.api("GET", f"/sandboxes/{sandbox.id}/logs").body


@pytest.mark.alone  # what all others use is counted with it
@pytest.mark.parametrize(
    ("way", "user"),
    [
        pytest.param(way, ("", "sudo ")[n % 2], marks=pytest.mark.in_turn(day=n % 3) if n else ())
        for n, way in enumerate(_CHOSEN)
    ],
)
def test_memory_ends_at_its_limit(wire: Wire, victim: Sandbox, way: str, user: str) -> None:
    seen: list[float] = []
    for _ in range(3):  # two more chances: others live on this host
        mine = wire.create()
        _write(wire, mine, "/tmp/way.py", _ALL[way])
        excess = _excess(wire, mine, f"cd /tmp; {user}timeout 60 python3 way.py; echo over")
        assert _is_told(wire, mine) or not wire.is_healthy(mine)
        wire.kill(mine)
        assert wire.is_healthy(victim)
        seen.append(excess)
        if excess <= MOMENT:
            return
    assert min(seen) <= MOMENT, seen


def test_a_cell_s_memory_ends_at_its_limit_too(wire: Wire, victim: Sandbox) -> None:
    mine = wire.create()
    token = {"X-Access-Token": mine.token}
    code = {"code": textwrap.dedent(_ALL["in one process"])}
    with suppress(OSError):
        wire.inside(mine, INTERPRETER, "POST", "/execute", code, token)
    assert _is_told(wire, mine) or not wire.is_healthy(mine)
    assert wire.is_healthy(victim)
    wire.kill(mine)
