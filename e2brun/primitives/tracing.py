"""Workflow events as OpenTelemetry spans: a subscriber. Needs the extra `otel`."""

from __future__ import annotations

from time import monotonic_ns, time_ns
from typing import TYPE_CHECKING

from e2brun.primitives.events import (
    Cached,
    Cancelled,
    Ended,
    Event,
    Executed,
    Executing,
    Failed,
    FellBack,
    Retried,
    SandboxReady,
    Started,
)
from e2brun.primitives.extras import needs_extra

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider as SdkTracerProvider
    from opentelemetry.trace import Span, TracerProvider

    from e2brun.primitives.code import CodeOutput


class Tracing:
    """One span for each execution of a step, below that of the step it is part of.

    The outermost ones are below whatever span is current. Spans of code have the attributes
    code_length, timeout, has_files, sandbox_id, execution_success, execution_outcome,
    execution_time_ms and output_lines; code itself and what it prints are in none, its error is.
    Raises UsageError without the extra.
    """

    def __init__(self, provider: TracerProvider | None = None) -> None:
        """`provider` is by default the process's own."""
        with needs_extra("otel", "tracing"):
            from opentelemetry import trace

        self._trace = trace
        self._tracer = trace.get_tracer("e2brun", tracer_provider=provider)
        self._spans: dict[str, Span] = {}
        self._offset = time_ns() - monotonic_ns()  # events tell monotonic time

    def __call__(self, event: Event) -> None:
        if isinstance(event, Started):
            self._start(event)
            return
        span = self._spans.get(event.span_id)
        if span is None:  # it came after the end: a thread was slower than the cancellation
            return
        match event:
            case Executing():
                span.set_attribute("code_length", event.code_length)
                span.set_attribute("timeout", event.timeout)
                span.set_attribute("has_files", event.has_files)
                span.set_attribute("template", event.template)
            case SandboxReady():
                span.set_attribute("sandbox_id", event.sandbox_id)
                span.set_attribute("backend", event.backend)
            case Executed():
                self._executed(span, event.result)
            case Cached() | Retried() | FellBack():
                self._decided(span, event)
            case Ended():
                self._end(span, event)
            case _:
                pass

    def _start(self, event: Started) -> None:
        parent = self._spans.get(event.parent_span_id or "")
        self._spans[event.span_id] = self._tracer.start_span(
            event.step,
            context=self._trace.set_span_in_context(parent) if parent is not None else None,
            attributes={
                "correlation_id": event.correlation_id,
                "workflow_id": event.span.workflow_id,
            },
            start_time=self._nanoseconds(event.time),
        )

    def _executed(self, span: Span, result: CodeOutput) -> None:
        span.set_attribute("sandbox_id", result["sandbox_id"])
        span.set_attribute("execution_success", result["success"])
        span.set_attribute("execution_outcome", result["outcome"])
        span.set_attribute("execution_time_ms", result["execution_time"] * 1000)
        span.set_attribute("output_lines", len(result["logs"]))
        error = result["error"]
        if error is not None:
            # Not record_exception: what the user's code raised is no exception of this process.
            line = error.rstrip().rsplit("\n", 1)[-1]
            name, _, message = line.partition(": ")
            span.add_event(
                "exception",
                {
                    "exception.type": name,
                    "exception.message": message,
                    "exception.stacktrace": error,
                },
            )
            span.set_status(self._trace.StatusCode.ERROR, line)

    def _decided(self, span: Span, event: Cached | Retried | FellBack) -> None:
        match event:
            case Cached():
                span.set_attribute("cached", True)
            case Retried():
                span.add_event(
                    "retry",
                    {"attempt": event.attempt, "delay": event.delay, "reason": str(event.error)},
                )
            case FellBack():
                span.add_event("fallback", {"to": event.to, "reason": str(event.error)})

    def _end(self, span: Span, event: Ended) -> None:
        if isinstance(event, Failed):
            span.record_exception(event.error)
            span.set_status(self._trace.StatusCode.ERROR, str(event.error))
        elif isinstance(event, Cancelled):
            span.set_attribute("cancelled", True)
        span.end(self._nanoseconds(event.time))
        del self._spans[event.span_id]

    def _nanoseconds(self, monotonic: float) -> int:
        return int(monotonic * 1e9) + self._offset


def otlp_provider(service_name: str = "e2brun") -> SdkTracerProvider:
    """A provider that sends spans where the standard OTEL_ variables say (OTLP over HTTP).

    Call its `shutdown` at the end, which sends what is left. Raises UsageError without the extra.
    """
    with needs_extra("otel", "tracing"):
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

    named = Resource({SERVICE_NAME: service_name}).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=named)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider
