"""Paths that would lead somewhere else, or nowhere at all."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest

from tests.attack.wire import Sandbox, Wire, has_error_shape

_TRICKS = [
    "",
    "\0",
    "a\0b",
    "../../../../etc/shadow",
    "/proc/self/root/../../etc/shadow",
    "/proc/1/root/etc/shadow",
    "/proc/1/environ",
    "/proc/1/mem",
    "/proc/kcore",
    "/dev/mem",
    "/dev/zero/x",
    "/.." * 100 + "/etc/shadow",
    "a/" * 3000,
    "x" * 300,
    "x" * 100_000,
    "~stranger/x",
    "~root/../../etc/shadow",
    "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
    "\n",
    "\u202e",
    "-rf",
    "//////",
    "\\..\\..\\etc\\shadow",
]


@pytest.mark.parametrize("path", _TRICKS, ids=range(len(_TRICKS)))
def test_a_trick_of_a_path_finds_nothing_of_the_host(
    wire: Wire, victim: Sandbox, path: str
) -> None:
    query = f"/files?path={quote(path, safe='')}"
    if len(query) < 60_000:
        answer = wire.envd(victim, "GET", query)
        assert answer.status < 500, answer
        assert answer.status == 200 or has_error_shape(answer)
        assert not _is_of_the_host(answer.body)
    for method in ("Stat", "ListDir"):
        answer = wire.envd(victim, "POST", f"/filesystem.Filesystem/{method}", {"path": path})
        assert answer.status < 500, (method, answer)
        assert not _is_of_the_host(answer.body)
    assert wire.is_healthy(victim)


def _is_of_the_host(body: bytes) -> bool:
    shadow = Path("/etc/shadow")
    secret = shadow.read_bytes() if shadow.exists() and _readable(shadow) else b""
    return bool(secret) and secret in body


def _readable(path: Path) -> bool:
    try:
        path.read_bytes()
    except OSError:
        return False
    return True


def test_links_and_pipes_inside_do_not_lead_out_or_hang(
    wire: Wire, victim: Sandbox, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("of the host")
    wire.run(victim, f"mkdir -p t; cd t; ln -sf {secret} out; ln -sf /proc/1/root/etc/shadow p; "
             "ln -sf loop loop; mkfifo pipe; ln -sf /dev/zero zero")  # fmt: skip
    for name in ("out", "p", "loop"):
        answer = wire.envd(victim, "GET", f"/files?path=t/{name}")
        assert answer.status in {400, 403, 404}, (name, answer)
        assert b"of the host" not in answer.body
    assert wire.envd(victim, "GET", "/files?path=t/pipe").status in {400, 403, 404}
    endless = wire.envd(victim, "GET", "/files?path=t/zero")  # a device is read until we go
    assert not endless.body.strip(b"\0")
    body = {"Content-Type": "application/octet-stream"}
    answer = wire.envd(victim, "POST", "/files?path=t/pipe", b"x", body)
    assert answer.status in {400, 403, 404}
    wire.envd(victim, "POST", "/files?path=t/out", b"overwritten", body)
    assert secret.read_text() == "of the host"


def test_a_sandbox_id_is_only_an_id(wire: Wire) -> None:
    for name in ("..%2f..%2fetc", "%00", "i" * 5000, "*", "%2e%2e", "i'; --", "{id}"):
        for method, path in (
            ("GET", ""),
            ("DELETE", ""),
            ("POST", "/timeout"),
            ("GET", "/metrics"),
        ):
            body = {"timeout": 1} if method == "POST" else None
            answer = wire.api(method, f"/sandboxes/{quote(name, safe='%')}{path}", body)
            assert 400 <= answer.status < 500, (name, answer)
            assert has_error_shape(answer)


def test_routing_headers_are_only_routing(wire: Wire) -> None:
    for port in ("0", "-1", "65536", "x", "22 ", "+80", "4998३", ""):
        headers = {"E2b-Sandbox-Id": "iabc", "E2b-Sandbox-Port": port}
        assert wire.ask("GET", "/", None, headers).status in {400, 502}, port
    for sandbox_id in ("../x", "x" * 5000, "127.0.0.1", "iabc", ""):
        headers = {"E2b-Sandbox-Id": sandbox_id, "E2b-Sandbox-Port": "49983"}
        answer = wire.ask("GET", "/health", None, headers)
        assert answer.status in {400, 502}
        assert has_error_shape(answer)
    for name in headers:
        assert wire.ask("GET", "/health", None, {name: "80"}).status == 400
    gone = wire.ask("GET", "/health", None, {"Host": "8000-iabc.whatever.example"})
    assert (gone.status, gone.json()["sandboxId"]) == (502, "iabc")
    assert "was not found" in gone.json()["message"]


def test_no_port_of_the_host_is_reached_through_a_sandbox(wire: Wire, victim: Sandbox) -> None:
    own_port = wire.address[1]
    answer = wire.inside(victim, own_port, "GET", "/v2/sandboxes", None, {"X-API-KEY": wire.key})
    assert answer.status == 502
    assert answer.json()["message"] == "The sandbox is running but port is not open"
