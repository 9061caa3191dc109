"""Cases from problems of a known format, and from what was answered to them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import partial
from types import ModuleType

from e2brun.batch.case import Case
from e2brun.batch.fields import Unfit, id_of, program
from e2brun.batch.jsonl import Bad, JsonLines, Make
from e2brun.batch.lines import BadLine, Lines, Record
from e2brun.errors import UsageError

FORMATS = ("humaneval", "mbpp", "evalplus")


def of_format(
    name: str, problems: Lines, samples: Lines | None, bad: Bad, id_field: str | None
) -> JsonLines:
    """The problems with the answers in them, or the samples with the problems they answer."""
    module = _module(name)
    if samples is None:
        make = partial(_own, module, id_field)
        return JsonLines(problems, lambda: make, bad, salt=name)
    known, digest = _known(problems, bad, id_field)
    answered: set[str] = set()

    def unanswered() -> str:
        count = len(known) - len(answered)
        return f"{count} of {len(known)} problems" if count else ""

    return JsonLines(
        samples,
        lambda: _answers(module, known, id_field, answered),
        bad,
        salt=f"{name} {digest}",
        unanswered=unanswered,
    )


def _module(name: str) -> ModuleType:
    from importlib import import_module

    if name not in FORMATS:
        raise UsageError(f"--format {name}: known are {', '.join(FORMATS)}")
    return import_module(f"e2brun.batch.formats.{name}")


def _own(module: ModuleType, id_field: str | None, number: int, problem: Record) -> Case:
    task = id_of(number, problem, id_field)
    return Case(task, program(module.program(problem, module.own_answer(problem))), task=task)


def _answers(
    module: ModuleType, known: Mapping[str, Record], id_field: str | None, answered: set[str]
) -> Make:
    """For one reading of the samples: the answers to a task are numbered from 1."""
    from e2brun.batch.formats.answer import given

    counts: dict[str, int] = {}

    def make(number: int, sample: Record) -> Case:
        task = id_of(number, sample, id_field)
        problem = known.get(task)
        if problem is None:
            raise Unfit(f"there is no problem with the id {task!r}")
        answer = given(sample)
        if answer is None:
            raise Unfit("a sample has a 'completion' or a 'solution'; this one has neither")
        source = program(module.program(problem, answer))
        answered.add(task)
        counts[task] = counts.get(task, 0) + 1
        return Case(f"{task}#{counts[task]}", source, task=task)

    return make


def _known(problems: Lines, bad: Bad, id_field: str | None) -> tuple[dict[str, Record], str]:
    known: dict[str, Record] = {}
    first: dict[str, int] = {}
    whole = hashlib.sha256()
    for number, line, problem in problems.read(bad):
        whole.update(line)
        if problem is None:
            continue
        try:
            task = id_of(number, problem, id_field)
            if task in known:
                raise Unfit(f"the id {task!r} stands in line {first[task]} already")
        except Unfit as error:
            bad(BadLine(problems.file, number, str(error)))
            continue
        known[task], first[task] = problem, number
    if not known:
        raise UsageError(f"{problems.file}: there are no problems in it")
    return known, whole.hexdigest()
