"""What a model answered to a problem, or the author's own answer, in a line of JSON."""

from __future__ import annotations

from e2brun.batch.fields import Unfit, text
from e2brun.batch.lines import Record
from e2brun.frozen import Frozen
from e2brun.values import is_list


class Answer(Frozen):
    """`whole`: a program of its own, and not what follows the prompt."""

    code: str
    whole: bool


def given(record: Record) -> Answer | None:
    """`solution` is whole, `completion` follows the prompt; as HumanEval's and EvalPlus's samples
    have them. None where there is neither."""
    for name, whole in (("solution", True), ("completion", False)):
        if name in record:
            return Answer(text(record, name), whole)
    return None


def answered(problem: Record, answer: Answer, *, prompt: str = "prompt") -> str:
    """The program up to its tests."""
    return answer.code if answer.whole else text(problem, prompt) + answer.code


def entry_point(problem: Record) -> str:
    """The name of a function: it is written into the program. Raises Unfit."""
    found = text(problem, "entry_point")
    if not all(part.isidentifier() for part in found.split(".")):
        raise Unfit("the field 'entry_point' is no name of a function")
    return found


def listed(problem: Record, field: str) -> list[object]:
    """What it holds, if anything. Raises Unfit."""
    found = problem.get(field, [])
    if not is_list(found):
        raise Unfit(f"the field {field!r} is no list")
    return found
