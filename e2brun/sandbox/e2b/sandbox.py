"""One running E2B sandbox, as the contract has it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import chain
from typing import TypeVar

from e2brun.errors import FileTransferFailed, InstallFailed, SandboxError
from e2brun.sandbox import endings
from e2brun.sandbox.contract import (
    HOME,
    INSTALL_SECONDS,
    MIB,
    USER,
    Execution,
    FileEntry,
    KernelSpec,
    Outcome,
    Program,
    Result,
    SandboxSpec,
    Sink,
    Upload,
)
from e2brun.sandbox.e2b import sdk, transfer
from e2brun.sandbox.e2b.backoff import Backoff
from e2brun.sandbox.e2b.cell import CellRun
from e2brun.sandbox.e2b.channel import call, iterate
from e2brun.sandbox.e2b.launch import plan, remote_path, total_size
from e2brun.sandbox.e2b.program import SLOWEST_UPLOAD, UPLOAD_PATIENCE, ProgramRun
from e2brun.sandbox.e2b.reaper import Reaper
from e2brun.sandbox.e2b.run import attempted
from e2brun.sandbox.e2b.sinks import Tap, tail
from e2brun.sandbox.e2b.translate import one_line, translated_errors
from e2brun.sandbox.requirement import CONSTRAINT, divided

T = TypeVar("T")

END_SECONDS = 4.0  # for one answer; after that it is the reaper's to end

PIP = (
    *("python3", "-m", "pip", "install", "--quiet", "--no-input"),
    *("--disable-pip-version-check", "--no-color"),
)
CONSTRAINTS = "/tmp/e2brun-constraints.txt"  # noqa: S108 - inside
# The sandbox is the environment: nobody's system is broken by it.
PIP_ENV = {"PIP_BREAK_SYSTEM_PACKAGES": "1", "PIP_ROOT_USER_ACTION": "ignore"}


@dataclass(frozen=True, slots=True)
class Ties:
    """What a sandbox has from its backend."""

    guard: Reaper
    backoff: Backoff
    secrets: tuple[str, ...]
    template: str
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    owned: bool = True  # False: it lives on, so what we leave running in it would, too
    install_timeout: float = INSTALL_SECONDS
    waits_for_end: bool = False  # whoever kills it


class E2BSandbox:
    """The `Sandbox` contract over the E2B SDK. Killing it is one line to the reaper."""

    backend = "e2b"

    def __init__(self, native: sdk.Native, ties: Ties) -> None:
        self._native = native
        self._ties = ties
        self.id, self.template = str(native.sandbox_id), ties.template
        self._lock = threading.Lock()
        self._run: ProgramRun | CellRun | None = None
        self.killed = False  # whether its end was ordered, here or by its backend
        self._made: set[str] = set()
        self._contexts: dict[KernelSpec, str] = {}
        self.released = False

    def run_program(
        self, program: Program, *, timeout: float | None, stdout: Sink, stderr: Sink
    ) -> Execution:
        self._make_place(program.cwd)
        # Output that stays in a buffer until the end is not a stream.
        env = {"PYTHONUNBUFFERED": "1", **self._ties.env, **program.env}
        launch = plan(program, env)
        run = ProgramRun(
            self._native,
            timeout,
            Tap(stdout),
            Tap(stderr),
            self._ties.secrets,
            program,
            launch,
            lambda: transfer.send(self._native, launch.uploads),
        )
        with self._running(run) as killed:
            try:
                return killed or run.run(total_size(launch.uploads))
            except BaseException:
                if not self._ties.owned:
                    run.kill()
                raise

    def _make_place(self, cwd: str | None) -> None:
        """Outside the home directory only the file service may make one."""
        if cwd is None or remote_path(cwd) in self._made or _is_home(cwd):
            return
        try:
            self.make_directory(cwd)
        except FileTransferFailed as error:
            why = f"{cwd}: {str(error).rpartition(': ')[2]}"  # as whoever goes there finds it
            raise SandboxError(endings.not_started(why)) from error

    def run_cell(
        self,
        code: str,
        *,
        timeout: float | None,
        stdout: Sink,
        stderr: Sink,
        on_result: Callable[[Result], None] | None = None,
        kernel: KernelSpec | None = None,
    ) -> Execution:
        where: dict[str, str | None] = {"context_id": None, "language": None}
        if kernel is not None and kernel.cwd is not None:
            where["context_id"] = self._context(kernel)
        elif kernel is not None:
            where["language"] = kernel.language
        run = CellRun(
            self._native,
            timeout,
            Tap(stdout),
            Tap(stderr),
            self._ties.secrets,
            code,
            where,
            on_result or (lambda result: None),
        )
        with self._running(run) as killed:
            return killed or run.run()

    def _context(self, kernel: KernelSpec) -> str:
        """The id of the context that began in a directory of its own."""
        cwd = remote_path(kernel.cwd or HOME)
        if kernel not in self._contexts:
            try:
                with self._translated(SandboxError):
                    made = self._native.create_code_context(cwd=cwd, language=kernel.language)
            except SandboxError as error:
                if f" {cwd}: " in str(error):
                    raise FileTransferFailed(endings.no_directory(cwd)) from error
                raise
            self._contexts[kernel] = str(made.id)
        return self._contexts[kernel]

    def write_files(self, files: Sequence[Upload]) -> None:
        size = total_size(files)

        def send() -> None:
            transfer.send(self._native, files)
            transfer.mark(self._native, files)

        try:
            with self._translated(FileTransferFailed):
                call(send, deadline=UPLOAD_PATIENCE + size / SLOWEST_UPLOAD, name="sending files")
        except FileTransferFailed as error:
            raise FileTransferFailed(endings.not_in_place(str(error))) from error

    def read_file(self, path: str) -> Iterator[bytes]:
        def begin() -> Iterator[bytes]:
            pieces = iterate(
                lambda: transfer.receive(self._native, path),
                idle=transfer.IDLE_SECONDS,
                name="reading a file",
            )
            first = next(pieces, None)  # where a refusal comes out
            return iter(()) if first is None else chain((first,), pieces)

        with self._translated(FileTransferFailed):
            yield from self._ties.backoff.call(begin)

    def list_files(self, path: str) -> list[FileEntry]:
        return self._ask(lambda: transfer.entries(self._native, path), "listing files")

    def is_directory(self, path: str) -> bool:
        """Whether there is a directory of that name, or a link to one."""
        return self._ask(lambda: transfer.is_directory(self._native, path), "looking")

    def make_directory(self, path: str) -> None:
        """Make it and those above it, unless it is there. Raises FileTransferFailed."""
        place = remote_path(path)
        self._ask(lambda: self._native.files.make_dir(place, user=USER), "making")
        self._made.add(place)

    def furnish(self, spec: SandboxSpec) -> None:
        """Make the directories that no program's start would, and install."""
        for directory in spec.directories:
            if spec.cells or not _is_home(directory):
                with suppress(FileTransferFailed):  # who goes there says so
                    self.make_directory(directory)
        self.install(spec.install)

    def install(self, requirements: Sequence[str]) -> None:
        plain, rules = divided(requirements)
        constraints = rules.pop(CONSTRAINT, [])
        odd = [*rules, *(one for one in plain if not one.strip() or one.lstrip().startswith("-"))]
        if odd:
            raise InstallFailed(f"not a requirement: {one_line(odd[0])!r}")
        if not plain:
            return
        said = bytearray()
        sink = tail(said, MIB)
        text = "".join(f"{one}\n" for one in constraints)
        files = (Upload(CONSTRAINTS, text.encode()),) if text else ()
        options = (CONSTRAINT, CONSTRAINTS) if text else ()
        pip = Program((*PIP, *options, "--", *plain), files, env=PIP_ENV)
        ended = self.run_program(pip, timeout=self._ties.install_timeout, stdout=sink, stderr=sink)
        if ended.outcome is not Outcome.OK:
            raise InstallFailed(_reason(said.decode(errors="replace")) or ended.detail or "pip")

    def kill(self) -> None:
        first = not self.killed
        self.stop_run()
        if not (first and self._ties.waits_for_end and self.end(END_SECONDS)):
            self._ties.guard.tell("kill", self.id)

    def end(self, seconds: float) -> bool:
        """Kill it over the connection that there is, and say whether that was answered in time. It
        is the reaper's else, which has to load what it needs and to connect."""
        ended = attempted(
            lambda: sdk.kill(self._native, seconds), deadline=seconds + 1, name="ending"
        )
        if ended:
            self._ties.guard.tell("release", self.id)
        return bool(ended)

    def stop_run(self) -> None:
        """End a run in progress, for a backend that ends the sandbox itself."""
        with self._lock:
            self.killed = True
            run = self._run
        if run is not None:
            run.stop()

    def release(self) -> None:
        self.released = True
        self._ties.guard.tell("release", self.id)

    @contextmanager
    def _running(self, run: ProgramRun | CellRun) -> Generator[Execution | None]:
        """Make `run` the one that `kill` stops; gives how it ended if it was killed before."""
        with self._lock:
            self._run = run
            killed = self.killed
        try:
            yield Execution(Outcome.LOST, detail=endings.KILLED) if killed else None
        finally:
            with self._lock:
                self._run = None

    def _ask(self, operation: Callable[[], T], name: str) -> T:
        """For what may be asked about files again without harm."""
        with self._translated(FileTransferFailed):
            return self._ties.backoff.call(
                lambda: call(operation, deadline=sdk.REQUEST_SECONDS + 5, name=name)
            )

    def _translated(self, otherwise: type[SandboxError]) -> AbstractContextManager[None]:
        return translated_errors(*self._ties.secrets, otherwise=otherwise)


def _is_home(path: str) -> bool:
    return f"{remote_path(path)}/".startswith(f"{HOME}/")


def _reason(said: str) -> str:
    """pip's own reason: its last line of error, else its last line."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line[6:].strip() for line in lines if line[:6].upper() == "ERROR:"]
    return one_line((errors or lines or [""])[-1])
