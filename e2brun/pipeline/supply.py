"""Where a run's sandboxes come from: one backend, and on this machine one sandbox ahead.

A local sandbox takes as long to start as the stages take to be imported, and does it on another
core: so an empty one is started as soon as the tables are checked. It runs nothing until it is
handed out, to the first execution that wants just such a one; otherwise it is ended unused.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from e2brun.errors import E2brunError
from e2brun.sandbox.contract import Backend, Limits, Sandbox, SandboxSpec
from e2brun.sandbox.select import check_template, choose, is_cloud

if TYPE_CHECKING:
    from e2brun.pipeline.schema import Document
    from e2brun.settings import Settings


class Supply:
    """The backend that `settings` ask for, opened when first needed, from whatever thread. What it
    has to say waits until somebody listens."""

    def __init__(self, settings: Settings, run_id: str) -> None:
        self.name = "e2b" if is_cloud(settings) else "local"
        self._settings, self._run_id = settings, run_id
        self._lock = threading.Lock()
        self._opened: Backend | None = None
        self._ready: tuple[SandboxSpec, Sandbox] | None = None
        self._waiting: list[str] = []
        self._listener: Callable[[str], None] | None = None

    def listen(self, listener: Callable[[str], None]) -> None:
        """Say from now on to `listener` what there is to say, and what there was."""
        self._listener = listener
        while self._waiting:
            listener(self._waiting.pop(0))

    def backend(self) -> Backend:
        """Itself, open. Raises AuthenticationFailed."""
        self._open()
        return self

    def prepare(self, document: Document) -> None:
        """Start a sandbox for its first execution, where that needs nothing special. Raises
        UsageError for a template that there is not."""
        check_template(_template(document, self._settings), self._settings)
        spec = _plain_spec(document, self._settings)
        if self.name != "local" or spec is None:
            return
        try:
            sandbox = self._open().create(spec)
        except E2brunError:
            return  # whoever asks for one will be told
        self._ready = (_essence(spec), sandbox)

    def create(self, spec: SandboxSpec) -> Sandbox:
        """The one that is ready if it is such a one, or a new one."""
        with self._lock:
            ready, self._ready = self._ready, None
        if ready is not None:
            if ready[0] == _essence(spec):
                return ready[1]
            ready[1].kill()
        return self._open().create(spec)

    def close(self) -> None:
        with self._lock:
            opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    def _open(self) -> Backend:
        with self._lock:
            if self._opened is None:
                self._opened = choose(
                    self._settings, run_id=self._run_id, notice=self._notice, many=True
                )
            return self._opened

    def _notice(self, line: str) -> None:
        if self._listener is None:
            self._waiting.append(line)
        else:
            self._listener(line)


def _plain_spec(document: Document, settings: Settings) -> SandboxSpec | None:
    """The sandbox of a document whose candidates are at hand and need no packages."""
    table, base, generate = document.execute, document.sandbox, document.generate
    at_hand = generate.code is not None or generate.files
    if table is None or not at_hand or any(check.tests for check in document.check):
        return None
    tables = (table, base)
    if any(t.install or t.requirements or t.auto_install or t.python for t in tables):
        return None
    limits = Limits(
        table.memory or base.memory or settings.memory,
        table.processes or base.processes or settings.processes,
        table.disk or base.disk or settings.disk,
    )
    network = next((t.network for t in tables if t.network is not None), settings.network)
    return SandboxSpec(
        template=_template(document, settings),
        env={**base.env, **table.env},
        network=network,
        limits=limits,
        python=settings.python,
        cells=table.cell,
    )


def _template(document: Document, settings: Settings) -> str | None:
    named = document.execute.template if document.execute else None
    return named or document.sandbox.template or settings.template


def _essence(spec: SandboxSpec) -> SandboxSpec:
    """Without what makes no difference to a local sandbox: it ends with its owner."""
    return spec.but(lifetime=0.0, install_timeout=0.0, metadata={}, env=dict(spec.env))
