from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from e2brun import (
    CachePrimitive,
    CacheStore,
    CodeExecutionPrimitive,
    MemoryCache,
    MockPrimitive,
    RetryPrimitive,
    SQLiteCache,
    UsageError,
    create_test_context,
)
from e2brun.primitives.fingerprint import default_key
from tests.primitives.steps import Adds, Recorder, add_one, double

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> CacheStore:
    return MemoryCache() if request.param == "memory" else SQLiteCache(tmp_path / "c" / "cache.db")


async def test_the_second_time_nothing_runs(store: CacheStore) -> None:
    step, recorder = MockPrimitive({"success": True, "n": [1, None]}), Recorder()
    cache, context = CachePrimitive(step, 60, store=store), create_test_context(recorder)
    first = await cache.execute({"code": "1"}, context)
    assert await cache.execute({"code": "1"}, context) == first
    assert step.call_count == 1
    assert recorder.told().count("CachePrimitive cached") == 1


async def test_another_input_is_another_entry(store: CacheStore) -> None:
    step = MockPrimitive(side_effect=lambda data: data["code"])
    cache, context = CachePrimitive(step, 60, store=store), create_test_context()
    assert [await cache.execute({"code": c}, context) for c in "abab"] == list("abab")
    assert step.call_count == 2


async def test_after_its_time_an_entry_is_gone(store: CacheStore) -> None:
    step = MockPrimitive(1)
    cache, context = CachePrimitive(step, 0.05, store=store), create_test_context()
    await cache.execute("x", context)
    await asyncio.sleep(0.08)
    await cache.execute("x", context)
    assert step.call_count == 2


async def test_failures_are_not_kept(store: CacheStore) -> None:
    step = MockPrimitive(side_effect=[ValueError("no"), {"success": False}, {"success": True}])
    cache, context = CachePrimitive(step, 60, store=store), create_test_context()
    with pytest.raises(ValueError, match="no"):
        await cache.execute("x", context)
    assert await cache.execute("x", context) == {"success": False}
    assert await cache.execute("x", context) == {"success": True}
    assert await cache.execute("x", context) == {"success": True}
    assert step.call_count == 3


async def test_a_kept_output_cannot_be_changed_by_who_got_it() -> None:
    cache, context = CachePrimitive(MockPrimitive({"logs": []}), 60), create_test_context()
    await cache.execute("x", context)
    (await cache.execute("x", context))["logs"].append("mine")
    assert await cache.execute("x", context) == {"logs": []}


async def _slowly(data: object) -> str:
    await asyncio.sleep(0.05)
    return f"ran {data}"


async def test_equal_keys_at_one_time_run_once(store: CacheStore) -> None:
    step = MockPrimitive(side_effect=_slowly)
    cache, context = CachePrimitive(step, 60, store=store), create_test_context()
    outputs = await asyncio.gather(*(cache.execute("x", context) for _ in range(20)))
    assert outputs == ["ran x"] * 20
    assert step.call_count == 1


async def test_when_the_one_that_runs_is_cancelled_another_takes_over(store: CacheStore) -> None:
    step = MockPrimitive(side_effect=_slowly)
    cache, context = CachePrimitive(step, 60, store=store), create_test_context()
    first, *others = [asyncio.create_task(cache.execute("x", context)) for _ in range(4)]
    while step.call_count == 0:
        await asyncio.sleep(0.001)
    first.cancel()
    assert await asyncio.gather(*others) == ["ran x"] * 3
    assert first.cancelled()
    assert step.call_count == 2
    assert cache._turns == {}


async def test_different_keys_do_not_wait_for_each_other() -> None:
    meeting = asyncio.Barrier(2)

    async def meets(data: str) -> str:
        await asyncio.wait_for(meeting.wait(), 5)
        return data

    cache, context = CachePrimitive(MockPrimitive(side_effect=meets), 60), create_test_context()
    await asyncio.gather(cache.execute("a", context), cache.execute("b", context))


async def test_a_key_function_decides_what_is_the_same() -> None:
    step = MockPrimitive(1)
    cache = CachePrimitive(step, 60, key_fn=lambda data: str(data["id"]))
    for other in range(3):
        await cache.execute({"id": 7, "other": other}, create_test_context())
    assert step.call_count == 1


async def test_what_json_cannot_hold_is_refused_and_named(store: CacheStore) -> None:
    for value in ((1, 2), {1: 2}, {"a": b"bytes"}, object()):
        cache: CachePrimitive[Any, Any] = CachePrimitive(MockPrimitive(value), 60, store=store)
        with pytest.raises(UsageError, match="output of MockPrimitive cannot be cached"):
            await cache.execute(repr(type(value)), create_test_context())


def test_a_time_that_is_none_is_refused() -> None:
    for wrong in (0, -1, float("nan")):
        with pytest.raises(UsageError, match="ttl_seconds"):
            CachePrimitive(Adds(1), wrong)


def _key(data: object, **options: Any) -> str:
    return default_key(CodeExecutionPrimitive(**{"on": "local", **options}), data)


def test_the_default_key_has_everything_that_decides_the_output() -> None:
    base: dict[str, object] = {"code": "1", "files": {"a": "1"}, "install": ["numpy"], "timeout": 5}
    keys = [
        _key(base),
        _key({**base, "code": "2"}),
        _key({**base, "files": {"a": "2"}}),
        _key({**base, "files": {"b": "1"}}),
        _key({**base, "files": {"a": b"1"}}),
        _key({**base, "install": ["pandas"]}),
        _key({**base, "timeout": 6}),
        _key(base, template="other"),
        _key(base, on="e2b"),
        _key(base, environment_vars={"A": "1"}),
        _key(base, working_directory="/tmp/x"),
        _key(base, setup="x = 1"),
        _key(base, as_program=True),
        _key(base, as_program=True, arguments=("x",)),
        _key(base, network=True),
    ]
    assert len(set(keys)) == len(keys)


def test_the_default_key_is_the_same_for_the_same_thing() -> None:
    one = {"code": "1", "timeout": 5}
    assert _key(one) == _key(dict(reversed(one.items())))
    assert _key(one, api_key="secret-one") != _key(one)
    assert _key(one, api_key="secret-one") == _key(one, api_key="secret-two")


def test_the_default_key_looks_into_wrappers_and_functions() -> None:
    def key(step: Any) -> str:
        return default_key(step, 1)

    assert key(RetryPrimitive(Adds(1))) != key(RetryPrimitive(Adds(2)))
    assert key(Adds(1) >> add_one) != key(Adds(1) >> double)
    assert key(Adds(1) >> add_one) == key(Adds(1) >> add_one)


def test_a_function_that_was_edited_is_another_one() -> None:
    def edited(change: str) -> Any:
        space: dict[str, Any] = {}
        exec(f"async def step(data):\n    return data + {change}", space)
        return Adds(1) >> space["step"]

    keys = {default_key(edited(change), 1) for change in ("1", "2", "len('a')", "len('b')")}
    assert len(keys) == 4
    assert default_key(edited("1"), 1) == default_key(edited("1"), 1)


def test_an_input_without_a_default_key_says_what_to_do() -> None:
    with pytest.raises(UsageError, match="has no default key") as raised:
        default_key(Adds(1), object())
    assert "key_fn" in raised.value.hint
