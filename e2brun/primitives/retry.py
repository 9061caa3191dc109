"""Once more, after a fault that may pass; or another way."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from time import monotonic

from e2brun.errors import AuthenticationFailed, SandboxError, Unsupported, UsageError
from e2brun.primitives.base import In, Out, Primitive
from e2brun.primitives.context import WorkflowContext
from e2brun.primitives.events import FellBack, Retried
from e2brun.values import is_mapping

_NEVER = (UsageError, AuthenticationFailed, Unsupported)  # the next answer would be the same


@dataclass(frozen=True)
class RetryPrimitive(Primitive[In, Out]):
    """Run `primitive` again, at most `max_retries` times, when it raises one of `on`.

    Code that failed is a result and not run again, unless `retry_failed_code`; the last result
    is then the output, whatever it says. Cancellation and mistakes of usage or authentication
    are never retried. `deadline`: seconds after which no other attempt begins (a running one
    goes on). Delays: `initial_delay` times `factor` each time, at most `longest_delay`, less up
    to the share `jitter` by chance.
    """

    primitive: Primitive[In, Out]
    max_retries: int = 3
    on: tuple[type[Exception], ...] = (SandboxError,)
    initial_delay: float = 0.5
    factor: float = 2.0
    jitter: float = 0.5
    longest_delay: float = 30.0
    deadline: float | None = 300.0
    retry_failed_code: bool = False

    async def execute(self, data: In, context: WorkflowContext) -> Out:
        started = monotonic()
        attempt = 1
        while True:
            failure: Exception | None = None
            try:
                output = await self.primitive.execute(data, context)
            except self.on as error:
                delay = self._delay(attempt, started)
                if delay is None or isinstance(error, _NEVER):
                    if attempt > 1:
                        error.add_note(f"given up after {attempt} attempts")
                    raise
                failure = error
            else:
                delay = self._delay(attempt, started)
                if delay is None or not (self.retry_failed_code and failed(output)):
                    return output
            context.emit(Retried(context.span, attempt, self.max_retries, delay, failure))
            await asyncio.sleep(delay)
            attempt += 1

    def _delay(self, attempt: int, started: float) -> float | None:
        """Seconds to wait after this attempt; None when it was the last."""
        if attempt > self.max_retries:
            return None
        delay = backoff(attempt, self.initial_delay, self.factor, self.longest_delay)
        delay *= 1 - self.jitter * random.random()  # noqa: S311 - not a secret
        late = self.deadline is not None and monotonic() + delay - started > self.deadline
        return None if late else delay


def backoff(attempt: int, first: float, factor: float, longest: float) -> float:
    """Seconds after attempt 1, 2, ..."""
    try:
        return min(first * factor ** (attempt - 1), longest)
    except OverflowError:
        return longest


def failed(output: object) -> bool:
    """Whether it is a result that says the code failed."""
    return is_mapping(output) and output.get("success") is False


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
