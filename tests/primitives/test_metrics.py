from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from e2brun import CodeExecutionPrimitive, E2brunError, Metrics, SandboxUnavailable, UsageError
from e2brun.primitives.code import output_of
from e2brun.primitives.context import WorkflowContext
from e2brun.primitives.events import Executed, Executing
from e2brun.primitives.transcript import Transcript
from e2brun.sandbox.contract import Execution, Outcome
from tests.primitives.backends import watched


def _execution(metrics: Metrics, seconds: float, outcome: str = "ok") -> None:
    span = WorkflowContext().enter(None, "step").span
    metrics(Executing(span, 1, 30, False, (), "python"))
    output = output_of(Execution(Outcome(outcome), execution_time=seconds), Transcript(0), "i")
    output["error"] = None if outcome == "ok" else "boom"
    metrics(Executed(span, output))


def _value(metrics: Metrics, line: str) -> float:
    for text in metrics.text().decode().splitlines():
        if text.startswith(line + " "):
            return float(text.rsplit(" ", 1)[1])
    return 0.0


def test_durations_fall_into_the_promised_buckets() -> None:
    metrics = Metrics()
    for seconds in (0.05, 0.3, 0.7, 3, 7, 20, 45, 90):
        _execution(metrics, seconds)
    name = "e2b_execution_duration_seconds"
    found = {
        le: _value(metrics, f'{name}_bucket{{le="{le}"}}')
        for le in ("0.1", "0.5", "1.0", "5.0", "10.0", "30.0", "60.0", "+Inf")
    }
    assert list(found.values()) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert _value(metrics, f"{name}_count") == 8
    assert _value(metrics, f"{name}_sum") == pytest.approx(166.05)


@pytest.mark.anyio
async def test_what_never_ran_is_counted_but_has_no_duration(tmp_path: Path) -> None:
    def refuse(_: int) -> None:
        raise SandboxUnavailable("no")

    metrics = Metrics()
    context = WorkflowContext(subscribers=[metrics])
    with watched(tmp_path, refuse) as backend:
        step = CodeExecutionPrimitive(backend=backend)
        with pytest.raises(SandboxUnavailable):
            await step.execute({"code": "1"}, context)
        with pytest.raises(UsageError):  # nothing was executed: nothing to count
            await step.execute({}, context)
    line = 'e2b_executions_total{has_error="true",status="infrastructure"}'
    assert _value(metrics, line) == 1
    assert _value(metrics, "e2b_execution_duration_seconds_count") == 0


def test_two_sets_of_metrics_do_not_meet() -> None:
    one, other = Metrics(), Metrics()
    _execution(one, 1)
    assert _value(other, "e2b_execution_duration_seconds_count") == 0


def test_they_can_be_written_to_a_file(tmp_path: Path) -> None:
    metrics = Metrics()
    _execution(metrics, 1)
    metrics.write(tmp_path / "e2brun.prom")
    assert b"e2b_executions_total" in (tmp_path / "e2brun.prom").read_bytes()
    with pytest.raises(E2brunError, match="the metrics cannot be written"):
        metrics.write(tmp_path / "nowhere" / "e2brun.prom")


class _Gateway(BaseHTTPRequestHandler):
    got: list[tuple[str, bytes]]

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.got.append((self.path, body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def gateway() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    got: list[tuple[str, bytes]] = []
    server = HTTPServer(("127.0.0.1", 0), type("Gateway", (_Gateway,), {"got": got}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}", got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_they_can_be_pushed(gateway: tuple[str, list[tuple[str, bytes]]]) -> None:
    metrics = Metrics()
    _execution(metrics, 1)
    address, got = gateway
    metrics.push(address, job="nightly")
    ((path, body),) = got
    assert path == "/metrics/job/nightly"
    assert b'e2b_executions_total{has_error="false",status="ok"} 1.0' in body


def test_a_gateway_that_is_not_there_is_our_error() -> None:
    with pytest.raises(E2brunError, match="the metrics cannot be sent"):
        Metrics().push("127.0.0.1:1", timeout=2)
