"""From the command line to the cases of a batch; what contradicts itself is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e2brun.errors import UsageError

if TYPE_CHECKING:
    from e2brun.batch.case import Input
    from e2brun.cli.batch_options import BatchRequest

_OF_LINES = ("code_field", "id_field", "stdin_field", "expect_field", "format")
_NOT_WITH_FORMAT = ("code_field", "stdin_field", "expect_field")


def input_of(request: BatchRequest) -> Input:
    """Where its cases come from. Raises UsageError."""
    _check(request)
    if request.jsonl is None:
        from e2brun.batch.files import Files

        return Files(request.programs)
    from e2brun.batch.lines import Lines

    lines = Lines(request.jsonl)
    if request.format is not None:
        from e2brun.batch.formats.tasks import of_format

        samples = None if request.samples is None else Lines(request.samples)
        return of_format(
            request.format, lines, samples, skip_bad=request.skip_bad, id_field=request.id_field
        )
    from e2brun.batch.fields import CODE, Fields
    from e2brun.batch.jsonl import JsonLines

    fields = Fields(
        request.code_field or CODE, request.id_field, request.stdin_field, request.expect_field
    )
    return JsonLines(lines, lambda: fields.case, skip_bad=request.skip_bad, salt=repr(fields))


def _check(request: BatchRequest) -> None:
    if request.programs and request.jsonl is not None:
        raise UsageError("FILES and --jsonl cannot stand together: one of them")
    if not request.programs and request.jsonl is None:
        raise UsageError("nothing to run", hint="Name files, or --jsonl FILE.")
    for field in _OF_LINES if request.jsonl is None else ():
        if getattr(request, field) is not None:
            raise UsageError(f"--{field.replace('_', '-')} is for --jsonl")
    for field in _NOT_WITH_FORMAT if request.format is not None else ():
        if getattr(request, field) is not None:
            raise UsageError(f"--{field.replace('_', '-')}: --format knows where everything is")
    if request.samples is not None and request.format is None:
        raise UsageError("--samples needs --format, which says how they are joined to problems")
