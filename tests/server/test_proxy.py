"""Programs that listen inside a sandbox: what they are told, and who reaches them."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import threading
import time
from contextlib import ExitStack, closing

import pytest

from tests.attack.wire import ENVD, INTERPRETER, Sandbox, Wire
from tests.sdk.serving import Serving
from tests.server.talking import GET, PORT, SIX, asking, dial, head_of, resident, with_talker
from tests.waiting import until


def test_a_request_arrives_as_it_was_sent(wire: Wire, talker: Sandbox) -> None:
    with dial(wire) as connection:
        lines = ("X-Twice: 1", "X-Twice: 2", "X-Umlaut: \xe4", "Cookie: a=b", "X-API-Key: mine")
        connection.sendall(asking(talker, "DELETE /echo/a%2Fb/%C3%A4?x=1&x=%20 HTTP/1.1", *lines))
        response = http.client.HTTPResponse(connection)
        response.begin()
        head = response.read().decode("latin-1").split("\r\n")
    assert head[0] == "DELETE /echo/a%2Fb/%C3%A4?x=1&x=%20 HTTP/1.1"
    lower = [line.lower() for line in head]
    for line in (*lines, "Host: localhost"):
        assert line.lower() in lower


def test_secrets_and_what_is_between_two_hops_do_not_arrive(wire: Wire, talker: Sandbox) -> None:
    headers = {
        "X-API-Key": wire.key,
        "X-Access-Token": talker.token,
        "Authorization": f"Bearer {wire.key}",
        "E2b-Traffic-Access-Token": "t",
        "Connection": "close, X-Gone",
        "X-Gone": "1",
        "Keep-Alive": "timeout=5",
        "TE": "trailers",
        "Proxy-Authorization": "x",
    }
    head = wire.inside(talker, PORT, "GET", "/echo", headers=headers).body.decode().lower()
    names = {line.partition(":")[0] for line in head.split("\r\n")[1:]}
    assert names == {"host", "connection"}
    assert "connection: close" in head
    assert wire.key not in head


def test_the_host_is_the_clients(wire: Wire, talker: Sandbox) -> None:
    name = f"{PORT}-{talker.id}.localhost:{wire.address[1]}"
    answer = wire.ask("GET", "/echo", headers={"Host": name})
    assert f"\r\nHost: {name}" in answer.body.decode()
    assert wire.ask("GET", "/echo", headers={"Host": name.upper()}).status == 200
    absolute = wire.ask("GET", f"http://{name}/echo?x", headers={"Host": name})
    assert absolute.body.startswith(b"GET /echo?x HTTP/1.1\r\n")


def test_by_its_host_name_a_program_hears_from_other_pages(wire: Wire, talker: Sandbox) -> None:
    page = {"Origin": "http://3000-other.localhost"}
    for port, status in ((PORT, 200), (INTERPRETER, 403), (ENVD, 403)):
        name = f"{port}-{talker.id}.localhost:{wire.address[1]}"
        assert wire.ask("GET", "/echo", headers={"Host": name, **page}).status == status
    assert wire.inside(talker, PORT, "GET", "/echo", headers=page).status == 403


def test_a_mask_takes_the_place_of_the_host(wire: Wire) -> None:
    masked = with_talker(wire, network={"maskRequestHost": "app.example:${PORT}"})
    assert b"\r\nHost: app.example:8100\r\n" in wire.inside(masked, PORT, "GET", "/echo").body
    wire.api("PUT", f"/sandboxes/{masked.id}/network", {})
    assert b"\r\nHost: app.example:8100\r\n" in wire.inside(masked, PORT, "GET", "/echo").body


def test_a_body_arrives_whole(wire: Wire, talker: Sandbox) -> None:
    data = os.urandom(3_000_000)
    expected = f"{len(data)} {hashlib.sha256(data).hexdigest()}".encode()
    assert wire.inside(talker, PORT, "POST", "/count", data).body == expected
    with closing(http.client.HTTPConnection(*wire.address, timeout=20)) as connection:
        headers = {"E2b-Sandbox-Id": talker.id, "E2b-Sandbox-Port": str(PORT)}
        pieces = (data[start : start + 77_777] for start in range(0, len(data), 77_777))
        connection.request("PUT", "/count", pieces, headers, encode_chunked=True)
        assert connection.getresponse().read() == expected


def test_a_large_upload_to_a_program_that_reads_late_costs_no_memory(
    wire: Wire, talker: Sandbox, service: Serving
) -> None:
    before, peak = resident(service.pid), [0]

    def watch() -> None:
        for _ in range(20):
            time.sleep(0.05)
            peak[0] = max(peak[0], resident(service.pid))

    watching = threading.Thread(target=watch)
    watching.start()
    answer = wire.inside(talker, PORT, "POST", "/deaf", bytes(100_000_000))
    watching.join()
    assert answer.body.startswith(b"100000000 ")
    assert peak[0] - before < 20_000_000


def test_an_expected_100_is_the_programs(wire: Wire, talker: Sandbox) -> None:
    lines = ("Expect: 100-continue", "Content-Length: 5")
    with dial(wire) as connection:
        began = time.monotonic()
        connection.sendall(asking(talker, "POST /continues HTTP/1.1", *lines))
        assert head_of(connection) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert time.monotonic() - began > 0.15
        connection.sendall(b"hello")
        assert b"HTTP/1.1 200 OK" in head_of(connection)
        assert connection.recv(99).startswith(b"5 ")
    with dial(wire) as connection:  # one that knows nothing of it
        connection.sendall(asking(talker, "POST /count HTTP/1.1", *lines))
        assert head_of(connection) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"hello")
        assert b"HTTP/1.1 200 OK" in head_of(connection)


def test_a_body_that_the_program_refuses_is_not_asked_for(wire: Wire, talker: Sandbox) -> None:
    with dial(wire) as connection:
        lines = ("Expect: 100-continue", "Content-Length: 5")
        connection.sendall(asking(talker, "POST /refuse HTTP/1.1", *lines))
        assert head_of(connection).startswith(b"HTTP/1.1 413 ")
        assert connection.recv(99) == b"no"
        assert connection.recv(99) == b""  # whether "hello" comes now, nobody knows


def test_an_answer_may_come_before_the_body(wire: Wire, talker: Sandbox) -> None:
    with dial(wire) as connection:
        connection.sendall(asking(talker, "POST /refuse HTTP/1.1", "Content-Length: 100") + b"x")
        assert head_of(connection).startswith(b"HTTP/1.1 413 ")
        assert connection.recv(99) == b"no"
        connection.sendall(b"y" * 99 + asking(talker, GET.format("/seen/gone")))
        assert head_of(connection).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "lines",
    [
        ("Content-Length: 5", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", "Content-Length: 0"),
        ("Content-Length: 5", "Content-Length: 6"),
        ("Content-Length: 5, 6",),
        ("Content-Length: +5",),
        ("Transfer-Encoding: chunked, identity",),
        ("Transfer-Encoding: xchunked",),
        ("Transfer-Encoding : chunked",),
        ("Transfer-Encoding: chunked", "Transfer-Encoding: gzip"),
        ("Transfer-Encoding: gzip, chunked",),
        ("X: a\nTransfer-Encoding: chunked",),
        ("X: a\rTransfer-Encoding: chunked",),
        ("Content-Length: 5\r\n folded: x",),
        ("Connection: upgrade", "Upgrade: x", "Transfer-Encoding: xchunked"),
        ("Connection: upgrade", "Upgrade: h2c", "Transfer-Encoding: chunked", "Content-Length: 5"),
    ],
)
def test_a_request_with_two_meanings_is_refused(
    wire: Wire, talker: Sandbox, lines: tuple[str, ...]
) -> None:
    smuggled = asking(talker, GET.format("/seen/gone"))
    received = wire.raw(asking(talker, "POST /echo HTTP/1.1", *lines) + b"0\r\n\r\n" + smuggled)
    assert received.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 501 ")), received
    if b"HTTP/1.1 501" not in received:  # understood, and refused: the next may be answered
        assert b" 200 " not in received
    body = json.loads(received.partition(b"\r\n\r\n")[2].partition(b"}")[0] + b"}")
    assert body["code"] in {400, 501}
    assert body["message"]


def test_a_trailer_is_no_header(wire: Wire, talker: Sandbox) -> None:
    lines = ("Transfer-Encoding: chunked", "Connection: close")
    body = b"1\r\nx\r\n0\r\nX-Trailer: 1\r\nE2b-Sandbox-Port: 1\r\n\r\n"
    with dial(wire) as connection:
        connection.sendall(asking(talker, "POST /echo HTTP/1.1", *lines) + body)
        response = http.client.HTTPResponse(connection)
        response.begin()
        assert response.status == 200  # by the port in its head
        assert b"x-trailer" not in response.read().lower()


def test_a_closed_port_says_so(wire: Wire, talker: Sandbox) -> None:
    answer = wire.inside(talker, 8199, "GET", "/")
    assert answer.status == 502
    assert answer.json() == {
        "sandboxId": talker.id,
        "message": "The sandbox is running but port is not open",
        "code": 502,
        "port": 8199,
    }


def test_a_closed_port_is_a_page_to_a_browser(wire: Wire, talker: Sandbox) -> None:
    browser = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0"}
    answer = wire.inside(talker, 8199, "GET", "/", headers=browser)
    assert (answer.status, answer.headers["content-type"]) == (502, "text/html")
    assert b"<title>Closed Port Error</title>" in answer.body  # what shows previews looks for it


def test_what_listens_on_ipv6_only_is_reached(wire: Wire, talker: Sandbox) -> None:
    assert wire.inside(talker, SIX, "GET", "/echo").status == 200


def test_our_own_ports_are_no_program_s(wire: Wire, talker: Sandbox) -> None:
    for port in (ENVD, INTERPRETER):
        wire.run(talker, f"python3 /tmp/talker.py {port} >/tmp/said 2>&1 & disown")
    time.sleep(0.5)
    for port in (ENVD, INTERPRETER):
        answer = wire.inside(talker, port, "GET", "/echo")
        assert answer.status in {401, 404}, answer


def test_a_program_that_accepts_nobody_harms_nobody_else(wire: Wire, talker: Sandbox) -> None:
    code = "import socket, time; s = socket.socket(); s.bind(('127.0.0.1', 8103)); s.listen(0)"
    wire.run(talker, f'python3 -c "{code}; time.sleep(60)" </dev/null >/dev/null 2>&1 & disown')
    time.sleep(0.5)
    with ExitStack() as stack:
        for _ in range(30):
            connection = stack.enter_context(dial(wire))
            connection.sendall(asking(talker, GET.format("/"), port=8103))
        began = time.monotonic()
        assert wire.run(talker, "echo still here") == b"still here\n"
        assert wire.inside(talker, PORT, "GET", "/echo").status == 200
        assert time.monotonic() - began < 8


def test_the_servers_that_people_use_are_reached(wire: Wire, talker: Sandbox) -> None:
    line = "mkdir -p /tmp/www && cd /tmp/www && echo hi >index.html && head -c 5000000 /dev/zero >z"
    wire.run(talker, f"{line}; python3 -m http.server 8104 >/dev/null 2>&1 & disown")
    until(lambda: wire.inside(talker, 8104, "GET", "/").status == 200)
    assert wire.inside(talker, 8104, "GET", "/").body == b"hi\n"
    assert len(wire.inside(talker, 8104, "GET", "/z").body) == 5_000_000
    assert wire.inside(talker, 8104, "GET", "/none").status == 404
    assert wire.inside(talker, 8104, "HEAD", "/z").headers["content-length"] == "5000000"
