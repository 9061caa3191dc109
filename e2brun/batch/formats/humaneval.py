"""HumanEval: a prompt, a completion, a test that defines check(), and the function to check."""

from __future__ import annotations

from e2brun.batch.fields import text
from e2brun.batch.formats.answer import Answer, answered, entry_point, given
from e2brun.batch.lines import Record


def own_answer(problem: Record) -> Answer:
    return given(problem) or Answer(text(problem, "canonical_solution"), whole=False)


def program(problem: Record, answer: Answer) -> str:
    """Joined as the official harness joins them."""
    test, function = text(problem, "test"), entry_point(problem)
    return f"{answered(problem, answer)}\n{test}\ncheck({function})\n"
