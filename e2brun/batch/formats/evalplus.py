"""EvalPlus: HumanEval+ and MBPP+, with their tests, or with inputs for which the author's own
solution says what is right."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from e2brun.batch.fields import Unfit, text
from e2brun.batch.formats import humaneval
from e2brun.batch.formats.answer import Answer, answered, entry_point, given, listed
from e2brun.batch.lines import Record


def own_answer(problem: Record) -> Answer:
    if "canonical_solution" in problem or "code" not in problem:
        return humaneval.own_answer(problem)
    return given(problem) or Answer(text(problem, "code"), whole=True)


def program(problem: Record, answer: Answer) -> str:
    """With `test` as HumanEval has it (where there is an `entry_point`) or as a script."""
    if "test" not in problem:
        return _compared(problem, answer)
    if "entry_point" in problem:
        return humaneval.program(problem, answer)
    return f"{answer.code}\n{text(problem, 'test')}\n"


def _compared(problem: Record, answer: Answer) -> str:
    """Every input, once to the program and once to the author's solution beside it."""
    if str(problem.get("task_id", "")).startswith("Mbpp"):
        raise Unfit("MBPP+ without the field 'test' has inputs that JSON cannot say")
    inputs = [*listed(problem, "base_input"), *listed(problem, "plus_input")]
    if not inputs:
        raise Unfit("there is no field 'test', and no 'base_input'")
    tolerance = problem.get("atol", 0)
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float):
        raise Unfit("the field 'atol' is no number")
    function = entry_point(problem)
    reference = text(problem, "prompt") + text(problem, "canonical_solution")
    given_all = (reference, function, json.dumps(inputs), tolerance)
    arguments = ", ".join(map(repr, given_all))
    return f"{answered(problem, answer)}\n\n{_inside()}\n\ncheck({function}, {arguments})\n"


@cache
def _inside() -> str:
    return Path(__file__).with_name("evalplus_inside.py").read_text(encoding="ascii")
