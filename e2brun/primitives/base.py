"""`Primitive`: one step from an input to an output, and what its operators make of several."""

from __future__ import annotations

import asyncio
import functools
import inspect
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Generic, TypeAlias, TypeVar, cast, overload

from e2brun.primitives.context import WorkflowContext
from e2brun.primitives.events import Cancelled, Failed, Finished, Started

In = TypeVar("In", contravariant=True)  # noqa: PLC0105 - read in every signature: short
Out = TypeVar("Out", covariant=True)  # noqa: PLC0105
Next = TypeVar("Next")
Before = TypeVar("Before")
Other = TypeVar("Other")
A = TypeVar("A")
B = TypeVar("B")
Item = TypeVar("Item")

AnyPrimitive: TypeAlias = "Primitive[Any, Any]"  # what lies between first input and last output
AsyncFunction = Callable[[A], Awaitable[B]] | Callable[[A, WorkflowContext], Awaitable[B]]
Choice = Callable[[A], B] | Callable[[A, WorkflowContext], B]
"""A plain function that decides something from the data, and the context if it wants it."""


class Primitive(ABC, Generic[In, Out]):
    """A step: holds its settings, keeps no state of a run, and may be run many times at once.

    A subclass writes `execute`. Whoever calls it, the step's events are emitted around it.
    """

    @property
    def name(self) -> str:
        """What events and messages call it."""
        return type(self).__name__

    @abstractmethod
    async def execute(self, data: In, context: WorkflowContext) -> Out:
        """Do it. `context` is the one for this execution: its span is this step's. (A caller that
        gives none gets a new one.)"""

    def __init_subclass__(cls, **options: object) -> None:
        super().__init_subclass__(**options)
        execute = cls.__dict__.get("execute")
        # A dataclass with slots makes the class anew: once is enough.
        if execute is not None and not hasattr(execute, "__wrapped__"):
            cls.execute = _observed(execute)  # type: ignore[assignment,method-assign]

    def __rshift__(
        self, then: Primitive[Out, Next] | AsyncFunction[Out, Next]
    ) -> Primitive[In, Next]:
        return chain(self, lift(then))

    def __rrshift__(self, before: AsyncFunction[Before, In]) -> Primitive[Before, Out]:
        return chain(lift(before), self)

    def __or__(
        self, other: Primitive[In, Other] | AsyncFunction[In, Other]
    ) -> Primitive[In, list[Out | Other]]:
        return beside(self, lift(other))

    def __ror__(self, other: AsyncFunction[In, Other]) -> Primitive[In, list[Other | Out]]:
        return beside(lift(other), self)


def _observed(
    execute: Callable[[Any, Any, WorkflowContext], Awaitable[Any]],
) -> Callable[[Any, Any, WorkflowContext], Awaitable[Any]]:
    """`execute` with its events. Its types stay those of the subclass: hence `Any` in here."""

    @functools.wraps(execute)
    async def observed(
        self: Primitive[Any, Any], data: object, context: WorkflowContext | None = None
    ) -> object:
        context = context or WorkflowContext()
        if context.runs(self):  # a subclass that calls its parent's `execute`: still one step
            return await execute(self, data, context)
        inside = context.enter(self, self.name)
        span, started = inside.span, monotonic()
        inside.emit(Started(span, time=started))
        try:
            output = await execute(self, data, inside)
        except asyncio.CancelledError:
            inside.emit(Cancelled(span, started))
            raise
        except BaseException as error:
            inside.emit(Failed(span, started, error))
            raise
        inside.emit(Finished(span, started))
        return output

    return observed


@dataclass(frozen=True)
class SequentialPrimitive(Primitive[In, Out]):
    """Run `steps` in order, each on the output of the one before."""

    steps: tuple[AnyPrimitive, ...]

    def __post_init__(self) -> None:
        if not self.steps:
            raise ValueError("a sequence needs a step")

    async def execute(self, data: In, context: WorkflowContext) -> Out:
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


@dataclass(frozen=True)
class ParallelPrimitive(Primitive[In, list[Item]]):
    """Run `branches` at once, outputs in their order; the first failure cancels the rest.

    With `gather` no failure does: the exception stands in the list where an output would.
    """

    branches: tuple[Primitive[In, Item], ...]
    gather: bool = False

    async def execute(self, data: In, context: WorkflowContext) -> list[Item]:
        runs = (branch.execute(data, context) for branch in self.branches)
        if self.gather:
            runs = (collected(run) for run in runs)
        return await together(runs)


def beside(one: Primitive[A, B], other: Primitive[A, Other]) -> ParallelPrimitive[A, B | Other]:
    """Both among the branches of one flat parallel step."""
    return ParallelPrimitive((*_branches(one), *_branches(other)))


def _branches(step: Primitive[A, Any]) -> tuple[Primitive[A, Any], ...]:
    one = (step,)
    if type(step) is ParallelPrimitive and not step.gather:
        return cast("ParallelPrimitive[A, Any]", step).branches
    return one


@dataclass(frozen=True)
class FunctionPrimitive(Primitive[In, Out]):
    """An async function as a step. Raises TypeError for what is no such function."""

    function: Callable[..., Awaitable[Out]]
    _with_context: bool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        function: object = self.function
        if not _is_async(function):
            raise TypeError(f"{function!r} is no step: write it as `async def`")
        object.__setattr__(self, "_with_context", takes_context(self.function))

    @property
    def name(self) -> str:
        function: object = self.function
        while isinstance(function, functools.partial):
            function = function.func
        return str(getattr(function, "__name__", type(function).__name__))

    async def execute(self, data: In, context: WorkflowContext) -> Out:
        if self._with_context:
            return await self.function(data, context)
        return await self.function(data)


@overload
def primitive(function: Callable[[A], Awaitable[B]]) -> FunctionPrimitive[A, B]: ...
@overload
def primitive(
    function: Callable[[A, WorkflowContext], Awaitable[B]],
) -> FunctionPrimitive[A, B]: ...
def primitive(function: AsyncFunction[A, B]) -> FunctionPrimitive[A, B]:
    """Make a step of an async function of the data, or of the data and the context."""
    return FunctionPrimitive(function)


def lift(step: Primitive[A, B] | AsyncFunction[A, B]) -> Primitive[A, B]:
    """`step` itself, or the step an async function stands for."""
    if isinstance(step, Primitive):
        return step  # pyright: ignore[reportUnknownVariableType] # an async function is none
    return FunctionPrimitive(step)


def takes_context(function: Callable[..., object]) -> bool:
    """Whether it wants the context beside the data. TypeError: it wants more, or nothing."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # some of C's have no signature
        return False
    places = [p for p in parameters if p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD}]
    needed = [p for p in places if p.default is p.empty]
    star = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    keywords = [p for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    if len(needed) > 2 or keywords or not (places or star):
        raise TypeError(f"{function!r} is no step: it takes the data, and the context if it wants")
    return len(needed) == 2 or (len(places) > 1 and places[1].name in {"context", "ctx"})


def decide(function: Choice[A, B], data: A, context: WorkflowContext) -> B:
    """Call a plain function with the data, and the context if it wants it."""
    chosen: Callable[..., B] = function
    return chosen(data, context) if takes_context(chosen) else chosen(data)


def _is_async(function: object) -> bool:
    return inspect.iscoroutinefunction(function) or (
        callable(function) and inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004
    )


async def together(runs: Iterable[Coroutine[Any, Any, Item]]) -> list[Item]:
    """The results in order. The first failure cancels the rest and is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(run) for run in runs]
    except BaseExceptionGroup as failures:
        # In order of time; what came after it is how the others took being cancelled.
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


async def collected(run: Coroutine[Any, Any, Item]) -> Item:
    """What it returns, or the exception it raises: whoever gathers types them as they like."""
    try:
        return await run
    except Exception as error:  # noqa: BLE001 - to collect failures is the order
        return cast("Item", error)
