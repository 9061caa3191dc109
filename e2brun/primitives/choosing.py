"""One of several steps, by what the data say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from e2brun.errors import UsageError
from e2brun.primitives.base import Choice, In, Out, Primitive, decide
from e2brun.primitives.context import WorkflowContext
from e2brun.values import suggestion


@dataclass(frozen=True)
class ConditionalPrimitive(Primitive[In, Out]):
    """Run `then` where `condition(data)` or `condition(data, context)` holds, else `otherwise`."""

    condition: Choice[In, bool]
    then: Primitive[In, Out]
    otherwise: Primitive[In, Out]

    async def execute(self, data: In, context: WorkflowContext) -> Out:
        holds = decide(self.condition, data, context)
        return await (self.then if holds else self.otherwise).execute(data, context)


@dataclass(frozen=True)
class RouterPrimitive(Primitive[In, Out]):
    """Run the route that `router_fn(data)` or `router_fn(data, context)` names.

    `default` (a step, or the name of a route) takes what no route is for; without it, UsageError.
    """

    routes: Mapping[str, Primitive[In, Out]]
    router_fn: Choice[In, str]
    default: Primitive[In, Out] | str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.default, str) and self.default not in self.routes:
            raise UsageError(f"no route {self.default!r}{suggestion(self.default, self.routes)}")

    async def execute(self, data: In, context: WorkflowContext) -> Out:
        chosen = decide(self.router_fn, data, context)
        return await self._route(chosen).execute(data, context)

    def _route(self, name: str) -> Primitive[In, Out]:
        route = self.routes.get(name)
        if route is not None:
            return route
        match self.default:
            case None:
                raise UsageError(f"no route {name!r}{suggestion(name, self.routes)}")
            case str(default):
                return self.routes[default]
            case step:
                return step
