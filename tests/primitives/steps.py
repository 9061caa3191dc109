"""Small steps that the tests compose."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from e2brun import Primitive, WorkflowContext
from e2brun.primitives.events import Event


async def add_one(number: int) -> int:
    return number + 1


async def double(number: int) -> int:
    return number * 2


async def say_id(number: int, context: WorkflowContext) -> str:
    return f"{number} for {context.correlation_id}"


@dataclass(frozen=True)
class Adds(Primitive[int, int]):
    amount: int

    async def execute(self, data: int, context: WorkflowContext) -> int:
        return data + self.amount


@dataclass(frozen=True)
class Hangs(Primitive[object, object]):
    """Waits until it is cancelled, and remembers that it was."""

    happened: list[str] = field(default_factory=list[str])

    async def execute(self, data: object, context: WorkflowContext) -> object:
        self.happened.append("started")
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.happened.append("cancelled")
            raise
        return data


class Recorder:
    """Subscribes, and tells what it heard in one word for each event."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def told(self) -> list[str]:
        return [f"{event.step} {type(event).__name__.lower()}" for event in self.events]
