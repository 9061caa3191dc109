"""A job in a sandbox of its own, in a thread beside the event loop, and what is told of it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

from e2brun.errors import E2brunError, SandboxLost
from e2brun.jobs.run import Outputs, run
from e2brun.primitives.code import CodeOutput, output_of
from e2brun.primitives.events import Event, Executed, Executing, Noticed, SandboxReady
from e2brun.primitives.sandboxes import listener
from e2brun.primitives.transcript import Transcript, known
from e2brun.sandbox.contract import Backend, Execution, Sandbox, SandboxSpec
from e2brun.sandbox.threads import in_thread

if TYPE_CHECKING:
    from e2brun.jobs.job import Job
    from e2brun.primitives.context import WorkflowContext

T = TypeVar("T")


class Leased:
    """One step's run, whose events are the step's, and its one sandbox."""

    def __init__(self, context: WorkflowContext) -> None:
        self._context, self._loop = context, asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._sandbox: Sandbox | None = None
        self._stopped = False

    def tell(self, event: Event) -> None:
        """Emit it, from any thread."""
        with suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(self._context.emit, event)

    def notice(self, line: str) -> None:
        self.tell(Noticed(self._context.span, line))

    async def within(self, executing: Executing, work: Callable[[], T]) -> T:
        """What `work` returns or raises, in a thread; cancellation ends its sandbox."""

        def heard() -> T:
            listener.set(self.notice)
            return work()

        self._context.emit(executing)
        return await in_thread(heard, stop=self._stop)

    @contextmanager
    def sandbox(self, backend: Backend, spec: SandboxSpec) -> Generator[Sandbox]:
        """One from its creation to its end. Raises E2brunError, with its id in a note."""
        ids = {name: getattr(self._context, name) for name in ("correlation_id", "workflow_id")}
        sandbox = backend.create(spec.but(metadata=ids))
        with self._lock:
            self._sandbox = sandbox
            stopped = self._stopped
        try:
            if stopped:
                raise SandboxLost("it was stopped before it was used")
            yield sandbox
        except E2brunError as error:
            error.add_note(f"sandbox {sandbox.id}")
            raise
        finally:
            sandbox.kill()

    def run(
        self, job: Job, sandbox: Sandbox, max_output: int
    ) -> tuple[Execution, Transcript, CodeOutput]:
        """Run it, and tell of it. Raises SandboxError: it did not, or how it ended is unknown."""
        span = self._context.span
        self.tell(SandboxReady(span, sandbox.id, sandbox.backend, sandbox.template))
        transcript = Transcript(max_output)
        ended = run(job, sandbox, Outputs(transcript.stdout, transcript.stderr)).execution
        execution = transcript.within(ended)
        output = output_of(execution, transcript, sandbox.id)
        self.tell(Executed(span, output))
        return known(execution), transcript, output

    def _stop(self) -> None:
        """From any thread, at any moment: one that is being created is ended when it is there."""
        with self._lock:
            self._stopped = True
            sandbox = self._sandbox
        if sandbox is not None:
            sandbox.kill()
