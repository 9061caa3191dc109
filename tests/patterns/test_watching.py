"""Executions as tracing and metrics see them."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from e2brun import CodeExecutionPrimitive, Metrics, Tracing, WorkflowContext

pytestmark = pytest.mark.anyio


async def test_traced_execution_arrives_at_an_exporter() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    context = WorkflowContext(correlation_id="t-1", subscribers=[Tracing(provider)])
    executor, code = CodeExecutionPrimitive(on="local"), "print('a')\nprint('b')"
    good = await executor.execute({"code": code, "files": {"x": "y"}, "timeout": 7}, context)
    bad = await executor.execute({"code": "raise KeyError('lost')"}, context)
    first, second = exporter.get_finished_spans()
    assert first.attributes is not None
    found = dict(first.attributes)
    elapsed = found.pop("execution_time_ms")
    assert elapsed == pytest.approx(good["execution_time"] * 1000)
    assert found == {
        "correlation_id": "t-1",
        "workflow_id": context.workflow_id,
        "code_length": len(code),
        "timeout": 7.0,
        "has_files": True,
        "template": "python",
        "backend": "local",
        "sandbox_id": good["sandbox_id"],
        "execution_success": True,
        "execution_outcome": "ok",
        "output_lines": 2,
    }
    assert first.status.status_code is not StatusCode.ERROR
    assert second.attributes is not None
    assert second.attributes["execution_success"] is False
    assert second.attributes["sandbox_id"] == bad["sandbox_id"]
    assert second.status.status_code is StatusCode.ERROR
    (event,) = second.events
    assert event.attributes is not None
    assert event.attributes["exception.type"] == "KeyError"
    assert event.attributes["exception.message"] == "'lost'"


async def test_metrics_have_the_right_numbers() -> None:
    metrics = Metrics()
    context = WorkflowContext(subscribers=[metrics])
    executor = CodeExecutionPrimitive(on="local")
    total = 0.0
    for code, timeout in (("1", 30), ("2", 30), ("1 / 0", 30), ("while True: pass", 0.3)):
        result = await executor.execute({"code": code, "timeout": timeout}, context)
        total += result["execution_time"]
    value = metrics.registry.get_sample_value
    name = "e2b_executions_total"
    assert value(name, {"status": "ok", "has_error": "false"}) == 2
    assert value(name, {"status": "error", "has_error": "true"}) == 1
    assert value(name, {"status": "timeout", "has_error": "true"}) == 1
    assert value("e2b_execution_duration_seconds_count") == 4
    assert value("e2b_execution_duration_seconds_sum") == pytest.approx(total)
    assert value("e2b_execution_duration_seconds_bucket", {"le": "60.0"}) == 4
