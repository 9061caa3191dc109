"""One execution in one fresh sandbox: the candidate, what checks want to know, the files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from e2brun.errors import FileTransferFailed, SandboxLost
from e2brun.primitives.base import Primitive
from e2brun.primitives.context import WorkflowContext
from e2brun.primitives.events import Executing
from e2brun.primitives.leased import Leased
from e2brun.primitives.transcript import Transcript, recorded
from e2brun.runs.record import ExecutionRecord
from e2brun.sandbox.contract import Backend, Outcome, Program, Sandbox
from e2brun.stages.execute.order import RunOrder
from e2brun.stages.work import FILE_LIMIT, Collected, Probe, Probed

_PROBE_OUTPUT = 64 * 1024


@dataclass(frozen=True, slots=True)
class SandboxRun:
    """What came out of it."""

    record: ExecutionRecord
    collected: dict[str, Collected]
    probed: dict[str, Probed]
    refused: tuple[str, ...] = ()  # why files to get are not there: the program's doing


@dataclass(frozen=True)
class Sandboxed(Primitive[RunOrder, SandboxRun]):
    """Raises SandboxError when the candidate did not run, or nobody can tell how it ended."""

    backend: Callable[[], Backend]

    async def execute(self, data: RunOrder, context: WorkflowContext) -> SandboxRun:
        """Run it; cancellation ends the sandbox."""
        job = data.job
        executing = Executing(
            context.span,
            code_length=len(job.source.content),
            timeout=job.timeout,
            has_files=bool(job.uploads),
            install=job.spec.install,
            template=job.spec.template or "python",
        )
        leased = Leased(context)

        def run() -> SandboxRun:
            with leased.sandbox(self.backend(), job.spec) as sandbox:
                return _run(leased, data, sandbox)

        return await leased.within(executing, run)


def _run(leased: Leased, order: RunOrder, sandbox: Sandbox) -> SandboxRun:
    execution, transcript, _ = leased.run(order.job, sandbox, order.max_output)
    collected = {path: collect(sandbox, path) for path in order.collect}
    well = execution.outcome is Outcome.OK or (
        order.any_exit and execution.outcome is Outcome.ERROR
    )
    probed = {probe.key: _probe(probe, sandbox) for probe in order.probes if well}
    files, refused = _fetched(order, sandbox)
    record = recorded(execution, transcript, sandbox)
    return SandboxRun(replace(record, files=files), collected, probed, refused)


def collect(sandbox: Sandbox, path: str) -> Collected:
    """A file for a check to look at. Raises SandboxError when the sandbox does not answer; a file
    that cannot be read in one that does is the program's doing."""
    pieces: list[bytes] = []
    size = 0
    try:
        for piece in sandbox.read_file(path):
            pieces.append(piece)
            size += len(piece)
            if size > FILE_LIMIT:
                break
    except FileTransferFailed as error:
        _check_alive(sandbox)
        return Collected(problem=str(error), missing=_is_missing(sandbox, path))
    return Collected(b"".join(pieces)[:FILE_LIMIT], truncated=size > FILE_LIMIT)


def _check_alive(sandbox: Sandbox) -> None:
    sandbox.list_files("/")  # which no program in there can make unreadable


def _is_missing(sandbox: Sandbox, path: str) -> bool:
    """Whether the nearest directory that can be listed has no such name."""
    place = PurePosixPath(path)
    for parent in place.parents:
        try:
            names = {entry.name for entry in sandbox.list_files(str(parent))}
        except FileTransferFailed:
            place = parent
            continue
        return place.name not in names
    return False


def _probe(probe: Probe, sandbox: Sandbox) -> Probed:
    transcript = Transcript(_PROBE_OUTPUT)
    execution = sandbox.run_program(
        Program(probe.argv, probe.files),
        timeout=probe.timeout,
        stdout=transcript.stdout,
        stderr=transcript.stderr,
    )
    if execution.outcome in {Outcome.LOST, Outcome.INFRASTRUCTURE}:
        raise SandboxLost(execution.detail or "the sandbox went away")
    return Probed(
        execution.outcome.value,
        execution.exit_code,
        transcript.out.text(),
        transcript.err.text(),
        collect(sandbox, probe.report),
        execution.detail,
    )


def _fetched(order: RunOrder, sandbox: Sandbox) -> tuple[dict[str, str], tuple[str, ...]]:
    """What was got, and what the program did not leave so that it could be. Raises
    FileTransferFailed when it is not the program's doing."""
    files: dict[str, str] = {}
    refused: list[str] = []
    if order.get:
        from e2brun.jobs import downloads

        allowance = downloads.Allowance(order.job.max_get)
        for remote, local in order.get:
            try:
                path, _ = downloads.bring(sandbox, remote, str(local), allowance)
                files[remote] = str(path)
            except FileTransferFailed as error:
                if isinstance(error.__cause__, OSError):  # this machine's: no room, no permission
                    raise
                _check_alive(sandbox)
                refused.append(f"{remote}: {error}")
    return files, tuple(refused)
