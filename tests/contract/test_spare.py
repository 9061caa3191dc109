"""The sandbox that stands ready for who runs one cell after another in a sandbox of its own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from e2brun.sandbox.contract import Outcome, SandboxSpec
from e2brun.sandbox.local.backend import LocalBackend
from e2brun.sandbox.local.blocking.sandbox import LocalSandbox
from e2brun.sandbox.local.blocking.spare import Spare
from e2brun.sandbox.local.interpreter import current_interpreter
from e2brun.sandbox.local.isolation.driver import Jail, new_id
from e2brun.sandbox.local.isolation.forkserver import Forkserver
from tests.caches import with_ipython
from tests.sdk.serving import descendants, survivors

_SECONDS = 30.0
_ATTEMPTS = 20


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[LocalBackend]:
    made = LocalBackend(cache_directory=str(with_ipython(tmp_path / "cache")), many=True)
    yield made
    made.close()


@pytest.fixture
def forkserver() -> Iterator[Forkserver]:
    made = Forkserver()
    yield made
    made.close()


def _ours() -> set[tuple[int, str]]:
    return set(descendants(os.getpid()).items())


def _until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + _SECONDS
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.01)


def _used(sandbox: LocalSandbox) -> tuple[Outcome, set[tuple[int, str]]]:
    """How a cell ended in it, and the processes that there were meanwhile."""
    ended = sandbox.run_cell("1", timeout=20, stdout=lambda _: None, stderr=lambda _: None)
    return ended.outcome, _ours()


def test_who_asks_again_and_again_is_given_one_that_was_there(backend: LocalBackend) -> None:
    """It may be too late on a slow machine: so it is tried some times."""
    spec = SandboxSpec()
    first = backend.create(spec)
    assert _used(first)[0] is Outcome.OK
    first.kill()
    zygote = _ours()
    for _ in range(_ATTEMPTS):
        sandbox = backend.create(spec)
        assert _used(sandbox)[0] is Outcome.OK
        sandbox.kill()
        _until(lambda: _ours() - zygote)
        ready = _ours() - zygote
        sandbox = backend.create(spec)
        outcome, running = _used(sandbox)
        sandbox.kill()
        assert outcome is Outcome.OK
        if ready & running:
            return
    pytest.fail("none of them was ready")


def test_another_kind_of_sandbox_is_made_for_itself(backend: LocalBackend) -> None:
    for directory in ("/one", "/two", "/one", "/one"):
        sandbox = backend.create(SandboxSpec(directories=(directory,)))
        said: list[bytes] = []
        code = "import os; print(*sorted({'one', 'two'} & {*os.listdir('/')}))"
        sandbox.run_cell(code, timeout=20, stdout=said.append, stderr=said.append)
        sandbox.kill()
        assert b"".join(said).decode().strip() == directory[1:]


def test_one_that_nobody_wants_ends_by_itself_and_is_given_to_nobody(
    forkserver: Forkserver,
) -> None:
    jail = Jail(new_id(), current_interpreter())
    _until(lambda: forkserver.ready(jail))
    zygote = _ours()
    spare = Spare(forkserver, jail, patience=1.0)
    _until(lambda: _ours() - zygote)
    _until(lambda: not _ours() - zygote)
    assert not spare.fits(jail)
    spare.end()


def test_nothing_of_it_is_left_when_the_backend_is_closed(backend: LocalBackend) -> None:
    before = _ours()
    for _ in range(3):
        backend.create(SandboxSpec()).kill()
    family = dict(_ours() - before)
    backend.close()
    assert survivors(family) == []
