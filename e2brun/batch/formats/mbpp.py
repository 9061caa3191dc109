"""MBPP, whole and sanitized: a task, code, and assertions as a list."""

from __future__ import annotations

from e2brun.batch.fields import Unfit, text
from e2brun.batch.formats.answer import Answer, given, listed
from e2brun.batch.lines import Record
from e2brun.values import is_text_list


def own_answer(problem: Record) -> Answer:
    return given(problem) or Answer(text(problem, "code"), whole=True)


def program(problem: Record, answer: Answer) -> str:
    """What the tests need first, the code, and the tests one after the other. A completion is the
    code itself: prompts are in prose."""
    setup = [*_lines(problem, "test_imports"), str(problem.get("test_setup_code") or "")]
    tests = _lines(problem, "test_list")
    if not tests:
        raise Unfit("the field 'test_list' is empty: nothing would be tested")
    return "\n".join((*setup, answer.code, *tests, ""))


def _lines(problem: Record, name: str) -> list[str]:
    value = listed(problem, name)
    if not is_text_list(value):
        raise Unfit(f"the field {name!r} is a list in which not everything is text")
    return value
