"""Another way, when the first one fails."""

from __future__ import annotations

from dataclasses import dataclass

from e2brun.primitives.base import In, Out, Primitive
from e2brun.primitives.context import WorkflowContext
from e2brun.primitives.events import FellBack
from e2brun.primitives.retry import failed


@dataclass(frozen=True, init=False)
class FallbackPrimitive(Primitive[In, Out]):
    """Run `primary`, and when it raises one of `on`, each of `fallbacks` until one does not.

    What the last one raises or returns counts. Code that failed is a result and moves nothing,
    unless `on_failed_code`.
    """

    primary: Primitive[In, Out]
    fallbacks: tuple[Primitive[In, Out], ...]
    on: tuple[type[Exception], ...]
    on_failed_code: bool

    def __init__(
        self,
        primary: Primitive[In, Out],
        *fallbacks: Primitive[In, Out],
        on: tuple[type[Exception], ...] = (Exception,),
        on_failed_code: bool = False,
    ) -> None:
        if not fallbacks:
            raise ValueError("there is no fallback")
        object.__setattr__(self, "primary", primary)
        object.__setattr__(self, "fallbacks", fallbacks)
        object.__setattr__(self, "on", on)
        object.__setattr__(self, "on_failed_code", on_failed_code)

    async def execute(self, data: In, context: WorkflowContext) -> Out:
        step = self.primary
        for following in self.fallbacks:
            failure: Exception | None = None
            try:
                output = await step.execute(data, context)
            except self.on as error:
                failure = error
            else:
                if not (self.on_failed_code and failed(output)):
                    return output
            context.emit(FellBack(context.span, following.name, failure))
            step = following
        return await step.execute(data, context)
