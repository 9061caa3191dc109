"""`e2brun exec`, step by step: settings, job, sandbox, report."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from e2brun.cli.signals import Interrupted, complain
from e2brun.errors import E2brunError, SandboxError, SandboxLost
from e2brun.sandbox.contract import CodeError, Execution, Outcome, Sandbox
from e2brun.sandbox.select import begin, choose
from e2brun.settings import Settings, load_settings

if TYPE_CHECKING:
    from e2brun.cli.console import Console
    from e2brun.cli.options import ExecRequest
    from e2brun.jobs.job import Job
    from e2brun.jobs.run import Ran
    from e2brun.runs.spool import SpooledRun
    from e2brun.sandbox.local.isolation.bubblewrap import Bubblewrap

_BROKEN = 125


def execute(request: ExecRequest) -> int:
    """Run it and say how it went. Returns the exit code."""
    voice = _ExecReporter(request)
    try:
        return _run(request, voice)
    except E2brunError as error:
        if voice.job is not None:
            voice.record.failed(error)
        return voice.console.failed(error)
    except Interrupted as interrupted:
        if voice.job is not None:
            ended = Execution(Outcome.KILLED, detail=str(interrupted))
            voice.record.finish(ended, 128 + interrupted.number)
        voice.console.interrupted(interrupted)
        raise


class _ExecReporter:
    """The console, made when there is something to say: its modules are imported while the
    sandbox starts on the other core, and what is noticed before that waits for it."""

    def __init__(self, request: ExecRequest) -> None:
        self._request = request
        self._waiting: list[str] = []
        self._console: Console | None = None
        self.settings: Settings | None = None
        self.run_id = os.urandom(8).hex()
        self.job: Job | None = None  # once everything that could be wrong was looked at
        self._record: SpooledRun | None = None

    @property
    def console(self) -> Console:
        """The console, set up as far as the settings are known."""
        if self._console is None:
            from e2brun.cli.console import Console

            request = self._request
            self._console = Console(
                as_json=request.as_json, quiet=request.quiet, run_id=self.run_id, raw=request.raw
            )
            if self.settings is not None:
                self._console.configure(self.settings)
            for line in self._waiting:
                self._console.notice(line)
        return self._console

    @property
    def record(self) -> SpooledRun:
        """What is kept of the run; there must be a job."""
        if self._record is None:
            from e2brun.runs.spool import SpooledRun

            assert self.job is not None  # noqa: S101 - for type checkers
            settings = self.settings or Settings()
            given = (*self._request.parameters, *self._request.raw_parameters)
            self._record = SpooledRun(self.run_id, self.job, given, settings, self.notice)
        return self._record

    def notice(self, line: str) -> None:
        """Say it, or keep it until there is a console."""
        if self._console is None:
            self._waiting.append(line)
        else:
            self._console.notice(line)


def _run(request: ExecRequest, voice: _ExecReporter) -> int:
    settings = voice.settings = load_settings(None, None, **request.flags)
    for line in settings.notices:
        voice.notice(line)
    driver = None if request.sandbox is not None else begin(settings)
    try:
        return _run_on(driver, request, settings, voice)
    finally:
        if driver is not None:
            driver.close()


def _run_on(
    driver: Bubblewrap | None, request: ExecRequest, settings: Settings, voice: _ExecReporter
) -> int:
    from e2brun.cli.preparation import job_from

    job = voice.job = job_from(request, settings, voice.notice)
    if request.sandbox is not None:
        return _run_in(request.sandbox, request, job, voice)
    backend = choose(settings, run_id=voice.run_id, notice=voice.notice, driver=driver)
    if backend.name != "local" or job.spec.install:
        voice.console.backend = backend.name  # this may take long: speak now
        voice.record.begin(backend.name)
    try:
        sandbox = backend.create(job.spec)
        console = voice.console
        console.created(sandbox)
        return _run_job(request, job, voice, sandbox)
    finally:
        backend.close()


def _run_in(sandbox_id: str, request: ExecRequest, job: Job, voice: _ExecReporter) -> int:
    """Run it in a sandbox that was there before, and that lives on."""
    from e2brun.cli.sandbox_place import Place

    console = voice.console
    where = Place(voice.settings or load_settings())
    console.backend = where.name
    try:
        _, sandbox = where.about(sandbox_id).attach(sandbox_id, job.spec.env)
        console.created(sandbox, where.name)
        sandbox.furnish(job.spec)
        return _run_job(request, job, voice, sandbox)
    except SandboxError as error:
        if error.exit_code != SandboxError.exit_code:  # 1 is the program's own
            raise SandboxLost(str(error), hint=error.hint) from error
        raise


def _run_job(request: ExecRequest, job: Job, voice: _ExecReporter, sandbox: Sandbox) -> int:
    from e2brun.jobs.run import run  # as the console, while the sandbox starts

    voice.record.begin(voice.console.backend)  # while an embedded sandbox is still starting
    outputs = voice.record.hears(sandbox.id, voice.console.outputs())
    ran = run(job, sandbox, outputs)
    code = _report(request, job, voice.console, ran)
    voice.record.finish(ran.execution, code)
    if voice.record.overflows and voice.settings is not None and voice.settings.store is not None:
        from e2brun.runs.unspool import unspool_if_possible

        unspool_if_possible(voice.settings.store)
    return code


def _report(request: ExecRequest, job: Job, console: Console, ran: Ran) -> int:
    """Everything the user is told, before the sandbox is ended: ending it costs no time here."""
    _hint_about_arguments(request, ran.execution, console.notice)
    for write in (_write_notebook, _save_results):
        try:
            write(request, job, console, ran)
        except E2brunError as error:
            ran.failures.append(error)
    for line in ran.left_out:
        console.notice(f"left out of {line}")
    for failure in ran.failures:
        complain(failure)
    execution = console.finished(_with_failure(ran), fetched=ran.fetched)
    if job.keep:
        console.notice(f"kept: {ran.sandbox_id} lives on for at most {job.spec.lifetime:g} s")
    code = exit_code(execution)
    return _BROKEN if code == 0 and ran.failures else code


def _write_notebook(request: ExecRequest, job: Job, _: Console, ran: Ran) -> None:
    if request.output is None or job.notebook is None:
        return
    from e2brun.jobs.notebook import executed_notebook

    with E2brunError.of_system(f"--output {request.output}"):
        document = executed_notebook(job.notebook, ran.cells, ran.widgets)
        _write_whole(Path(request.output), document)


def _write_whole(path: Path, content: bytes) -> None:
    """Beside it first: what was there stays until all of the new one is. Pipes and devices, and
    files in a directory that is not ours to write, are written to as they are."""
    target = path.resolve()
    if target.exists() and not target.is_file():
        path.write_bytes(content)
        return
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with temporary.open("xb") as file:
            if target.exists():
                os.fchmod(file.fileno(), target.stat().st_mode & 0o777)
            file.write(content)
        temporary.replace(target)
    except PermissionError:
        path.write_bytes(content)
    finally:
        temporary.unlink(missing_ok=True)


def _save_results(request: ExecRequest, _: Job, console: Console, ran: Ran) -> None:
    if request.on_result is not None:
        console.save_results(ran.execution, Path(request.on_result))


def _with_failure(ran: Ran) -> Execution:
    """A run that went well, but whose files did not all arrive, has an error to tell of."""
    if not ran.failures or ran.execution.outcome is not Outcome.OK:
        return ran.execution
    failure = ran.failures[0]
    return ran.execution.but(error=CodeError(type(failure).__name__, str(failure), ""))


def exit_code(execution: Execution) -> int:
    """The exit code of the command for a run that ended so (DESIGN.md, "Exit codes")."""
    match execution.outcome:
        case Outcome.OK:
            return 0
        case Outcome.ERROR:
            return execution.exit_code or 1
        case Outcome.TIMEOUT:
            return 124
        case Outcome.OOM | Outcome.KILLED:
            return 137
        case _:
            return SandboxError.exit_code


def _hint_about_arguments(
    request: ExecRequest, execution: Execution, notice: Callable[[str], None]
) -> None:
    """Everything after FILE is the program's, as with `python FILE`; say so when a program
    failed over what looks like an option of ours, or was to be a cell: that shows no value."""
    ours = {"--json", "--timeout", "--on", "--quiet", "--install", "--file", "--get", "--network"}
    stray = [word for word in request.arguments if word.split("=")[0] in {*ours, "--cell"}]
    if stray and (execution.outcome is not Outcome.OK or "--cell" in stray):
        notice(f"{stray[0]} came after the file, so it went to the program; ours come before it")
