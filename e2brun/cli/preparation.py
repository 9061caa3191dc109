"""From what was asked to a `Job`: everything is read and checked before a sandbox is started."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from e2brun.errors import UsageError
from e2brun.jobs import source as sources
from e2brun.jobs.run import Job
from e2brun.jobs.wanted import auto_installed, wants_of
from e2brun.sandbox.contract import Limits, SandboxSpec, Upload
from e2brun.settings import Settings
from e2brun.values import parse_size

if TYPE_CHECKING:
    from e2brun.cli.execution import Request
    from e2brun.jobs.notebook import Notebook

_LIFETIME_MARGIN = 60.0  # for starting, files, packages; after that a forgotten sandbox ends
_KEEP_LIFETIME = 3600.0
_START_LIMIT = 128 * 1024


def prepare(request: Request, settings: Settings, notice: Callable[[str], None]) -> Job:
    """Read and check it all. Raises UsageError."""
    source = _source(request)
    _check_together(request, source, settings)
    _check_places(request)
    as_cell = request.cell or request.code is not None
    if as_cell:
        source.text()
    notebook = _notebook(source)
    uploads = _uploads(request, notice)
    cells = as_cell or notebook is not None
    texts = _texts(source, notebook, cells=cells)
    python, requirements = _packages(request, settings, source, notebook, texts, uploads)
    if cells and not request.auto_install and not settings.network and _is_local(settings):
        from e2brun.jobs.pip_lines import advice

        if line := advice(map(str, texts), requirements):
            notice(line)
    environment = _environment(request)
    _check_size(request, environment)
    lifetime = settings.timeout + _LIFETIME_MARGIN
    spec = SandboxSpec(
        template=settings.template,
        lifetime=max(lifetime, _KEEP_LIFETIME) if request.keep else lifetime,
        env=environment,
        metadata=_metadata(request),
        network=settings.network,
        install=requirements,
        limits=Limits(settings.memory, settings.processes, settings.disk),
        python=python,
        wants=wants_of(
            texts,
            uploads,
            template=settings.template,
            cells=cells,
            present=(source.inside.removesuffix(".py"),),
        ),
        fetch=settings.fetch,
        cells=cells,
    )
    return Job(
        source,
        spec,
        timeout=settings.timeout,
        as_cell=as_cell,
        arguments=request.arguments,
        stdin=0 if request.stdin else None,
        cwd=request.cwd,
        uploads=uploads,
        downloads=request.get,
        max_get=_max_get(request, settings),
        notebook=notebook,
        keep=request.keep,
    )


def _max_get(request: Request, settings: Settings) -> int:
    if request.max_get is None:
        return settings.disk
    try:
        return parse_size(request.max_get)
    except UsageError as error:
        raise UsageError(f"--max-get: {error}") from None


def _metadata(request: Request) -> Mapping[str, str]:
    if not request.keep:
        return {}
    from e2brun.sandbox.remote_owner import KEPT

    return {KEPT: "yes"}  # `sandbox reap` is not to take it for one that was left behind


def _source(request: Request) -> sources.Source:
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


def _check_together(request: Request, source: sources.Source, settings: Settings) -> None:
    """Options that contradict each other are an error, not a surprise."""
    cells = request.cell or request.code is not None or source.kind is sources.Kind.NOTEBOOK
    if request.stdin and (cells or source.name == "-"):
        raise UsageError("-i cannot be used here: stdin is the program, or cells have none")
    if cells and request.arguments:
        raise UsageError("cells take no arguments; run the file as a program to pass some")
    if cells and source.kind not in {sources.Kind.PYTHON, sources.Kind.NOTEBOOK}:
        raise UsageError(f"{source.name}: only Python runs as a cell")
    if request.output is not None and source.kind is not sources.Kind.NOTEBOOK:
        raise UsageError("--output is where an executed notebook goes; this is no .ipynb file")
    if request.on_result is not None and not cells:
        raise UsageError("--on-result saves what cells display; add --cell")
    if request.sandbox is not None:
        _check_existing(request, settings)
        return
    if request.keep and _is_local(settings):
        raise UsageError(
            "--keep needs --on e2b: a local sandbox ends with the command that made it"
        )


def _is_local(settings: Settings) -> bool:
    return settings.on == "local" or (settings.on == "auto" and not settings.api_key)


def _check_existing(request: Request, settings: Settings) -> None:
    """A sandbox that is there is as it was made."""
    made = {"--keep": request.keep, "--python": settings.python is not None}
    flags = ("template", "memory", "disk", "processes", "network")
    made |= {f"--{name}": request.flags.get(name) is not None for name in flags}
    for option, given in made.items():
        if given:
            raise UsageError(f"{option} is for a new sandbox; --sandbox names one that is there")


def _check_places(request: Request) -> None:
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
        if os.path.isdir(output) or not os.path.isdir(output.parent):  # noqa: PTH112  # raises nothing
            raise UsageError(f"--output {request.output}: no such place for a file")
    if request.on_result is not None:
        directory = request.on_result
        if os.path.lexists(directory) and not os.path.isdir(directory):  # noqa: PTH112
            raise UsageError(f"--on-result {directory}: not a directory")


def _notebook(source: sources.Source) -> Notebook | None:
    if source.kind is not sources.Kind.NOTEBOOK or source.path is None:
        return None
    from e2brun.jobs.notebook import read_notebook

    return read_notebook(source.path)


def _texts(
    source: sources.Source, notebook: Notebook | None, *, cells: bool
) -> tuple[str | bytes, ...]:
    """The code in which Python is looked for; of cells, text."""
    if notebook is not None:
        return tuple(cell.source for cell in notebook.cells)
    if cells:
        return (source.text(),)
    known = source.kind in {sources.Kind.PYTHON, sources.Kind.SHELL}
    return (source.content,) if known else ()


def _uploads(request: Request, notice: Callable[[str], None]) -> tuple[Upload, ...]:
    if not request.files:
        return ()
    from e2brun.jobs import uploads

    return tuple(upload for word in request.files for upload in uploads.parse(word, notice))


def _environment(request: Request) -> Mapping[str, str]:
    if not request.env and not request.env_files:
        return {}
    from e2brun.values import parse_env_assignment, parse_env_file

    environment: dict[str, str] = {}
    for name in request.env_files:
        environment.update(parse_env_file(Path(name)))
    try:
        environment.update(parse_env_assignment(word) for word in request.env)
    except UsageError as error:
        raise UsageError(f"--env: {error}") from error
    return environment


def _check_size(request: Request, environment: Mapping[str, str]) -> None:
    """What a program is started with has to fit one message to the sandbox."""
    words = (*request.arguments, *environment, *environment.values())
    size = sum(len(word.encode("utf-8", "surrogatepass")) + 5 for word in words)
    if size > _START_LIMIT:
        raise UsageError(
            f"the arguments and variables are too long: {size} bytes, at most {_START_LIMIT}",
            hint="Write them to a file and give the program that: --file, or stdin with -i.",
        )


def _packages(
    request: Request,
    settings: Settings,
    source: sources.Source,
    notebook: Notebook | None,
    texts: tuple[str | bytes, ...],
    uploads: tuple[Upload, ...],
) -> tuple[str | None, tuple[str, ...]]:
    """(interpreter to use, requirements): options, files, and what the source itself says."""
    python, wanted = settings.python, list(request.install)
    inline = b"# /// script" in source.content and source.kind is sources.Kind.PYTHON
    if not (inline or wanted or request.requirements or request.auto_install):
        return python, ()
    from e2brun.jobs import requirements
    from e2brun.sandbox.requirement import parse_requirement

    if inline:
        metadata = requirements.inline_metadata(source.content, source.name)
        wanted += metadata.dependencies
        if metadata.requires_python:
            python = _suitable_python(metadata.requires_python, settings, source.name)
    for name in request.requirements:
        wanted += requirements.requirements_from_file(Path(name))
    if request.auto_install:
        wanted += auto_installed(
            texts,
            uploads,
            python_version=_version(python),
            cells=notebook is not None or request.cell or request.code is not None,
            template=settings.template,
            fetch=settings.fetch,
        )
    for text in wanted:
        parse_requirement(text)
    return python, tuple(dict.fromkeys(wanted))


def _version(python: str | None) -> tuple[int, ...]:
    from e2brun.sandbox.local.interpreter import current_interpreter, find_interpreter

    return (find_interpreter(python) if python else current_interpreter()).version[:2]


def _suitable_python(wanted: str, settings: Settings, name: str) -> str | None:
    """The interpreter for a script's `requires-python`: ours, the one asked for, or one found."""
    from e2brun.jobs.requirements import check_requires_python
    from e2brun.sandbox.local.interpreter import current_interpreter, find_interpreter

    if not _is_local(settings):
        return settings.python  # the template's Python is not known here
    if settings.python is not None:
        check_requires_python(wanted, find_interpreter(settings.python).version, name)
        return settings.python
    try:
        check_requires_python(wanted, current_interpreter().version, name)
    except UsageError:
        for minor in range(20, 7, -1):
            try:
                found = find_interpreter(f"3.{minor}")
                check_requires_python(wanted, found.version, name)
            except UsageError:
                continue
            return found.executable
        raise
    return None
