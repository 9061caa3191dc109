"""Many executions: limited batches, caches, benchmarks."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2brun import (
    BatchPrimitive,
    CachePrimitive,
    CodeExecutionPrimitive,
    RateLimited,
    SQLiteCache,
    WorkflowContext,
    compare,
)
from e2brun.primitives.events import Cached, Event, Executed, SandboxReady
from tests.primitives.backends import watched

pytestmark = pytest.mark.anyio


async def test_semaphore_limited_batch() -> None:
    running = most = 0

    def watch(event: Event) -> None:
        nonlocal running, most
        running += isinstance(event, SandboxReady)
        running -= isinstance(event, Executed)
        most = max(most, running)

    batch = BatchPrimitive(CodeExecutionPrimitive(on="local"), max_concurrent=3)
    context = WorkflowContext(subscribers=[watch])
    results = await batch.execute([{"code": f"print({n} ** 2)"} for n in range(12)], context)
    assert [result["logs"] for result in results] == [[str(n**2)] for n in range(12)]
    assert 1 <= most <= 3
    assert len({result["sandbox_id"] for result in results}) == 12


async def test_a_batch_obeys_the_accounts_limit_on_sandboxes(tmp_path: Path) -> None:
    def full(number: int) -> None:
        if number == 2:
            raise RateLimited("you have reached your limit of sandboxes")

    with watched(tmp_path, full) as backend:
        batch = BatchPrimitive(CodeExecutionPrimitive(backend=backend), max_concurrent=2)
        results = await batch.execute([{"code": str(n)} for n in range(4)], WorkflowContext())
    assert [result["results"]["text"] for result in results] == list("0123")
    assert backend.asked == 5


async def test_cached_execution_does_not_run_twice(tmp_path: Path) -> None:
    events: list[Event] = []
    context = WorkflowContext(subscribers=[events.append])
    store = SQLiteCache(tmp_path / "cache.db")
    code = {"code": "import random\nprint(random.random())"}
    for _ in range(2):  # a new step each time, as a new process would have
        cached = CachePrimitive(CodeExecutionPrimitive(on="local"), ttl_seconds=3600, store=store)
        result = await cached.execute(code, context)
    assert result["success"]
    assert sum(isinstance(event, Executed) for event in events) == 1
    assert sum(isinstance(event, Cached) for event in events) == 1


async def test_benchmark_of_three_implementations() -> None:
    compared = await compare(
        {
            "loop": "total = 0\nfor n in range(300_000):\n    total += n\nprint(total)",
            "builtin": "print(sum(range(300_000)))",
            "formula": "# Gauss\nprint(300_000 * 299_999 // 2)",
        },
        repeats=3,
        warm_up=1,
        on="local",
    )
    assert compared.baseline == "loop"
    assert compared.same_output
    assert [found.lines_of_code for found in compared.measurements] == [4, 1, 1]
    assert all(found.success and len(found.times) == 3 for found in compared.measurements)
    formula = compared["formula"]
    assert formula.ratio is not None
    assert formula.ratio < 1
    assert compared["loop"].median is not None
    assert compared.fastest is not None
    assert compared.fastest.name != "loop"
