from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from e2brun import BenchmarkSuite, Comparison, MockPrimitive, UsageError, create_test_context
from e2brun.primitives.benchmark import Measurement, bootstrap, code_lines, quartile_range
from e2brun.primitives.code import output_of
from e2brun.primitives.transcript import Transcript
from e2brun.sandbox.contract import Execution, Outcome

pytestmark = pytest.mark.anyio


class Clock:
    """Executes nothing: each code is a list of the times it is to take, in turn."""

    def __init__(self) -> None:
        self.order: list[str] = []

    def __call__(self, data: Mapping[str, Any]) -> Any:
        code = str(data["code"])
        times = [float(word) for word in code.split()]
        seconds = times[self.order.count(code) % len(times)]
        self.order.append(code)
        output = output_of(Execution(Outcome.OK, execution_time=abs(seconds)), Transcript(0), "i")
        output["success"], output["stdout"] = seconds > 0, "same"
        output["error"] = None if seconds > 0 else "boom"
        return output


async def _compare(implementations: dict[str, Any], **options: Any) -> tuple[Comparison, Clock]:
    clock = Clock()
    step = MockPrimitive(side_effect=clock)
    suite = BenchmarkSuite(implementations, primitive=step, **options)
    return await suite.run(create_test_context()), clock


async def test_the_figures_of_known_times() -> None:
    compared, _ = await _compare({"base": "4", "mine": "1 2 3 4 5"}, repeats=5, warm_up=0)
    mine = compared["mine"]
    assert (mine.median, mine.spread, mine.ratio) == (3, 2, 0.75)
    assert mine.interval is not None
    assert 1 <= mine.interval[0] <= 3 <= mine.interval[1] <= 5
    assert compared["base"].ratio == 1
    assert compared.fastest is mine
    assert compared.same_output


async def test_warm_up_rounds_do_not_count_and_rounds_are_interleaved() -> None:
    compared, clock = await _compare({"a": "9 1 1", "b": "9 2 2"}, repeats=2, warm_up=1)
    assert (compared["a"].times, compared["b"].times) == ((1, 1), (2, 2))
    a, b = "9 1 1", "9 2 2"
    assert clock.order == [a, b, b, a, a, b]  # nobody is always the first


async def test_the_same_times_give_the_same_figures() -> None:
    one, _ = await _compare({"a": "1 2 3", "b": "2 3 5"}, repeats=6)
    other, _ = await _compare({"a": "1 2 3", "b": "2 3 5"}, repeats=6)
    assert one == other


async def test_an_implementation_that_fails_has_no_success_but_what_times_there_are() -> None:
    compared, _ = await _compare({"a": "1", "b": "2 -1", "c": "-1"}, repeats=2, warm_up=0)
    assert (compared["b"].success, compared["b"].times, compared["b"].error) == (
        False,
        (2,),
        "boom",
    )
    never = compared["c"]
    assert (never.median, never.ratio, never.interval) == (None, None, None)
    assert isinstance(compared.fastest, Measurement)
    assert compared.fastest.name == "a"


async def test_another_baseline() -> None:
    compared, _ = await _compare({"a": "1", "b": "2"}, repeats=1, baseline="b")
    assert compared["a"].ratio == 0.5


@pytest.mark.parametrize(
    "options", [{"implementations": {}}, {"repeats": 0}, {"warm_up": -1}, {"baseline": "aa"}]
)
def test_a_benchmark_of_nothing_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        BenchmarkSuite(**{"implementations": {"a": "1"}, **options})


def test_a_single_time_has_no_spread() -> None:
    assert quartile_range([1.0]) == 0
    assert bootstrap([1.0], seed=0) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ("", 0),
        ("# only\n\n# comments\n", 0),
        ("x = 1\n\n# why\ny = (x,\n     2)\n", 3),
        ('def f():\n    """Says."""\n    return 1\n', 3),
        ('x = """a\nb\n"""\n', 3),
        ("def f(:\n  'unclosed\n", 2),
    ],
)
def test_lines_of_code_are_those_with_code_on_them(code: str, lines: int) -> None:
    assert code_lines(code) == lines
