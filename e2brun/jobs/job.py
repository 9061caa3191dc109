"""What is to be run: as it was asked for, and read and checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from e2brun.frozen import Frozen
from e2brun.jobs.needs import Wanted
from e2brun.jobs.source import Source
from e2brun.sandbox.contract import CodeError, Limits, SandboxSpec, Upload

if TYPE_CHECKING:
    from e2brun.jobs.notebook import Notebook
    from e2brun.settings import Settings

_NO_PARAMETERS: Mapping[str, object] = {}


def _nobody(_: str) -> None:
    """Nobody is listening."""


class Rules(Frozen):
    """How a notebook is run. `cell_timeout` is in seconds, of each cell."""

    allow_errors: bool = False
    cell_timeout: float | None = None
    lives_on: bool = False  # its sandbox is used again: leave the context as it was
    charts: bool = True  # the data of figures is wanted, beside their pictures


def spec_of(settings: Settings, env: Mapping[str, str]) -> SandboxSpec:
    """A sandbox as the user's settings have it."""
    return SandboxSpec(
        template=settings.template,
        env=env,
        network=settings.network,
        install_timeout=settings.install_timeout,
        fetch=settings.fetch,
        limits=Limits(settings.memory, settings.processes, settings.disk),
    )


class Plan(Frozen):
    """What was asked, as whoever asked has read it. Of `spec`, what the source has a say in
    (packages, Python, lifetime) is filled in here."""

    source: Source
    spec: SandboxSpec
    wanted: Wanted = Wanted()
    timeout: float = 30.0
    as_cell: bool = False
    setup: str = ""  # a cell before the code
    arguments: tuple[str, ...] = ()
    stdin: bytes | int | None = None
    cwd: str | None = None
    uploads: tuple[Upload, ...] = ()
    downloads: tuple[str, ...] = ()
    max_get: int = Limits().disk  # bytes of all downloads together
    parameters: Mapping[str, object] = _NO_PARAMETERS  # of a notebook
    rules: Rules | None = None  # of a notebook
    with_imports: bool = False
    keep: bool = False
    tells_end: bool = False  # how it went is to say whether the code ran to its end
    longer: float = 0.0  # seconds that the sandbox is used for after the run
    notice: Callable[[str], None] = _nobody
    details: Callable[[str], None] = _nobody  # for who wants to know more


class Job(Plan):
    """Everything one run needs: from here on only a sandbox can fail."""

    notebook: Notebook | None = None
    own: tuple[str, ...] = ()  # the requirements that the source itself has
    requires_python: str | None = None  # still to be asked of the sandbox
    unreadable: CodeError | None = None  # why there is no code to run as a cell
