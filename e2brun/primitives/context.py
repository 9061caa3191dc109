"""What travels through a workflow beside the data: ids, metadata, shared state, subscribers."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from e2brun.primitives.events import Event, Noticed, Span, Subscriber


def new_id() -> str:
    """32 random hexadecimal digits."""
    return os.urandom(16).hex()


@dataclass(frozen=True)
class WorkflowContext:
    """One workflow's ids, what its steps share (`state`), and who listens to them.

    `state` is one dict for the context and all its children; `metadata` is only added to.
    """

    correlation_id: str = field(default_factory=new_id)
    workflow_id: str = field(default_factory=new_id)
    metadata: Mapping[str, object] = field(default_factory=dict[str, object])
    state: dict[str, object] = field(default_factory=dict[str, object])
    subscribers: Sequence[Subscriber] = ()
    _span: Span | None = field(default=None, repr=False)
    _running: object = field(default=None, repr=False, compare=False)

    @property
    def span(self) -> Span:
        """Where in the workflow we are: the running step, or the root above all steps."""
        return self._span or Span("", "", None, self.correlation_id, self.workflow_id)

    def child(
        self,
        *,
        correlation_id: str | None = None,
        workflow_id: str | None = None,
        metadata: Mapping[str, object] | None = None,
        subscribers: Sequence[Subscriber] = (),
    ) -> WorkflowContext:
        """A context at the same place: the same state, more metadata, more subscribers."""
        correlation_id = correlation_id or self.correlation_id
        workflow_id = workflow_id or self.workflow_id
        span = self._span
        if span is not None:
            span = replace(span, correlation_id=correlation_id, workflow_id=workflow_id)
        return replace(
            self,
            correlation_id=correlation_id,
            workflow_id=workflow_id,
            metadata={**self.metadata, **(metadata or {})},
            subscribers=(*self.subscribers, *subscribers),
            _span=span,
        )

    def enter(self, step: object, name: str) -> WorkflowContext:
        """The context for one execution of `step`: a span of its own below this one."""
        parent = self._span.span_id if self._span is not None else None
        span = Span(name, os.urandom(8).hex(), parent, self.correlation_id, self.workflow_id)
        return replace(self, _span=span, _running=step)

    def runs(self, step: object) -> bool:
        """Whether this is the context that `enter` made for this very step."""
        return self._running is step

    def emit(self, event: Event) -> None:
        """Tell every subscriber; what one of them raises is the loop's to report. Where there is
        none, a line that is for somebody goes to the log."""
        if isinstance(event, Noticed) and not self.subscribers:
            logging.getLogger("e2brun").warning(event.line)
        for subscriber in self.subscribers:
            try:
                subscriber(event)
            except Exception as error:  # noqa: BLE001 - whoever listens must not break the run
                _report(error, subscriber)


def _report(error: Exception, subscriber: Subscriber) -> None:
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:  # emitted outside of a run: there is nobody to tell
        return
    message = "a subscriber to workflow events raised"
    loop.call_exception_handler({"message": message, "exception": error, "subscriber": subscriber})
