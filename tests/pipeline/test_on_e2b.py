"""A pipeline with a key, against a server on loopback that answers as E2B does."""

from __future__ import annotations

import json

from tests.e2b.loopback import KEY, Answer, Loopback
from tests.pipeline.conftest import Place
from tests.waiting import until

_PIPELINE = """
[pipeline]
name = "cloud"
[generate]
files = ["*.py"]
[execute]
timeout = "20s"
[[check]]
stdout = { contains = "good" }
"""


def _cloud(server: Loopback) -> dict[str, str]:
    return {"E2B_API_KEY": KEY, "E2B_API_URL": server.url, "E2B_SANDBOX_URL": server.url}


def test_every_case_has_a_sandbox_of_its_own_and_none_is_left(place: Place) -> None:
    place.write(_PIPELINE)
    place.write("print('good')", "a.py")
    place.write("print('bad')", "b.py")
    with Loopback() as server:
        ran = place.pipeline("run", "p.toml", "--on", "e2b", "--json", env=_cloud(server))
        assert ran.code == 1
        document = json.loads(ran.out)
        assert [case["verdict"] for case in document["cases"]] == ["passed", "failed"]
        assert len(server.boxes) == 2
        until(lambda: not server.running())


def test_a_service_that_fails_is_infrastructure_and_neither_0_nor_1(place: Place) -> None:
    place.write(_PIPELINE)
    place.write("print('good')", "a.py")
    with Loopback() as server:
        server.fail("POST /v2/sandboxes", Answer(500))
        ran = place.pipeline("run", "p.toml", "--on", "e2b", env=_cloud(server))
        assert ran.code == 125
        assert "Traceback" not in ran.err
