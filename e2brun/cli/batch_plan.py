"""What a batch is to do, from its command line: everything that could be wrong is looked at."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from e2brun.batch.execute import Choices
from e2brun.batch.run import Order
from e2brun.batch.shard import Shard, parse_shard
from e2brun.cli.options import count, share
from e2brun.cli.reporting import parse_reports
from e2brun.errors import UsageError
from e2brun.frozen import Frozen
from e2brun.sandbox.select import is_cloud
from e2brun.settings import Settings

if TYPE_CHECKING:
    from e2brun.batch.case import Survey
    from e2brun.batch.run import Input
    from e2brun.cli.batch_options import BatchRequest
    from e2brun.report.files import Report

_OF_LINES = ("code_field", "id_field", "stdin_field", "expect_field", "format")
_NOT_WITH_FORMAT = ("code_field", "stdin_field", "expect_field")
_CLOUD_START, _CLOUD_MOST, _CLOUD_TRIES = 20, 100, 8


class Plan(Frozen):
    """`code_hash` is of all that decides what comes of it."""

    settings: Settings
    order: Order
    code_hash: str
    reports: tuple[Report, ...]
    pass_rate: float


def plan_of_batch(request: BatchRequest, settings: Settings, notice: Callable[[str], None]) -> Plan:
    """Read and check it all. Raises UsageError."""
    from e2brun.batch.budget import parse_budget

    cloud = is_cloud(settings)
    reports = parse_reports(request.reports)
    shard = Shard() if request.shard is None else parse_shard(request.shard)
    start, most = _width(request.concurrency, cloud=cloud)
    max_fail = count("--max-fail", request.max_fail)
    pass_rate = share("--pass-rate", request.pass_rate)
    budget = None if request.budget is None else parse_budget(request.budget, cloud=cloud)
    choices = _choices(request, settings, notice).but(hopeless=max(20, 3 * most))
    if cloud:
        choices = choices.but(tries=_CLOUD_TRIES)
    cases = input_of(request)
    survey = cases.survey()
    _tell_skipped(survey, notice)
    rules = _rules(choices, settings)
    total = shard.size(survey.cases)
    most = max(1, min(most, total))
    order = Order(cases, total, choices, rules, shard, start, most, max_fail, budget)
    whole = f"{survey.digest} {rules} {shard.number}/{shard.count}"
    code_hash = hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()
    return Plan(settings, order, code_hash, reports, pass_rate)


def _tell_skipped(survey: Survey, notice: Callable[[str], None]) -> None:
    if survey.skipped:
        many = survey.skipped
        lines = (
            "1 line that is no case was" if many == 1 else f"{many} lines that are no cases were"
        )
        notice(f"{lines} left out; the first: {survey.first_skipped}")
    if survey.unanswered:
        notice(f"{survey.unanswered} have no answer: pass@k is of the others")


def _width(text: str | None, *, cloud: bool) -> tuple[int, int]:
    """How many at once at first, and at most."""
    if text in {None, "auto"}:
        cores = len(os.sched_getaffinity(0))
        return (_CLOUD_START, _CLOUD_MOST) if cloud else (cores, cores)
    try:
        number = count("--concurrency", text) or 1
    except UsageError as error:
        raise UsageError(f"{error}; or auto") from error
    return number, number


def _choices(request: BatchRequest, settings: Settings, notice: Callable[[str], None]) -> Choices:
    from e2brun.batch.fields import program
    from e2brun.cli.preparation import plan_of

    usual = Choices(plan_of(request.execution, program(""), settings, notice))
    completed = request.format is not None if request.completed is None else request.completed
    given = settings.max_output != Settings().max_output
    return Choices(
        usual.plan.but(tells_end=completed),
        completed,
        settings.max_output if given else usual.max_output,
        count("--repeat", request.repeat) or 1,
    )


def _rules(choices: Choices, settings: Settings) -> str:
    """All that decides how a case goes, beside the case."""
    plan = choices.plan
    uploads = [
        (upload.path, upload.executable, hashlib.sha256(upload.read()).hexdigest())
        for upload in plan.uploads
    ]
    whole = (
        "cloud" if is_cloud(settings) else "local",
        plan.spec.but(metadata={}, env=sorted(plan.spec.env.items())),
        (plan.wanted, plan.timeout, plan.as_cell, plan.cwd, plan.with_imports, uploads),
        (choices.completed, choices.repeat, choices.max_output),
    )
    return hashlib.sha256(repr(whole).encode("utf-8", "surrogatepass")).hexdigest()


def input_of(request: BatchRequest) -> Input:
    """Where its cases come from. Raises UsageError."""
    _check(request)
    if request.jsonl is None:
        from e2brun.batch.files import Files

        return Files(request.programs)
    from e2brun.batch.jsonl import Bad, JsonLines
    from e2brun.batch.lines import Lines

    lines, bad = Lines(request.jsonl), Bad(skip=request.skip_bad)
    if request.format is not None:
        from e2brun.batch.formats.tasks import of_format

        samples = None if request.samples is None else Lines(request.samples)
        return of_format(request.format, lines, samples, bad, request.id_field)
    from e2brun.batch.fields import CODE, Fields

    fields = Fields(
        request.code_field or CODE, request.id_field, request.stdin_field, request.expect_field
    )
    return JsonLines(lines, lambda: fields.case, bad, salt=repr(fields))


def _check(request: BatchRequest) -> None:
    if request.programs and request.jsonl is not None:
        raise UsageError("FILES and --jsonl cannot stand together: one of them")
    if not request.programs and request.jsonl is None:
        raise UsageError("nothing to run", hint="Name files, or --jsonl FILE.")
    fields: tuple[str, ...] = _NOT_WITH_FORMAT
    why = ": --format knows where everything is"
    if request.jsonl is None:
        fields, why = _OF_LINES, " is for --jsonl"
    for field in fields if request.jsonl is None or request.format is not None else ():
        if getattr(request, field) is not None:
            raise UsageError(f"--{field.replace('_', '-')}{why}")
    if request.samples is not None and request.format is None:
        raise UsageError("--samples needs --format, which says how they are joined to problems")
    _check_streams(request)


def _check_streams(request: BatchRequest) -> None:
    if request.out == "-" and request.as_json:
        raise UsageError("--out - and --json both have stdout for themselves: one of them")
    if request.jsonl == request.samples == "-":
        raise UsageError("--jsonl - and --samples - both read stdin: one of them")
