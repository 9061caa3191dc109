"""`e2brun bench`: programs timed against each other, each run in a sandbox of its own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from time import time
from typing import TYPE_CHECKING

from e2brun.cli.reporting import Reporter, parse_reports
from e2brun.cli.signals import complain, notice, print_document, write_line
from e2brun.errors import E2brunError, UsageError
from e2brun.settings import Settings, load_settings

if TYPE_CHECKING:
    from e2brun.cli.app import BenchRequest
    from e2brun.primitives.benchmark import Comparison
    from e2brun.runs.recording import Recording


def bench(request: BenchRequest) -> int:
    """Compare them and say how they did. Returns the exit code."""
    from e2brun.report.bench import comparison_record
    from e2brun.report.files import write_report

    settings = load_settings(None, None, **request.flags)
    reports = parse_reports(request.reports)
    implementations = _implementations(tuple(map(Path, request.files)))
    started = time()
    recording = _recording(request, implementations, settings, started)
    recording.begin()
    try:
        comparison = asyncio.run(_compared(request, implementations, settings))
        _tell(comparison, request, settings)
        code = 0 if all(found.success for found in comparison.measurements) else 1
        record = comparison_record(comparison, settings.on, started)
        for case in record.cases:
            recording.keep(case)
        recording.finish(code)
    except E2brunError as error:
        recording.finish(error.exit_code)
        raise
    finally:
        recording.close()
    for report in reports:
        try:
            write_report(report, record, code)
        except E2brunError as error:
            complain(error)
            code = error.exit_code
    return code


def _recording(
    request: BenchRequest, code: Mapping[str, str], settings: Settings, started: float
) -> Recording:
    from hashlib import sha256

    from e2brun.runs.record import RunRecord
    from e2brun.runs.recording import recording_of

    digest = sha256("\0".join(code.values()).encode("utf-8", "surrogatepass"))
    file = str(Path(request.files[0]).absolute()) if len(request.files) == 1 else ""
    name = " ".join(request.files)
    run = RunRecord(os.urandom(8).hex(), name, file, settings.on, started)
    return recording_of(run, "bench", digest.hexdigest(), settings, notice)


async def _compared(
    request: BenchRequest, implementations: Mapping[str, str], settings: Settings
) -> Comparison:
    from e2brun.primitives.benchmark import BenchmarkSuite
    from e2brun.primitives.context import WorkflowContext
    from e2brun.primitives.events import Event, Noticed
    from e2brun.primitives.execution import CodeExecutionPrimitive
    from e2brun.primitives.sandboxes import close_backends

    voice = Reporter(as_json=request.as_json, quiet=False)

    def hear(event: Event) -> None:
        if isinstance(event, Noticed):
            voice.notice(event.line)

    primitive = CodeExecutionPrimitive(settings=settings, timeout=settings.timeout, as_program=True)
    rounds = (request.repeats, request.warm_up)
    suite = BenchmarkSuite(implementations, *rounds, request.baseline, primitive)
    try:
        return await suite.run(WorkflowContext(subscribers=(hear,)))
    finally:
        close_backends()


def _implementations(files: Sequence[Path]) -> dict[str, str]:
    """Code by name: of the programs, or of the cases of one pipeline. Raises UsageError."""
    if len(files) == 1 and files[0].suffix == ".toml":
        return _of_pipeline(files[0])
    found: dict[str, str] = {}
    for file in files:
        if file.suffix != ".py":
            raise UsageError(f"{file}: bench compares .py files, or the cases of one .toml")
        found[str(file)] = _read(file)
    return found


def _of_pipeline(file: Path) -> dict[str, str]:
    from e2brun.pipeline.loader import load
    from e2brun.stages.template import render

    pipeline = load(file)
    code = pipeline.document.generate.code
    if code is None and not pipeline.document.generate.files:
        raise UsageError(f"{file}: bench needs candidates that are there: files or code")
    return {
        case.id: _read(case.file) if case.file is not None else render(code or "", case.variables)
        for case in pipeline.cases
    }


def _read(file: Path) -> str:
    with UsageError.of_system(file):
        return file.read_text(encoding="utf-8")


def _tell(comparison: Comparison, request: BenchRequest, settings: Settings) -> None:
    if request.as_json:
        print_document({"schema": 1, **asdict(comparison)})
        return
    from e2brun.report.bench import print_comparison

    print_comparison(comparison, write_line, color=settings.colors(1))
