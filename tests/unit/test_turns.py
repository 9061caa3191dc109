"""The tests' own rule: who runs alone has waited for all others, and keeps new ones out."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests import turns


@pytest.fixture(autouse=True)
def _own_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_DOOR", "_ROOM"):
        (tmp_path / name).touch()
        monkeypatch.setattr(turns, name, tmp_path / name)


def _enter(told: threading.Event, *, alone: bool) -> threading.Thread:
    def take() -> None:
        with turns.turn(alone=alone):
            told.set()

    thread = threading.Thread(target=take)
    thread.start()
    return thread


def test_ordinary_tests_run_beside_each_other() -> None:
    inside = threading.Event()
    with turns.turn(alone=False):
        thread = _enter(inside, alone=False)
        assert inside.wait(20)
    thread.join()


def test_one_that_runs_alone_waits_for_the_others_and_they_for_it() -> None:
    alone, later = threading.Event(), threading.Event()
    with turns.turn(alone=False):
        waiting = _enter(alone, alone=True)
        assert not alone.wait(0.2)
    assert alone.wait(20)
    waiting.join()
    with turns.turn(alone=True):
        waiting = _enter(later, alone=False)
        assert not later.wait(0.2)
    assert later.wait(20)
    waiting.join()


def test_a_worker_stays_in_a_folder_and_begins_with_one_that_nobody_has() -> None:
    waiting = [turns.ALONE, "a/2", "b/1", "b/2", "c/1"]
    assert turns.choice(waiting, ["c/0", "b/0"], {"a", "b", "c"}) == "b/1"
    assert turns.choice(waiting, [], {"a", "b"}) == "c/1"
    assert turns.choice(waiting, ["d/0"], {"a", "b", "c", "d"}) == "a/2"
    assert turns.choice([turns.ALONE], ["d/0"], {"d"}) == turns.ALONE
