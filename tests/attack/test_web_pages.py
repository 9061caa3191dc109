"""A web page in this machine's browser must get nothing, whatever name its DNS gives loopback."""

from __future__ import annotations

import pytest

from tests.attack.wire import ENVD, Sandbox, Wire, has_error_shape

_FOREIGN = [
    "evil.example", "evil.example:80", "localhost.evil.example", "127.0.0.1.evil.example", "",
    "10.0.0.1",
]  # fmt: skip


@pytest.mark.parametrize("host", _FOREIGN)
def test_a_name_that_was_rebound_is_refused(wire: Wire, victim: Sandbox, host: str) -> None:
    headers = {"Host": host, "X-API-KEY": wire.key}
    answer = wire.ask("GET", "/v2/sandboxes", None, headers)
    assert answer.status in {400, 403, 421}, answer
    assert has_error_shape(answer)
    routed = {"Host": host, "E2b-Sandbox-Id": victim.id, "E2b-Sandbox-Port": str(ENVD)}
    assert wire.ask("GET", "/health", None, routed).status in {400, 403, 421}


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example", "null", "http://localhost:1", "http://127.0.0.1", "file://",
        "garbage", "",
    ],
)  # fmt: skip
def test_another_page_is_refused(wire: Wire, victim: Sandbox, origin: str) -> None:
    headers = {"Origin": origin, "X-API-KEY": wire.key}
    for method in ("GET", "POST", "DELETE", "OPTIONS"):
        answer = wire.ask(method, f"/sandboxes/{victim.id}", None, headers)
        assert answer.status == 403, (method, answer)
        assert "access-control-allow-origin" not in {name.lower() for name in answer.headers}
    assert wire.is_healthy(victim)


def test_a_form_of_another_page_changes_nothing(wire: Wire, victim: Sandbox) -> None:
    """What a page can send without a preflight: simple content types, no headers of its own."""
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        headers = {"Content-Type": kind, "Origin": "https://evil.example"}
        answer = wire.ask("POST", "/v2/sandboxes", b'{"templateID": "base"}', headers)
        assert answer.status in {401, 403}
    assert wire.is_healthy(victim)


def test_the_loopback_names_are_answered_and_the_service_s_own_pages(wire: Wire) -> None:
    port = wire.address[1]
    for name in ("127.0.0.1", "localhost", "[::1]", "LOCALHOST.", "a.localhost"):
        host = f"{name}:{port}"
        assert wire.api("GET", "/v2/sandboxes", Host=host).status == 200, host
    assert wire.api("GET", "/v2/sandboxes", Host=host, Origin=f"http://{host}").status == 200
