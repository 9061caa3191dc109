"""From a candidate and settings to an order: everything is read before a sandbox is started."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import cast

from e2brun.frozen import Frozen
from e2brun.jobs.job import Job, Plan
from e2brun.jobs.needs import Wanted
from e2brun.jobs.prepare import prepare
from e2brun.sandbox.contract import Limits, SandboxSpec, Upload
from e2brun.stages.execute.settings import ExecuteSettings
from e2brun.stages.step import Judge
from e2brun.stages.template import fill_fields
from e2brun.stages.work import Probe, Work


@dataclass(frozen=True, slots=True)
class RunOrder:
    """All that one execution needs."""

    job: Job
    max_output: int
    collect: tuple[str, ...] = ()
    probes: tuple[Probe, ...] = ()
    get: tuple[tuple[str, Path], ...] = ()
    any_exit: bool = False  # a check judges the exit code


def order_for(
    work: Work,
    settings: ExecuteSettings,
    checks: Sequence[Judge],
    notice: Callable[[str], None],
    *,
    cloud: bool,
) -> RunOrder:
    """`notice` is told what the reader may want to know. Raises UsageError for settings,
    SourceUnfit for a candidate that cannot be run."""
    variables = work.case.variables
    settings = fill_fields(settings, variables, frozenset({"parameters"}))
    checks = [check.rendered(variables) for check in checks]
    probes = tuple(probe for check in checks if (probe := check.probe(work)) is not None)
    return RunOrder(
        prepare(
            _plan(work, settings, probes, cloud=cloud).but(
                tells_end=any(check.asks_for_end for check in checks), notice=notice
            )
        ),
        settings.max_output,
        tuple(dict.fromkeys(path for check in checks for path in check.collects)),
        probes,
        tuple((remote, _place(remote, settings, work)) for remote in settings.get),
        any(check.judges_exit for check in checks),
    )


def _plan(work: Work, settings: ExecuteSettings, probes: Sequence[Probe], *, cloud: bool) -> Plan:
    stdin = settings.stdin
    wanted = Wanted(
        install=(*settings.install, *(text for probe in probes for text in probe.install)),
        files=tuple(settings.directory / path for path in settings.requirements),
        auto=settings.auto_install,
        python=settings.python,
        cloud=cloud,
    )
    spec = SandboxSpec(
        template=settings.template,
        env=settings.env,
        network=settings.network,
        install_timeout=settings.install_timeout,
        fetch=settings.fetch,
        limits=Limits(settings.memory, settings.processes, settings.disk),
    )
    return Plan(
        source=work.source(settings.file),
        spec=spec,
        wanted=wanted,
        timeout=settings.timeout,
        as_cell=settings.cell,
        arguments=settings.args,
        stdin=None if stdin is None else stdin.encode("utf-8", "surrogateescape"),
        cwd=settings.cwd,
        parameters=settings.parameters,
        uploads=_uploads(settings),
        max_get=settings.max_get or settings.disk,
        with_imports=settings.with_imports,
        longer=sum(probe.timeout for probe in probes),
    )


def _uploads(settings: ExecuteSettings) -> tuple[Upload, ...]:
    from e2brun.jobs.uploads import parse

    found: list[Upload] = []
    for word in settings.files:
        argument = word if word.startswith("/") else f"{settings.directory}/{word}"
        found += parse(argument, lambda _: None)
    for path, content in settings.inline_files.items():
        data = content if isinstance(content, bytes) else content.encode()
        found.append(Upload(path, data))
    return tuple(found)


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


def key_of(order: RunOrder, backend: str) -> str:
    """Equal for the same work: code, files, packages, settings; the case's name does not count."""
    job = order.job
    whole = [
        backend,
        job.source.inside,
        hashlib.sha256(job.source.content).hexdigest(),
        vars(job.spec.but(metadata={}, lifetime=0.0, install_timeout=0.0)),
        [job.timeout, job.as_cell, job.arguments, job.cwd, job.parameters],
        hashlib.sha256(job.stdin).hexdigest() if isinstance(job.stdin, bytes) else None,
        [order.max_output, order.collect, order.any_exit, job.tells_end],
        [_uploaded(upload) for upload in job.uploads],
        [[p.key, p.argv, p.timeout, [_uploaded(file) for file in p.files]] for p in order.probes],
    ]
    text = json.dumps(whole, sort_keys=True, default=_fields)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _fields(value: object) -> object:
    return vars(value) if isinstance(value, Frozen) else dict(cast("Mapping[str, object]", value))


def _uploaded(upload: Upload) -> list[str | bool]:
    return [upload.path, hashlib.sha256(upload.read()).hexdigest(), upload.executable]
