"""Which sandbox ends when all of them together have too much."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from e2brun.sandbox.contract import MIB
from e2brun.server.sandboxes.totals import Totals, chosen


def test_where_there_is_room_for_no_file_there_is_none_for_a_sandbox(tmp_path: Path) -> None:
    totals = Totals({}, 1024 * MIB, MIB, tmp_path, lambda: MIB)
    assert "--total-disk" in (totals.refusal(0, None) or "")


def _ended(before: dict[str, int], now: dict[str, int], most: int) -> list[str]:
    earlier, later = ({name: n * MIB for name, n in each.items()} for each in (before, now))
    return chosen(earlier, later, most * MIB)


def test_nobody_ends_while_there_is_room() -> None:
    assert _ended({}, {"a": 500, "b": 500}, 1000) == []


def test_the_one_that_grew_ends_and_not_the_larger_one_that_did_not() -> None:
    assert _ended({"a": 700, "b": 100}, {"a": 701, "b": 400}, 1000) == ["b"]


def test_of_those_that_grew_the_largest_end_until_the_rest_has_room() -> None:
    before = {"a": 200, "b": 200, "c": 200, "d": 300}
    assert _ended(before, {"a": 500, "b": 400, "c": 300, "d": 300}, 700) == ["a", "b"]


def test_who_has_next_to_nothing_does_not_end_for_the_growth_of_its_first_program() -> None:
    assert _ended({"a": 960, "b": 1}, {"a": 960, "b": 50}, 1000) == ["a"]


def test_all_are_small_then_the_one_that_grew_ends() -> None:
    assert _ended({"a": 60, "b": 10}, {"a": 60, "b": 50}, 100) == ["b"]


def _having(**mebibytes: int) -> Any:
    """A sandbox that was just seen to have so much, and is on its way out."""
    sizes = {"held": 0, "files": 0, **{name: size * MIB for name, size in mebibytes.items()}}
    gone = SimpleNamespace(is_set=lambda: True)
    return SimpleNamespace(running=SimpleNamespace(watch=SimpleNamespace(**sizes), gone=gone))


@pytest.mark.parametrize("what", ["held", "files"])
def test_who_grew_is_known_from_the_look_before(tmp_path: Path, what: str) -> None:
    async def go() -> None:
        records = {"a": _having(**{what: 700}), "b": _having(**{what: 100})}
        totals = Totals(records, 1024 * MIB, 1024 * MIB, tmp_path)
        assert await totals.excess() == []
        records["b"] = _having(**{what: 400})
        assert [record for record, _ in await totals.excess()] == [records["b"]]

    asyncio.run(go())


def test_files_of_paused_sandboxes_take_their_room(tmp_path: Path) -> None:
    with (tmp_path / "tree-paused").open("wb") as tree:
        tree.truncate(600 * MIB)
    running = _having(files=500)
    totals = Totals({"a": running}, 1024 * MIB, 1024 * MIB, tmp_path)
    assert totals.no_room(500 * MIB)
    assert asyncio.run(totals.excess())[0][0] is running
