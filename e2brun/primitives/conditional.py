"""One of two steps, by a condition on the data."""

from __future__ import annotations

from dataclasses import dataclass

from e2brun.primitives.base import Choice, In, Out, Primitive, decide
from e2brun.primitives.context import WorkflowContext


@dataclass(frozen=True)
class ConditionalPrimitive(Primitive[In, Out]):
    """Run `then` where `condition(data)` or `condition(data, context)` holds, else `otherwise`."""

    condition: Choice[In, bool]
    then: Primitive[In, Out]
    otherwise: Primitive[In, Out]

    async def execute(self, data: In, context: WorkflowContext) -> Out:
        """The output of the one that was chosen."""
        holds = decide(self.condition, data, context)
        return await (self.then if holds else self.otherwise).execute(data, context)
