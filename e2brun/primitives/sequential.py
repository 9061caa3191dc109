"""One step after the other: `a >> b`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from e2brun.primitives.base import A, B, In, Next, Out, Primitive
from e2brun.primitives.context import WorkflowContext

AnyPrimitive = Primitive[Any, Any]  # what lies between the first input and the last output


@dataclass(frozen=True)
class SequentialPrimitive(Primitive[In, Out]):
    """Run `steps` in order, each on the output of the one before."""

    steps: tuple[AnyPrimitive, ...]

    def __post_init__(self) -> None:
        if not self.steps:
            raise ValueError("a sequence needs a step")

    async def execute(self, data: In, context: WorkflowContext) -> Out:
        """The output of the last step."""
        passed: Any = data
        for step in self.steps:
            passed = await step.execute(passed, context)
        output: Out = passed
        return output


def chain(first: Primitive[A, Next], then: Primitive[Next, B]) -> SequentialPrimitive[A, B]:
    """Both in one flat sequence."""
    return SequentialPrimitive((*_steps(first), *_steps(then)))


def _steps(step: AnyPrimitive) -> tuple[AnyPrimitive, ...]:
    return step.steps if type(step) is SequentialPrimitive else (step,)
