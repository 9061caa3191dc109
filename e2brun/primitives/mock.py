"""A step for tests: it answers as it is told and remembers what it was asked."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

from e2brun.primitives.base import Primitive, takes_context
from e2brun.primitives.context import WorkflowContext
from e2brun.primitives.events import Subscriber

SideEffect = BaseException | type[BaseException] | Callable[..., object] | Iterable[object]


class Call(NamedTuple):
    """What a mock was asked."""

    data: Any
    context: WorkflowContext


@dataclass(frozen=True)
class MockPrimitive(Primitive[Any, Any]):
    """Returns `return_value`, after `side_effect` as with unittest.mock.

    `side_effect` is an exception to raise; a function, async or not, of the data (and the
    context) whose result counts unless it is None; or the answers one by one, of which
    exceptions are raised.
    """

    return_value: object = None
    side_effect: SideEffect | None = None
    calls: list[Call] = field(default_factory=list[Call], init=False, repr=False)
    _answers: Iterator[object] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        effect: object = self.side_effect
        if isinstance(effect, Iterable) and not isinstance(effect, type):
            object.__setattr__(self, "_answers", iter(cast("Iterable[object]", effect)))

    @property
    def call_count(self) -> int:
        return len(self.calls)

    async def execute(self, data: Any, context: WorkflowContext) -> Any:
        self.calls.append(Call(data, context))
        effect = self.side_effect
        if self._answers is not None:
            return _answer(self._answers)
        if isinstance(effect, BaseException) or _is_exception(effect):
            raise cast("BaseException", effect)
        if not callable(effect):
            return self.return_value
        result = effect(data, context) if takes_context(effect) else effect(data)
        if inspect.isawaitable(result):
            result = await result
        return self.return_value if result is None else result


def _is_exception(effect: object) -> bool:
    return isinstance(effect, type) and issubclass(effect, BaseException)


def _answer(answers: Iterator[object]) -> object:
    try:
        answer = next(answers)
    except StopIteration:  # would end a coroutine in silence
        raise AssertionError("the mock was asked more often than it has answers") from None
    if isinstance(answer, BaseException) or _is_exception(answer):
        raise cast("BaseException", answer)
    return answer


def create_test_context(
    *subscribers: Subscriber,
    correlation_id: str = "test-correlation",
    workflow_id: str = "test-workflow",
    metadata: Mapping[str, object] | None = None,
    state: dict[str, object] | None = None,
) -> WorkflowContext:
    """A context with ids that are the same in every test."""
    return WorkflowContext(
        correlation_id,
        workflow_id,
        metadata=dict(metadata or {}),
        state={} if state is None else state,
        subscribers=subscribers,
    )
