"""Who has no key, a wrong one, or another sandbox's token gets nothing."""

from __future__ import annotations

import base64
import hashlib

import pytest

from tests.attack.endpoints import CONTROL, STREAMS, UNARY
from tests.attack.wire import ENVD, INTERPRETER, Sandbox, Wire, has_error_shape

_WRONG = [
    {},
    {"X-API-KEY": ""},
    {"X-API-KEY": "e2b_" + "0" * 39},
    {"X-API-KEY": "ключ"},
    {"Authorization": "Bearer e2b_0"},
]


@pytest.mark.parametrize(("method", "path"), CONTROL)
def test_the_control_plane_needs_its_key(
    wire: Wire, victim: Sandbox, method: str, path: str
) -> None:
    for headers in _WRONG:
        answer = wire.ask(method, path.format(id=victim.id), b"{}", headers)
        assert answer.status == 401, (headers, answer)
        assert has_error_shape(answer)
        assert wire.key.encode() not in answer.body
    assert wire.is_healthy(victim)


def test_a_key_in_the_wrong_place_is_no_key(wire: Wire) -> None:
    assert wire.ask("GET", f"/v2/sandboxes?X-API-KEY={wire.key}&api_key={wire.key}").status == 401
    assert wire.ask("GET", "/v2/sandboxes", None, {"Cookie": f"X-API-KEY={wire.key}"}).status == 401


@pytest.mark.parametrize("path", [*UNARY, *STREAMS, "/envs", "/metrics"])
def test_envd_needs_the_token_of_its_own_sandbox(
    wire: Wire, victim: Sandbox, stranger: Sandbox, path: str
) -> None:
    method = "GET" if path in {"/envs", "/metrics"} else "POST"
    plain = {"Content-Type": "application/json"}
    for token in (None, "", stranger.token, victim.token[:-1], victim.token + "x", wire.key):
        headers = plain if token is None else {**plain, "X-Access-Token": token}
        answer = wire.inside(victim, ENVD, method, path, {}, headers)
        assert answer.status == 401, (token, answer)
        assert has_error_shape(answer)


@pytest.mark.parametrize("path", ["/execute", "/execute/", "//execute"])
def test_code_runs_only_with_the_token_of_its_own_sandbox(
    wire: Wire, victim: Sandbox, stranger: Sandbox, path: str
) -> None:
    code = {"code": "open('/tmp/ran', 'w')"}
    for token in (None, "", stranger.token, victim.token[:-1], victim.token + "x", wire.key):
        headers = {} if token is None else {"X-Access-Token": token}
        answer = wire.inside(victim, INTERPRETER, "POST", path, code, headers)
        assert answer.status == 401, (token, answer)
        assert has_error_shape(answer)
    assert wire.run(victim, "ls /tmp/ran 2>&1 | grep -c 'No such'") == b"1\n"
    told = wire.inside(victim, INTERPRETER, "GET", "/contexts")  # as the SDKs ask
    assert told.status == 200


def test_files_need_the_token_or_the_signature_of_their_own_sandbox(
    wire: Wire, victim: Sandbox, stranger: Sandbox
) -> None:
    def signature(
        token: str, operation: str = "read", path: str = "x", expiration: str = ""
    ) -> str:
        text = f"{path}:{operation}::{token}{expiration}"
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        return f"v1_{digest}".replace("+", "%2B")

    wire.envd(
        victim, "POST", "/files?path=x", b"mine", {"Content-Type": "application/octet-stream"}
    )
    good = f"/files?path=x&signature={signature(victim.token)}"
    assert wire.inside(victim, ENVD, "GET", good).body == b"mine"
    assert wire.ask("GET", good).body == b"mine"
    for query in (
        "path=x",
        "path=x&signature=",
        f"path=x&signature={signature(stranger.token)}",
        f"path=x&signature={signature(victim.token, 'write')}",
        f"path=../../etc/passwd&signature={signature(victim.token)}",
        f"path=x&path=y&signature={signature(victim.token, path='y')}x",
        "path=x&signature_expiration=%C2%B2"  # a digit, and no number
        f"&signature={signature(victim.token, expiration=':²')}",
    ):
        answer = wire.inside(victim, ENVD, "GET", f"/files?{query}")
        assert answer.status == 401, (query, answer)
        assert has_error_shape(answer)
    wrong = {"X-Access-Token": stranger.token}
    assert wire.inside(victim, ENVD, "GET", good, None, wrong).status == 401
    assert wire.inside(victim, ENVD, "POST", good, b"overwritten").status == 401
    assert wire.ask("GET", f"/files?path=x&signature={signature(stranger.token)}").body != b"mine"


def test_private_ports_need_the_traffic_token(wire: Wire) -> None:
    private = wire.create(network={"allowPublicTraffic": False})
    try:
        assert private.traffic_token
        for token in (None, "", private.token, "x" * 64, wire.key):
            headers = {} if token is None else {"E2B-Traffic-Access-Token": token}
            for port in (INTERPRETER, 8080):
                answer = wire.inside(private, port, "GET", "/contexts", None, headers)
                assert answer.status == 403, (token, port, answer)
                assert has_error_shape(answer)
        good = {"E2B-Traffic-Access-Token": private.traffic_token}
        assert wire.inside(private, 8080, "GET", "/", None, good).status == 502  # nobody listens
        assert wire.is_healthy(private)
        assert (
            private.traffic_token.encode() not in wire.api("GET", f"/sandboxes/{private.id}").body
        )
    finally:
        wire.kill(private)


def test_the_paths_of_the_orchestrator_are_closed(wire: Wire, victim: Sandbox) -> None:
    for path in ("/init", "/freeze", "/unfreeze", "/fsfreeze", "/fsthaw", "/collapse", "/upgrade"):
        answer = wire.envd(victim, "POST", path, {"accessToken": "mine now"})
        assert answer.status == 404, (path, answer)
        assert has_error_shape(answer)
    assert wire.envd(victim, "GET", "/envs").status == 200


def test_a_dead_sandbox_s_token_opens_nothing(wire: Wire) -> None:
    dead = wire.create()
    wire.kill(dead)
    for path in ("/health", "/files?path=x", "/process.Process/List", "/envs"):
        answer = wire.envd(dead, "GET", path)
        assert answer.status == 502
        assert answer.json()["message"] == "The sandbox was not found"
