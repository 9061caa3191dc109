"""A job in a sandbox of its own, in a thread beside the event loop, and what is told of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from e2brun.errors import SandboxError, SandboxLost
from e2brun.jobs.run import Outputs, run
from e2brun.primitives.code import CodeOutput, output_of
from e2brun.primitives.events import Event, Executed, Executing, Noticed, SandboxReady
from e2brun.primitives.sandboxes import SandboxLease
from e2brun.primitives.threads import in_thread
from e2brun.primitives.transcript import Transcript
from e2brun.sandbox.contract import Backend, Execution, Outcome, Sandbox, SandboxSpec

if TYPE_CHECKING:
    from e2brun.jobs.job import Job
    from e2brun.primitives.context import WorkflowContext

T = TypeVar("T")


class Leased:
    """One step's run, whose events are the step's."""

    def __init__(self, context: WorkflowContext) -> None:
        self._context, self._loop = context, asyncio.get_running_loop()

    def tell(self, event: Event) -> None:
        """Emit it, from any thread."""
        with suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(self._context.emit, event)

    def notice(self, line: str) -> None:
        """Tell it as a notice."""
        self.tell(Noticed(self._context.span, line))

    async def use(
        self,
        executing: Executing,
        backend: Callable[[], Backend],
        spec: Callable[[], SandboxSpec],
        use: Callable[[Sandbox], T],
    ) -> T:
        """What `use` makes of the sandbox; cancellation ends it. Raises E2brunError."""
        self._context.emit(executing)
        lease = SandboxLease(backend, spec, use, self.notice)
        return await in_thread(lease.run, stop=lease.stop)

    def run(
        self, job: Job, sandbox: Sandbox, max_output: int
    ) -> tuple[Execution, Transcript, CodeOutput]:
        """Run it, and tell of it.

        Raises SandboxError: it did not run, or nobody can tell how it ended.
        """
        span = self._context.span
        self.tell(SandboxReady(span, sandbox.id, sandbox.backend, sandbox.template))
        transcript = Transcript(max_output)
        execution = run(job, sandbox, Outputs(transcript.stdout, transcript.stderr)).execution
        output = output_of(execution, transcript, sandbox)
        self.tell(Executed(span, output))
        if execution.outcome is Outcome.LOST:
            raise SandboxLost(execution.detail or "the sandbox went away")
        if execution.outcome is Outcome.INFRASTRUCTURE:
            raise SandboxError(execution.detail or "nobody can tell how the code ended")
        return execution, transcript, output
