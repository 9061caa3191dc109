"""Many executions: limited batches, caches, benchmarks."""

from __future__ import annotations

import pytest

from e2brun import BatchPrimitive, CodeExecutionPrimitive, WorkflowContext, compare
from e2brun.primitives.events import Event, Executed, SandboxReady

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
