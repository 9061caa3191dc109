"""A limit on how long a step may take."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import cast

from e2brun.errors import E2brunError
from e2brun.primitives.base import In, Out, Primitive
from e2brun.primitives.context import WorkflowContext
from e2brun.primitives.events import Event, SandboxReady


class StepTimeout(E2brunError, TimeoutError):
    """A step took longer than it may; it was cancelled."""

    hint = "Give it more time, or less to do."

    def __init__(self, step: str, seconds: float) -> None:
        super().__init__(f"{step} took longer than {seconds:g} s")


@dataclass(frozen=True)
class TimeoutPrimitive(Primitive[In, Out]):
    """Cancel `primitive` when it outlives `timeout_seconds`, and raise StepTimeout.

    With `raise_on_timeout=False` the output is a CodeOutput of outcome `timeout` instead: for
    steps whose output is one as well.
    """

    primitive: Primitive[In, Out]
    timeout_seconds: float
    raise_on_timeout: bool = True

    async def execute(self, data: In, context: WorkflowContext) -> Out:
        seen: list[str] = []

        def remember(event: Event) -> None:
            if isinstance(event, SandboxReady):
                seen.append(event.sandbox_id)

        deadline = asyncio.timeout(self.timeout_seconds)
        try:
            async with deadline:
                inside = context.child(subscribers=(remember,))
                return await self.primitive.execute(data, inside)
        except TimeoutError as error:
            if not deadline.expired():  # raised by the step itself, not by our clock
                raise
            timeout = StepTimeout(self.primitive.name, self.timeout_seconds)
            if self.raise_on_timeout:
                raise timeout from error
            from e2brun.primitives.code import output_of
            from e2brun.primitives.transcript import Transcript
            from e2brun.sandbox.contract import Execution, Outcome

            late = Execution(
                Outcome.TIMEOUT, execution_time=self.timeout_seconds, detail=str(timeout)
            )
            sandbox_id = seen[-1] if seen else ""
            # Out is a CodeOutput here: the class says so, and no type can.
            return cast("Out", output_of(late, Transcript(0), sandbox_id))
