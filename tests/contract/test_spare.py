"""The sandbox that stands ready for who runs one cell after another in a sandbox of its own."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from e2brun.errors import SandboxUnavailable
from e2brun.sandbox.contract import Outcome, Program, SandboxSpec
from e2brun.sandbox.local.backend import LocalBackend
from e2brun.sandbox.local.blocking.sandbox import LocalSandbox
from e2brun.sandbox.local.blocking.spare import Spare
from e2brun.sandbox.local.blocking.supervisor import Supervisor
from e2brun.sandbox.local.host.streams import Inlet
from e2brun.sandbox.local.interpreter import current_interpreter
from e2brun.sandbox.local.isolation.driver import Jail, has_ended, new_id
from e2brun.sandbox.local.isolation.forkserver import Forkserver
from e2brun.settings import load_settings
from tests.caches import with_ipython
from tests.sdk.serving import children, descendants, survivors
from tests.waiting import until

_ATTEMPTS = 20


_SPEC = SandboxSpec(cells=False)


@pytest.fixture
def backend() -> Iterator[LocalBackend]:
    made = LocalBackend(cache_directory=str(load_settings().cache_dir), many=True)
    yield made
    made.close()


@pytest.fixture
def forkserver() -> Iterator[Forkserver]:
    made = Forkserver()
    yield made
    made.close()


def _below(zygotes: set[int]) -> set[tuple[int, str]]:
    """The processes below those, each with its start."""
    return {found for pid in zygotes for found in descendants(pid).items()}


def _is_well(sandbox: LocalSandbox, code: str = "pass") -> bool:
    """Whether a program runs in it."""
    program = Program(("python3", "-c", code))
    ended = sandbox.run_program(program, timeout=20, stdout=lambda _: None, stderr=lambda _: None)
    return ended.outcome is Outcome.OK


def _pid(sandbox: LocalSandbox) -> int:
    """Of its first process, where it has run something."""
    told = Path(f"/proc/self/fdinfo/{sandbox.jailed.agent}").read_text()
    return int(told.partition("Pid:")[2].split()[0])


@pytest.mark.parametrize("cells", [True, False])
def test_who_asks_again_and_again_is_given_one_that_was_there(
    backend: LocalBackend, cells: bool
) -> None:
    """It may be too late on a slow machine: so it is tried some times."""
    others, spec = children(), SandboxSpec(cells=cells)
    for _ in range(_ATTEMPTS):
        backend.create(spec).kill()
        time.sleep(0.1)
        were_there = {pid for pid, _ in _below(children() - others)}
        sandbox = backend.create(spec)
        assert _is_well(sandbox)
        if _pid(sandbox) in were_there:
            return
        sandbox.kill()
    pytest.fail("none of them was ready")


def _said(sandbox: LocalSandbox, code: str) -> str:
    said: list[bytes] = []
    sandbox.run_cell(code, timeout=20, stdout=said.append, stderr=said.append)
    sandbox.kill()
    return b"".join(said).decode().strip()


_AGE = """
with open("/proc/uptime") as up, open("/proc/self/stat") as own:
    print(float(up.read().split()[0]) - int(own.read().rpartition(")")[2].split()[19]) / 100)
"""


@pytest.mark.parametrize(
    ("install", "is_old"),
    [((), True), pytest.param(("tiny",), False, marks=pytest.mark.in_turn(day=2))],
)
def test_a_later_cell_does_not_wait_for_its_interpreter(
    tmp_path: Path, environment: dict[str, str], install: tuple[str, ...], is_old: bool
) -> None:
    """It was started with the sandbox, before anybody asked: here, a second before. Not where
    packages could make it do something then, while nobody looks."""
    spec = SandboxSpec(install=install)
    with closing(
        LocalBackend(
            cache_directory=str(with_ipython(tmp_path)), environment=environment, many=True
        )
    ) as backend:
        for _ in range(2):
            _said(backend.create(spec), "1")
        time.sleep(1)
        assert (float(_said(backend.create(spec), _AGE)) > 0.7) == is_old


def test_a_cell_has_the_environment_and_limits_that_were_asked_for(backend: LocalBackend) -> None:
    """Whatever its sandbox was made ready for."""
    code = "import os, resource\nprint(os.environ['A'], resource.getrlimit(resource.RLIMIT_NOFILE))"
    for value in "1", "1", "2", "2", "1":
        assert _said(backend.create(SandboxSpec(env={"A": value})), code) == f"{value} (256, 256)"


def test_one_that_holds_much_memory_is_gone_when_it_was_killed(backend: LocalBackend) -> None:
    """Others are waited for later; what it holds must not come on top of what the next has."""
    sandbox = backend.create(_SPEC)
    assert _is_well(sandbox, "open('big', 'wb').write(bytes(100 << 20))")
    first_process = os.dup(sandbox.jailed.agent)
    sandbox.kill()
    assert has_ended(first_process, 0)
    os.close(first_process)


def test_one_that_had_to_be_ended_for_its_memory_is_waited_for(backend: LocalBackend) -> None:
    """Nothing is known then of what it holds, but that it is too much."""
    sandbox = backend.create(_SPEC)
    assert _is_well(sandbox)
    later: list[int] = []
    sandbox.wait_for_end = later.append
    following = Supervisor(
        sandbox.control, 0, outlets=(), inlet=Inlet(b""), end_sandbox=sandbox.jailed.end
    )
    following.verdict = Outcome.OOM
    sandbox.jailed.end()
    assert sandbox.follow(following, 20).outcome is Outcome.OOM
    sandbox.kill()
    assert later == []


def test_another_kind_of_sandbox_is_made_for_itself(backend: LocalBackend) -> None:
    for directory in ("/one", "/two", "/one", "/one"):
        sandbox = backend.create(SandboxSpec(directories=(directory,)))
        code = "import os; print(*sorted({'one', 'two'} & {*os.listdir('/')}))"
        assert _said(sandbox, code) == directory[1:]


def test_one_that_nobody_wants_ends_by_itself_and_is_given_to_nobody(
    forkserver: Forkserver,
) -> None:
    jail = Jail(new_id(), current_interpreter())
    until(lambda: forkserver.ready(jail))
    zygotes = set(forkserver.pids())
    alone = _below(zygotes)
    spare = Spare(forkserver, jail, _SPEC, patience=1.0)
    until(lambda: _below(zygotes) - alone)
    until(lambda: not _below(zygotes) - alone)
    assert not spare.fits(jail)
    spare.end()


def test_nothing_of_it_is_left_when_the_backend_is_closed(backend: LocalBackend) -> None:
    others = children()
    for _ in range(3):
        backend.create(_SPEC).kill()
    family = dict(_below(children() - others))
    backend.close()
    assert survivors(family) == []
    assert children() <= others


def test_a_thread_that_asks_a_closed_backend_leaves_nothing_behind(backend: LocalBackend) -> None:
    others = children()
    backend.create(SandboxSpec(cells=True)).kill()
    backend.close()
    with pytest.raises(SandboxUnavailable, match="closed"):
        backend.create(SandboxSpec(cells=True))
    assert children() <= others
