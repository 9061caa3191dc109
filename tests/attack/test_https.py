"""The TLS port and the proxy of `serve --https`, as an attacker would use them."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import stat
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.attack.wire import Sandbox, Wire, envelope, has_error_shape
from tests.conftest import COMMAND, clean_environment
from tests.sdk.serving import served

pytest.importorskip("cryptography")
_DOMAIN = "e2b.localhost"


@dataclass(frozen=True)
class Secure:
    """The service, where its TLS and its proxy are, and what is trusted."""

    wire: Wire
    port: int
    proxy: tuple[str, int]
    authorization: str
    bundle: str
    state: Path
    log: Path

    def talk(self, name: str, head: str, *, host: str | None = None) -> bytes:
        """One request to `name` over TLS, checked; all that comes back."""
        context = ssl.create_default_context(cafile=self.bundle)
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=20) as plain,
            context.wrap_socket(plain, server_hostname=name) as secure,
        ):
            lines = head.format(host=host or f"{name}:{self.port}").replace("\n", "\r\n")
            secure.sendall(f"{lines}\r\n\r\n".encode())
            received = b""
            while piece := secure.recv(65536):
                received += piece
            return received

    def connect(self, target: str, authorization: str | None = None) -> bytes:
        """The proxy's answer to CONNECT."""
        with socket.create_connection(self.proxy, timeout=20) as connection:
            lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
            if authorization is not None:
                lines.append(f"Proxy-Authorization: {authorization}")
            connection.sendall("\r\n".join([*lines, "", ""]).encode())
            return connection.recv(4096)


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    directory = tmp_path_factory.mktemp("https")
    env_file = directory / "env"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(directory / "state"))
        options = ("--template", "base", "--https", "--env-file", str(env_file))
        with served(directory, *options) as serving:
            told = dict(line.split("=", 1) for line in env_file.read_text().splitlines())
            proxy = urlsplit(told["HTTPS_PROXY"])
            user = f"{proxy.username}:{proxy.password}"
            yield Secure(
                Wire(serving.url, serving.key),
                int(told["E2B_DOMAIN"].rpartition(":")[2]),
                (proxy.hostname or "", proxy.port or 0),
                "Basic " + base64.b64encode(user.encode()).decode(),
                told["SSL_CERT_FILE"],
                directory / "state",
                serving.log,
            )


@pytest.fixture(scope="module")
def sandbox(secure: Secure) -> Sandbox:
    """One with a web server on port 8000."""
    made = secure.wire.create()
    program = (
        "import http.server as h; h.test(h.SimpleHTTPRequestHandler, port=8000, bind='127.0.0.1')"
    )
    secure.wire.run(
        made,
        f'echo inside > index.html; (setsid python3 -c "{program}" >/dev/null 2>&1 &); '
        "for i in $(seq 100); do curl -s localhost:8000 >/dev/null && break; sleep 0.05; done",
    )
    return made


def test_a_port_is_reached_by_its_https_name(secure: Secure, sandbox: Sandbox) -> None:
    answer = secure.talk(f"8000-{sandbox.id}.{_DOMAIN}", "GET / HTTP/1.0\nHost: {host}")
    assert answer.endswith(b"inside\n")


def test_the_same_port_takes_plain_http_as_e2bs_edge_does(secure: Secure, sandbox: Sandbox) -> None:
    answer = _plain(secure, f"GET / HTTP/1.0\r\nHost: 8000-{sandbox.id}.{_DOMAIN}\r\n\r\n".encode())
    assert answer.endswith(b"inside\n")


def test_a_stream_that_its_sandbox_ends_is_no_fault_in_the_log(secure: Secure) -> None:
    made = secure.wire.create()
    name = f"49983-{made.id}.{_DOMAIN}"
    body = envelope(json.dumps({"process": {"cmd": "/bin/sleep", "args": ["100"]}}).encode())
    head = (
        f"POST /process.Process/Start HTTP/1.1\r\nHost: {name}:{secure.port}\r\n"
        f"X-Access-Token: {made.token}\r\nContent-Type: application/connect+json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    context = ssl.create_default_context(cafile=secure.bundle)
    with (
        socket.create_connection(("127.0.0.1", secure.port), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname=name) as stream,
    ):
        stream.sendall(head.encode() + body)
        received = b""
        while b'"start"' not in received:
            received += stream.recv(65536)
        secure.wire.kill(made)
        with suppress(ConnectionResetError, ssl.SSLEOFError):
            while stream.recv(65536):
                pass
    assert "ASGI" not in secure.log.read_text()


@pytest.mark.parametrize("sent", [b"", b"\x16", b"\x16\x03\x01\x00\x01x", b"\0" * 100, b"G"])
def test_who_says_nothing_sensible_on_it_keeps_nobody_else_from_it(
    secure: Secure, sandbox: Sandbox, sent: bytes
) -> None:
    with socket.create_connection(("127.0.0.1", secure.port), timeout=20) as silent:
        silent.sendall(sent)
        answer = secure.talk(f"8000-{sandbox.id}.{_DOMAIN}", "GET / HTTP/1.0\nHost: {host}")
    assert answer.endswith(b"inside\n")


def _plain(secure: Secure, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", secure.port), timeout=20) as connection:
        connection.sendall(request)
        received = b""
        while piece := connection.recv(65536):
            received += piece
        return received


def test_the_key_of_the_authority_is_the_users_alone(secure: Secure) -> None:
    directory = secure.state / "e2brun" / "https"
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    for path in directory.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def _openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)


def test_the_authority_can_vouch_for_no_other_name(secure: Secure, tmp_path: Path) -> None:
    directory = secure.state / "e2brun" / "https"
    for name, fine in (("8000-x.e2b.localhost", True), ("example.com", False)):
        request, leaf = tmp_path / "csr", tmp_path / "leaf.pem"
        extensions = tmp_path / "ext"
        extensions.write_text(f"subjectAltName=DNS:{name}\n")
        asked = "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /O=x"
        _openssl(*asked.split(), "-keyout", tmp_path / "k", "-out", request)
        signed = ("-CA", directory / "ca.pem", "-CAkey", directory / "key.pem", "-set_serial", "7")
        _openssl("x509", "-req", "-in", request, *signed, "-extfile", extensions, "-out", leaf)
        ran = subprocess.run(
            ["openssl", "verify", "-CAfile", str(directory / "ca.pem"), str(leaf)],
            capture_output=True,
            check=False,
        )
        assert (ran.returncode == 0) is fine, ran


def test_its_certificate_is_no_authority_itself(secure: Secure) -> None:
    from cryptography import x509

    shown = x509.load_pem_x509_certificate(
        ssl.get_server_certificate(("127.0.0.1", secure.port)).encode()
    )
    assert not shown.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_its_certificate_fits_no_other_name(secure: Secure) -> None:
    for name in ("example.com", "a.b.e2b.localhost", "e2b.localhost.example.com"):
        with pytest.raises(ssl.SSLCertVerificationError):
            secure.talk(name, "GET /health HTTP/1.0\nHost: {host}")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:443", "e2b.localhost.evil.example"])
def test_a_foreign_host_is_refused_over_tls_too(secure: Secure, host: str) -> None:
    answer = secure.talk(_DOMAIN, "GET /sandboxes HTTP/1.0\nHost: {host}", host=host)
    assert b" 421 " in answer.splitlines()[0]


def test_the_control_plane_needs_the_key_over_tls_too(secure: Secure) -> None:
    answer = secure.talk(f"api.{_DOMAIN}", "GET /v2/sandboxes HTTP/1.0\nHost: {host}")
    assert b" 401 " in answer.splitlines()[0]


@pytest.mark.parametrize("port", [49983, 49999])
def test_a_secure_sandbox_needs_its_token_over_tls_too(
    secure: Secure, sandbox: Sandbox, port: int
) -> None:
    path = "/files?path=/etc/passwd" if port == 49983 else "/execute"
    method = "GET" if port == 49983 else "POST"
    head = f"{method} {path} HTTP/1.0\nHost: {{host}}\nContent-Length: 0"
    answer = secure.talk(f"{port}-{sandbox.id}.{_DOMAIN}", head)
    assert b" 401 " in answer.splitlines()[0]


def test_the_name_decides_and_not_the_tls_name(secure: Secure, sandbox: Sandbox) -> None:
    """What was promised to one name is not given to another: Host alone says which port."""
    other = f"8000-{'z' * 20}.{_DOMAIN}:{secure.port}"
    head = "GET / HTTP/1.0\nHost: {host}"
    answer = secure.talk(f"8000-{sandbox.id}.{_DOMAIN}", head, host=other)
    assert b" 502 " in answer.splitlines()[0]
    assert b"inside" not in answer


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Basic", "Basic !!!", "Basic ZTJiOndyb25n", "Basic ZTJiOg==", "Bearer x"],
)
def test_the_proxy_is_nobodys_way_out_without_the_key(
    secure: Secure, authorization: str | None
) -> None:
    for target in (f"x.{_DOMAIN}:443", "127.0.0.1:22", "example.com:443"):
        assert secure.connect(target, authorization).startswith(b"HTTP/1.1 407 ")


@pytest.mark.parametrize(
    "line",
    [
        "GET http://example.com/ HTTP/1.1",
        "GET / HTTP/1.1",
        "CONNECT example.com HTTP/1.1",
        "CONNECT example.com:999999 HTTP/1.1",
        "CONNECT exa mple.com:1 HTTP/1.1",
        "CONNECT [::1:1 HTTP/1.1",
        "CONNECT a..b:1 HTTP/1.1",
        "CONNECT a\0b:1 HTTP/1.1",
        "\x16\x03\x01",
    ],
)
def test_the_proxy_takes_connect_and_nothing_else(secure: Secure, line: str) -> None:
    with socket.create_connection(secure.proxy, timeout=20) as connection:
        authorization = f"Proxy-Authorization: {secure.authorization}"
        connection.sendall(f"{line}\r\n{authorization}\r\n\r\n".encode("latin-1"))
        answer = connection.recv(4096)
    assert answer.startswith((b"HTTP/1.1 405 ", b"HTTP/1.1 502 "))


@pytest.mark.parametrize("version", ["1.1", "1.0"])  # the latter: http.client before Python 3.12
def test_the_proxy_passes_others_through_untouched(secure: Secure, version: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(secure.proxy, timeout=20) as client:
            client.sendall(
                f"CONNECT 127.0.0.1:{port} HTTP/{version}\r\n"
                f"Proxy-Authorization: {secure.authorization}\r\n\r\n\0\xffraw".encode("latin-1")
            )
            assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
            accepted, _ = server.accept()
            with accepted:
                assert accepted.recv(100) == b"\0\xffraw"
                accepted.sendall(b"back\0")
                assert client.recv(100) == b"back\0"


def test_what_follows_an_upgrade_goes_to_the_program_over_tls(
    secure: Secure, sandbox: Sandbox
) -> None:
    """A WebSocket's bytes are the program's; here one that greets and repeats."""
    program = (
        "import socket; s=socket.create_server(('127.0.0.1',8100)); c,_=s.accept(); c.recv(9999);"
        "c.sendall(b'HTTP/1.1 101 x\\r\\nUpgrade: websocket\\r\\n');"
        "c.sendall(b'Connection: Upgrade\\r\\n\\r\\nhi');"
        "c.sendall(c.recv(99))"
    )
    secure.wire.run(
        sandbox,
        f'(setsid python3 -c "{program}" >/dev/null 2>&1 &); '
        "for i in $(seq 100); do ss -Hltn sport = :8100 | grep -q . && break; sleep 0.05; done",
    )
    name = f"8100-{sandbox.id}.{_DOMAIN}"
    context = ssl.create_default_context(cafile=secure.bundle)
    with (
        socket.create_connection(("127.0.0.1", secure.port), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname=name) as client,
    ):
        client.sendall(
            f"GET / HTTP/1.1\r\nHost: {name}:{secure.port}\r\nConnection: Upgrade\r\n"
            "Upgrade: websocket\r\n\r\nping".encode()
        )
        received = b""
        while not received.endswith(b"hiping"):
            piece = client.recv(4096)
            assert piece, received
            received += piece
    assert received.startswith(b"HTTP/1.1 101 ")


def test_tls_on_the_plain_port_is_told_what_to_do(tmp_path: Path) -> None:
    with served(tmp_path, "--template", "base") as serving:
        parts = urlsplit(serving.url)
        with socket.create_connection((parts.hostname, parts.port), timeout=10) as plain:
            context = ssl._create_unverified_context()
            with pytest.raises(OSError):  # noqa: PT011
                context.wrap_socket(plain)
        assert "e2brun serve --https" in serving.log.read_text()


def test_an_old_client_without_a_secure_sandbox_is_no_way_around_without_https(wire: Wire) -> None:
    body = {"templateID": "base", "timeout": 60}
    made = wire.api("POST", "/sandboxes", body).json()
    sandbox = Sandbox(made["sandboxID"], "", None)
    answer = wire.inside(sandbox, 49983, "GET", "/files?path=/etc/passwd")
    assert answer.status == 401
    assert has_error_shape(answer)
    wire.kill(sandbox)


def test_a_wrong_token_opens_nothing_where_none_is_needed(secure: Secure, sandbox: Sandbox) -> None:
    wire = secure.wire
    made = wire.api("POST", "/sandboxes", {"templateID": "base"}).json()
    older = Sandbox(made["sandboxID"], "", None)
    for path in ("/envs", "/files?path=/etc/passwd"):
        assert wire.inside(older, 49983, "GET", path).status == 200
        wrong = {"X-Access-Token": sandbox.token}
        assert wire.inside(older, 49983, "GET", path, None, wrong).status == 401, path
    wire.kill(older)


def test_the_certificate_can_be_printed(tmp_path: Path) -> None:
    ran = subprocess.run(
        [*COMMAND, "serve", "--print-ca"],
        capture_output=True,
        text=True,
        env=clean_environment({"XDG_STATE_HOME": str(tmp_path)}),
        check=False,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("-----BEGIN CERTIFICATE-----\n")
    assert "PRIVATE" not in ran.stdout
    assert json.dumps(ran.stderr) == '""'
