"""From a candidate and settings to an order: everything is read before a sandbox is started."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from e2brun.errors import E2brunError, UsageError
from e2brun.jobs.run import Job
from e2brun.jobs.source import Kind, Source
from e2brun.jobs.wanted import auto_installed, wants_of
from e2brun.sandbox.contract import Limits, SandboxSpec, Upload
from e2brun.stages import candidate
from e2brun.stages.evidence import Probe
from e2brun.stages.execute.settings import ExecuteSettings
from e2brun.stages.step import Judge
from e2brun.stages.template import fill_fields
from e2brun.stages.work import Work

if TYPE_CHECKING:
    from e2brun.jobs.notebook import Notebook

_LIFETIME_MARGIN = 60.0  # for starting, files, packages; after that a forgotten sandbox ends


class CandidateUnfit(E2brunError):
    """The candidate itself makes it impossible to run it."""


@dataclass(frozen=True, slots=True)
class Order:
    """All that one execution needs."""

    job: Job
    stdin: bytes | None
    max_output: int
    own_requirements: tuple[str, ...]  # what the candidate asks for, not the author
    collect: tuple[str, ...] = ()
    probes: tuple[Probe, ...] = ()
    get: tuple[tuple[str, Path], ...] = ()
    any_exit: bool = False  # a check judges the exit code


def prepare(work: Work, settings: ExecuteSettings, checks: Sequence[Judge]) -> Order:
    """Raises UsageError for settings, CandidateUnfit for a candidate that cannot be run."""
    variables = work.case.variables
    settings = fill_fields(settings, variables)
    checks = [check.rendered(variables) for check in checks]
    source = _source(work, settings)
    uploads = _uploads(settings, source)
    probes = tuple(probe for check in checks if (probe := check.probe(work)) is not None)
    notebook = _notebook(source)
    cells = settings.cell or notebook is not None
    texts = _texts(source, notebook, cells=cells)
    own = _own_requirements(source, settings, texts, uploads)
    spec = SandboxSpec(
        template=settings.template,
        lifetime=settings.timeout + _LIFETIME_MARGIN + sum(probe.timeout for probe in probes),
        env=settings.env,
        network=settings.network,
        install=_requirements(settings, own, probes),
        limits=Limits(settings.memory, settings.processes, settings.disk),
        python=settings.python,
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
    job = Job(
        source,
        spec,
        settings.timeout,
        settings.cell,
        settings.args,
        cwd=settings.cwd,
        uploads=uploads,
        max_get=settings.max_get or settings.disk,
        notebook=notebook,
    )
    return Order(
        job,
        None if settings.stdin is None else settings.stdin.encode("utf-8", "surrogateescape"),
        settings.max_output,
        own,
        tuple(dict.fromkeys(path for check in checks for path in check.collects)),
        probes,
        tuple((remote, _place(remote, settings, work)) for remote in settings.get),
        any(check.judges_exit for check in checks),
    )


def _source(work: Work, settings: ExecuteSettings) -> Source:
    data = candidate.content(work)
    try:
        source = candidate.source(work, settings.file)
        if settings.cell:
            source.text()
    except UsageError as error:
        raise CandidateUnfit(str(error), hint=error.hint) from error
    if settings.cell and source.kind not in {Kind.PYTHON, Kind.NOTEBOOK}:
        raise UsageError(f"{source.name}: only Python runs as a cell")
    if source.kind is Kind.NOTEBOOK and (settings.args or settings.stdin is not None):
        raise UsageError(f"{source.name}: a notebook has no arguments and no stdin")
    return replace(source, content=data)


def _notebook(source: Source) -> Notebook | None:
    if source.kind is not Kind.NOTEBOOK:
        return None
    import tempfile

    from e2brun.jobs.notebook import read_notebook

    with tempfile.TemporaryDirectory(prefix="e2brun-") as place:
        path = Path(place, source.inside)
        path.write_bytes(source.content)
        try:
            return read_notebook(path)
        except UsageError as error:
            message = str(error).replace(str(path), source.name)
            raise CandidateUnfit(message, hint=error.hint) from error


def _uploads(settings: ExecuteSettings, source: Source) -> tuple[Upload, ...]:
    from e2brun.jobs.uploads import parse

    found: list[Upload] = []
    for word in settings.files:
        argument = word if word.startswith("/") else f"{settings.directory}/{word}"
        found += parse(argument, lambda _: None)
    for path, content in settings.inline_files.items():
        data = content if isinstance(content, bytes) else content.encode()
        found.append(Upload(path, data))
    if any(upload.path == source.inside for upload in found):
        raise UsageError(
            f"execute: {source.inside} is the candidate itself; give that file another name"
        )
    return tuple(found)


def _texts(source: Source, notebook: Notebook | None, *, cells: bool) -> tuple[str | bytes, ...]:
    """The code in which Python is looked for; of cells, text."""
    if notebook is not None:
        return tuple(cell.source for cell in notebook.cells)
    if cells:
        return (source.text(),)
    return (source.content,) if source.kind in {Kind.PYTHON, Kind.SHELL} else ()


def _own_requirements(
    source: Source,
    settings: ExecuteSettings,
    texts: tuple[str | bytes, ...],
    uploads: Sequence[Upload],
) -> tuple[str, ...]:
    """What the candidate says it needs: its PEP 723 block, and with auto_install its imports."""
    wanted: list[str] = []
    if b"# /// script" in source.content and source.kind is Kind.PYTHON:
        from e2brun.jobs import requirements

        try:
            wanted += requirements.inline_metadata(source.content, source.name).dependencies
        except UsageError as error:
            raise CandidateUnfit(str(error), hint=error.hint) from error
    if settings.auto_install:
        wanted += auto_installed(
            texts,
            uploads,
            python_version=_version(settings),
            cells=settings.cell or source.kind is Kind.NOTEBOOK,
            template=settings.template,
            fetch=settings.fetch,
        )
    return tuple(dict.fromkeys(wanted))


def _version(settings: ExecuteSettings) -> tuple[int, ...]:
    if settings.python is None:
        return sys.version_info[:2]
    from e2brun.sandbox.local.interpreter import find_interpreter

    return find_interpreter(settings.python).version[:2]


def _requirements(
    settings: ExecuteSettings, own: tuple[str, ...], probes: Sequence[Probe]
) -> tuple[str, ...]:
    wanted = list(settings.install)
    if wanted or settings.requirements:
        from e2brun.jobs import requirements
        from e2brun.sandbox.requirement import parse_requirement

        for text in wanted:
            parse_requirement(text, "execute.install")
        for path in settings.requirements:
            wanted += requirements.requirements_from_file(settings.directory / path)
    wanted += own
    for probe in probes:
        wanted += probe.install
    return tuple(dict.fromkeys(wanted))


def safe_name(case: str) -> str:
    """A directory name for a case, whatever its id: the same one for the same id."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", case).strip("._-")[:80]
    if plain and plain == case:
        return plain
    digest = hashlib.sha256(case.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{plain}-{digest[:8]}".lstrip("-")


def _place(remote: str, settings: ExecuteSettings, work: Work) -> Path:
    directory = settings.directory / (settings.get_to or Path()) / safe_name(work.case.id)
    return directory / (PurePosixPath(remote).name.replace(":", "_") or "files")


def key_of(order: Order, backend: str) -> str:
    """Equal for the same work: code, files, packages, settings; the case's name does not count."""
    job = order.job
    whole = [
        backend,
        job.source.inside,
        hashlib.sha256(job.source.content).hexdigest(),
        asdict(replace(job.spec, metadata={}, lifetime=0.0)),
        [job.timeout, job.as_cell, job.arguments, job.cwd],
        None if order.stdin is None else hashlib.sha256(order.stdin).hexdigest(),
        [order.max_output, order.collect, order.any_exit],
        [_uploaded(upload) for upload in job.uploads],
        [[p.key, p.argv, p.timeout, [_uploaded(file) for file in p.files]] for p in order.probes],
    ]
    text = json.dumps(whole, sort_keys=True, default=dict)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _uploaded(upload: Upload) -> list[str | bool]:
    data = upload.source if isinstance(upload.source, bytes) else upload.source.read_bytes()
    return [upload.path, hashlib.sha256(data).hexdigest(), upload.executable]
