"""`CodeExecutionPrimitive`: code in, a fresh sandbox, what came of it out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from e2brun.errors import UsageError
from e2brun.jobs.job import Plan, spec_of
from e2brun.jobs.needs import Wanted
from e2brun.jobs.prepare import prepare
from e2brun.jobs.source import Kind, Source
from e2brun.primitives.base import Primitive
from e2brun.primitives.code import CodeOutput, CodeRequest, read_input, seconds
from e2brun.primitives.context import WorkflowContext
from e2brun.primitives.events import Executing, Noticed
from e2brun.primitives.leased import Leased
from e2brun.primitives.sandboxes import shared_backend
from e2brun.sandbox.contract import HOME, Backend, absolute
from e2brun.sandbox.select import is_cloud, is_cloud_backend
from e2brun.settings import On, Settings, load_settings
from e2brun.values import Network, parse_network

if TYPE_CHECKING:
    from e2brun.primitives.fingerprint import Identity

_DEFAULT_TEMPLATE = "python"
_MAIN = "main.py"


@dataclass(frozen=True)
class CodeExecutionPrimitive(Primitive[Mapping[str, object], CodeOutput]):
    """Run the `CodeInput` in a fresh sandbox, which is gone when the `CodeOutput` is there.

    It runs as a notebook cell, or with `as_program` as `python main.py` would, with `arguments`
    and `stdin`. Code that fails, or takes longer than its timeout, is a result. Raises
    SandboxError when the sandbox failed us, UsageError for an input that cannot be.

    `working_directory` is made if it is not there, and relative paths of files are relative to
    it. `setup` is a cell of its own before the code, in the same state, and not timed. Where it
    runs (`on`) and with which limits comes from `settings`, by default those of the environment.
    With `backend`, it is that one, and whoever opened it closes it.
    """

    api_key: str | None = field(default=None, repr=False)
    template: str = _DEFAULT_TEMPLATE
    timeout: float = 30.0
    auto_install_packages: bool = False
    working_directory: str | None = None
    environment_vars: Mapping[str, str] = field(default_factory=dict[str, str])
    on: On | None = None
    network: Network | str | bool | None = None  # yes is internet, no is none
    setup: str = ""
    as_program: bool = False
    arguments: Sequence[str] = ()
    stdin: bytes | None = None
    settings: Settings | None = field(default=None, repr=False)
    backend: Backend | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        seconds(self.timeout)
        if self.setup and self.as_program:
            raise UsageError("setup is a cell before the code; a program has none")
        if (self.arguments or self.stdin is not None) and not self.as_program:
            raise UsageError("a cell has no arguments and no stdin; add as_program=True")

    async def execute(
        self, data: Mapping[str, object], context: WorkflowContext | None = None
    ) -> CodeOutput:
        """Run it; cancellation ends the sandbox."""
        context = context or WorkflowContext()
        request = read_input(data, timeout=self.timeout, directory=self._directory)
        for line in request.notices:
            context.emit(Noticed(context.span, line))
        executing = Executing(
            context.span,
            code_length=len(request.code),
            timeout=request.timeout,
            has_files=bool(request.files),
            install=request.install,
            template=self.template,
        )
        leased = Leased(context)

        def run() -> CodeOutput:
            settings = self.effective_settings()
            for line in settings.notices:
                leased.notice(line)
            backend = self.backend or shared_backend(settings)
            job = prepare(self._plan(request, settings))
            with leased.sandbox(backend, job.spec) as sandbox:
                return leased.run(job, sandbox, settings.max_output)[-1]

        return await leased.within(executing, run)

    def effective_settings(self) -> Settings:
        """Those given, or those of the environment, with this step's own in front."""
        settings = self.settings
        if settings is None:
            return load_settings(None, None, on=self.on, api_key=self.api_key)
        return settings.but(on=self.on or settings.on, api_key=self.api_key or settings.api_key)

    def identity(self) -> Identity:
        """What beside the input decides the output: for the key of a cache."""
        settings = self.effective_settings()
        return {
            "on": self.backend.name if self.backend is not None else settings.on,
            "endpoint": [settings.api_url, settings.sandbox_url, settings.domain],
            "keyed": settings.api_key is not None,
            "template": self.template,
            "default_template": settings.template,
            "python": settings.python,
            "limits": [settings.memory, settings.processes, settings.disk, settings.max_output],
            "network": self.network_of(settings),
            "timeout": self.timeout,
            "auto_install": self.auto_install_packages,
            "directory": self._directory,
            "env": dict(self.environment_vars),
            "setup": self.setup,
            "program": [self.as_program, *self.arguments],
            "stdin": None if self.stdin is None else self.stdin.hex(),
        }

    def network_of(self, settings: Settings) -> Network | None:
        """What its code can reach. Raises UsageError."""
        return settings.network if self.network is None else parse_network(str(self.network))

    @property
    def _directory(self) -> str:
        return absolute(self.working_directory) if self.working_directory else HOME

    def _plan(self, request: CodeRequest, settings: Settings) -> Plan:
        named = self.template not in {"", _DEFAULT_TEMPLATE}
        spec = spec_of(settings, dict(self.environment_vars)).but(
            template=self.template if named else settings.template,
            network=self.network_of(settings),
        )
        backend = self.backend
        wanted = Wanted(
            install=request.install,
            auto=self.auto_install_packages,
            python=settings.python,
            cloud=is_cloud(settings) if backend is None else is_cloud_backend(backend),
        )
        path = Path(_MAIN) if self.as_program else None
        return Plan(
            source=Source("the code", request.code.encode(), Kind.PYTHON, path),
            spec=spec,
            wanted=wanted,
            timeout=request.timeout,
            as_cell=not self.as_program,
            setup=self.setup,
            arguments=tuple(self.arguments),
            stdin=self.stdin,
            cwd=absolute(self.working_directory) if self.working_directory else None,
            uploads=request.files,
        )
