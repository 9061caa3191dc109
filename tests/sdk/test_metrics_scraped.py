"""What Prometheus finds at /metrics of a service."""

from __future__ import annotations

import httpx
import pytest

from tests.sdk.serving import Serving


def _scraped(service: Serving) -> dict[str, float]:
    headers = {"Authorization": f"Bearer {service.key}"}
    text = httpx.get(f"{service.url}/metrics", headers=headers).raise_for_status().text
    parser = pytest.importorskip("prometheus_client.parser")
    return {
        " ".join(
            [sample.name, *(f"{k}={v}" for k, v in sorted(sample.labels.items()))]
        ): sample.value
        for family in parser.text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_executions_are_counted(service: Serving) -> None:
    from e2b_code_interpreter import Sandbox

    before = _scraped(service)
    with Sandbox.create() as sandbox:
        sandbox.run_code("1+1")
        sandbox.run_code("1/0")
        sandbox.run_code("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
        sandbox.run_code("import time; time.sleep(0.2)")
        after = _scraped(service)

    def grown(name: str) -> float:
        return after.get(name, 0) - before.get(name, 0)

    executions = "e2b_executions_total has_error="
    assert grown(f"{executions}false status=ok") == 2
    assert grown(f"{executions}true status=error") == 1
    assert grown(f"{executions}true status=killed") == 1
    assert grown("e2b_execution_duration_seconds_count") == 4
    assert grown("e2b_execution_duration_seconds_bucket le=0.1") in (2, 3)
    assert after["e2b_sandboxes state=running"] >= 1


def test_the_numbers_need_the_key(service: Serving) -> None:
    assert httpx.get(f"{service.url}/metrics").status_code == 401
