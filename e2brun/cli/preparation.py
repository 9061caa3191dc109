"""From the command line to a `Job`; options that contradict each other are refused."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from e2brun.cli.options import ExecRequest, given
from e2brun.errors import UsageError
from e2brun.jobs import source as sources
from e2brun.jobs.job import Job, Plan, Rules, spec_of
from e2brun.jobs.needs import Wanted
from e2brun.jobs.prepare import prepare
from e2brun.sandbox.contract import Upload
from e2brun.sandbox.select import is_cloud
from e2brun.settings import Settings
from e2brun.values import parse_duration, parse_size


def job_from(request: ExecRequest, settings: Settings, notice: Callable[[str], None]) -> Job:
    """Read and check it all. Raises UsageError."""
    source = _source(request)
    _check_together(request, source, settings)
    _check_places(request)
    return prepare(plan_of(request, source, settings, notice))


def plan_of(
    request: ExecRequest, source: sources.Source, settings: Settings, notice: Callable[[str], None]
) -> Plan:
    """How `source` is to be run. Raises UsageError."""
    spec = spec_of(settings, _environment(request)).but(metadata=_metadata(request))
    wanted = Wanted(
        install=request.install,
        files=tuple(map(Path, request.requirements)),
        auto=request.auto_install,
        python=settings.python,
        cloud=is_cloud(settings),
    )
    return Plan(
        source=source,
        spec=spec,
        wanted=wanted,
        timeout=settings.timeout,
        as_cell=request.cell or request.code is not None,
        arguments=request.arguments,
        stdin=0 if request.stdin else None,
        cwd=request.cwd,
        uploads=_uploads(request, notice),
        downloads=request.get,
        max_get=given("--max-get", parse_size, request.max_get) or settings.disk,
        parameters=_parameters(request),
        rules=_rules(request) if source.kind is sources.Kind.NOTEBOOK else None,
        with_imports=request.with_imports,
        keep=request.keep,
        notice=notice,
        details=notice if request.verbose else lambda _: None,
    )


def _metadata(request: ExecRequest) -> Mapping[str, str]:
    if not request.keep:
        return {}
    from e2brun.sandbox.owner import KEPT

    return {KEPT: "yes"}  # `sandbox reap` is not to take it for one that was left behind


def _source(request: ExecRequest) -> sources.Source:
    if request.code is not None:
        if request.target is not None:
            raise UsageError(
                "-c CODE runs that code; there is nothing to do with a file or arguments as well"
            )
        return sources.from_code(request.code)
    if request.target is None:
        raise UsageError("nothing to run", hint="Name a file, `-` for stdin, or -c CODE.")
    if request.target == "-":
        return sources.from_stdin()
    return sources.from_file(request.target)


def _check_together(request: ExecRequest, source: sources.Source, settings: Settings) -> None:
    """Options that contradict each other are an error, not a surprise."""
    cells = request.cell or request.code is not None or source.kind is sources.Kind.NOTEBOOK
    if request.stdin and (cells or source.name == "-"):
        raise UsageError("-i cannot be used here: stdin is the program, or cells have none")
    if source.kind is not sources.Kind.NOTEBOOK:
        _check_no_notebook(request)
    if request.on_result is not None and not cells:
        raise UsageError("--on-result saves what cells display; add --cell")
    if request.sandbox is not None:
        _check_existing(request, settings)
        return
    if request.keep and not is_cloud(settings):
        raise UsageError(
            "--keep needs --on e2b: a local sandbox ends with the command that made it"
        )


def _check_no_notebook(request: ExecRequest) -> None:
    if request.output is not None:
        raise UsageError("--output is where an executed notebook goes; this is no .ipynb file")
    names = {
        "-p": request.parameters,
        "-r": request.raw_parameters,
        "--params": request.parameter_file is not None,
        "--allow-errors": request.allow_errors,
        "--cell-timeout": request.cell_timeout is not None,
    }
    for option in (option for option, is_given in names.items() if is_given):
        raise UsageError(f"{option} is for notebooks; this is no .ipynb file")


def _check_existing(request: ExecRequest, settings: Settings) -> None:
    """A sandbox that is there is as it was made."""
    made = {"--keep": request.keep, "--python": settings.python is not None}
    flags = ("template", "memory", "disk", "processes", "network")
    made |= {f"--{name}": request.flags.get(name) is not None for name in flags}
    for option, is_given in made.items():
        if is_given:
            raise UsageError(f"{option} is for a new sandbox; --sandbox names one that is there")


def _check_places(request: ExecRequest) -> None:
    """Where results are to go: before the run, not after an hour of it."""
    for option, place in (
        ("--cwd", request.cwd),
        ("--output", request.output),
        ("--on-result", request.on_result),
        *(("--get", word) for word in request.get),
    ):
        if place == "":
            raise UsageError(f"{option}: the name is empty")
    if request.output is not None:
        output = Path(request.output)
        if os.path.isdir(output) or not os.path.isdir(output.parent):
            raise UsageError(f"--output {request.output}: no such place for a file")
    if request.on_result is not None:
        directory = request.on_result
        if os.path.lexists(directory) and not os.path.isdir(directory):
            raise UsageError(f"--on-result {directory}: not a directory")


def _parameters(request: ExecRequest) -> Mapping[str, object]:
    if not (request.parameters or request.raw_parameters or request.parameter_file):
        return {}
    from e2brun.jobs.notebook_parameters import given_parameters

    return given_parameters(request.parameters, request.raw_parameters, request.parameter_file)


def _rules(request: ExecRequest) -> Rules:
    limit = given("--cell-timeout", parse_duration, request.cell_timeout)
    lives_on = request.keep or request.sandbox is not None
    # What reads them costs as much as a plot: where only their pictures go into the document.
    charts = request.as_json or request.on_result is not None
    return Rules(request.allow_errors, limit, lives_on, charts)


def _uploads(request: ExecRequest, notice: Callable[[str], None]) -> tuple[Upload, ...]:
    if not request.files:
        return ()
    from e2brun.jobs import uploads

    return tuple(upload for word in request.files for upload in uploads.parse(word, notice))


def _environment(request: ExecRequest) -> Mapping[str, str]:
    if not request.env and not request.env_files:
        return {}
    from e2brun.dotenv import parse_env_assignments, parse_env_file

    environment: dict[str, str] = {}
    for name in request.env_files:
        environment |= parse_env_file(Path(name))
    return environment | parse_env_assignments(request.env)
