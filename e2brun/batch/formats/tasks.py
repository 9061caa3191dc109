"""Cases from problems of a known format, and from what was answered to them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import partial
from types import ModuleType

from e2brun.batch.case import Case
from e2brun.batch.fields import Unfit, id_of, program
from e2brun.batch.jsonl import JsonLines, Make
from e2brun.batch.lines import BadLine, Lines, Record
from e2brun.errors import UsageError

FORMATS = ("humaneval", "mbpp", "evalplus")


def of_format(
    name: str, problems: Lines, samples: Lines | None, *, skip_bad: bool, id_field: str | None
) -> JsonLines:
    """The problems with the answers in them, or the samples with the problems they answer."""
    module = _module(name)
    if samples is None:
        make = partial(_own, module, id_field)
        return JsonLines(problems, lambda: make, skip_bad=skip_bad, salt=name)
    known, digest = _known(problems, module, id_field, skip_bad=skip_bad)
    salt = f"{name} {digest}"
    return JsonLines(
        samples, lambda: _answers(module, known, id_field), skip_bad=skip_bad, salt=salt
    )


def _module(name: str) -> ModuleType:
    from importlib import import_module

    if name not in FORMATS:
        raise UsageError(f"--format {name}: known are {', '.join(FORMATS)}")
    return import_module(f"e2brun.batch.formats.{name}")


def _own(module: ModuleType, id_field: str | None, number: int, problem: Record) -> Case:
    task = id_of(number, problem, id_field)
    return Case(task, program(module.program(problem, module.own_answer(problem))), task=task)


def _answers(module: ModuleType, known: Mapping[str, Record], id_field: str | None) -> Make:
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
        counts[task] = counts.get(task, 0) + 1
        return Case(f"{task}#{counts[task]}", source, task=task)

    return make


def _known(
    problems: Lines, module: ModuleType, id_field: str | None, *, skip_bad: bool
) -> tuple[dict[str, Record], str]:
    known: dict[str, Record] = {}
    whole = hashlib.sha256()

    def complain(error: BadLine) -> None:
        if not skip_bad:
            raise error

    for number, line, problem in problems.read(complain):
        whole.update(line)
        if problem is None:
            continue
        try:
            known[id_of(number, problem, id_field)] = problem
        except Unfit as error:
            complain(BadLine(problems.file, number, str(error)))
    if not known:
        raise UsageError(f"{problems.file}: there are no problems in it")
    return known, whole.hexdigest()
