from __future__ import annotations

import asyncio
import builtins
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from e2brun import (
    CachePrimitive,
    Metrics,
    MockPrimitive,
    RetryPrimitive,
    SandboxLost,
    Tracing,
    UsageError,
    create_test_context,
    otlp_provider,
)
from tests.primitives.steps import Adds, Hangs

pytestmark = pytest.mark.anyio


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracing(exporter: InMemorySpanExporter) -> Tracing:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return Tracing(provider)


def _by_name(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in exporter.get_finished_spans()}


async def test_spans_are_nested_as_the_steps_are(
    tracing: Tracing, exporter: InMemorySpanExporter
) -> None:
    await (Adds(1) >> MockPrimitive(2)).execute(0, create_test_context(tracing))
    spans = _by_name(exporter)
    outer = spans["SequentialPrimitive"]
    assert outer.parent is None
    for inner in (spans["Adds"], spans["MockPrimitive"]):
        assert inner.parent is not None
        assert outer.context is not None
        assert inner.parent.span_id == outer.context.span_id
        assert inner.start_time is not None
        assert outer.start_time is not None
        assert inner.end_time is not None
        assert outer.start_time <= inner.start_time <= inner.end_time
        assert dict(inner.attributes or {})["correlation_id"] == "test-correlation"


async def test_what_a_step_raises_is_recorded(
    tracing: Tracing, exporter: InMemorySpanExporter
) -> None:
    with pytest.raises(ValueError, match="no"):
        await MockPrimitive(side_effect=ValueError("no")).execute(0, create_test_context(tracing))
    span = _by_name(exporter)["MockPrimitive"]
    assert span.status.status_code is StatusCode.ERROR
    assert dict(span.events[0].attributes or {})["exception.message"] == "no"


async def test_retries_cache_hits_and_cancellations_show(
    tracing: Tracing, exporter: InMemorySpanExporter
) -> None:
    context = create_test_context(tracing)
    flaky = MockPrimitive(side_effect=[SandboxLost("gone"), 1])
    cache = CachePrimitive(RetryPrimitive(flaky, initial_delay=0.001), 60)
    await cache.execute(0, context)
    assert [event.name for event in _by_name(exporter)["RetryPrimitive"].events] == ["retry"]
    await cache.execute(0, context)
    assert dict(_by_name(exporter)["CachePrimitive"].attributes or {})["cached"] is True
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(Hangs().execute(0, context), 0.01)
    assert dict(_by_name(exporter)["Hangs"].attributes or {})["cancelled"] is True
    assert tracing._spans == {}


def test_the_service_is_named_and_the_standard_variables_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    provider = otlp_provider("mine")
    assert provider.resource.attributes["service.name"] == "mine"
    provider.shutdown()
    monkeypatch.setenv("OTEL_SERVICE_NAME", "theirs")
    provider = otlp_provider("mine")
    assert provider.resource.attributes["service.name"] == "theirs"
    provider.shutdown()


def test_without_the_extra_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith(("opentelemetry", "prometheus_client")):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return original(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    for make, extra in ((Tracing, "otel"), (otlp_provider, "otel"), (Metrics, "prometheus")):
        with pytest.raises(UsageError, match=rf"installed: pip install 'e2brun\[{extra}\]'"):
            make()
