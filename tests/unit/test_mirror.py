"""What a sandbox is answered for the package indexes, and what it is refused."""

from __future__ import annotations

import base64
import json
import os
import socket
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from e2brun.sandbox.local.isolation.driver import INDEX_PORT
from e2brun.sandbox.local.mirror.counter import Counter, Indexes, Portion
from tests.indexes import Answer, Index, index_served

HOST = f"127.0.0.1:{INDEX_PORT}"
MIB = 1024 * 1024
BOUNDS = Portion(4 * MIB, MIB)
PATIENT = 30.0  # seconds that no test is to take


@pytest.fixture
def index() -> Iterator[Index]:
    with index_served() as running:
        yield running


@pytest.fixture
def elsewhere() -> Iterator[Index]:
    """Another service of this machine, with something to steal."""
    with index_served() as running:
        running.pages["/secret.whl"] = Answer(b"secret")
        yield running


def counter(index: Index, environment: Mapping[str, str] = {}, bounds: Portion = BOUNDS) -> Counter:
    given = {"UV_DEFAULT_INDEX": f"{index.url}/simple", "HOME": "/nowhere", "UV_NO_CONFIG": "1"}
    given |= {"npm_config_registry": f"{index.url}/npm/", "SSL_CERT_FILE": os.devnull}
    with pytest.MonkeyPatch.context() as patch:  # to read all certificates takes longer than a test
        patch.setenv("SSL_CERT_FILE", os.devnull)
        return Counter(Indexes({**given, **environment}), bounds)


def said(counter: Counter, request: bytes) -> bytes:
    """All that one connection is answered."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        client = socket.create_connection(door.getsockname())
        caller, _ = door.accept()

        def serve() -> None:
            with caller:
                counter.serve(caller)

        serving = threading.Thread(target=serve)
        serving.start()
        client.settimeout(PATIENT)
        with client:
            client.sendall(request)
            answer = b""
            try:
                while data := client.recv(65536):
                    answer += data
            except ConnectionError:
                pass
        serving.join(PATIENT)
        assert not serving.is_alive()
        return answer


def get(counter: Counter, path: str, method: str = "GET") -> tuple[int, bytes]:
    answer = said(counter, f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" in head.lower():
        body = b"".join(part for part in body.split(b"\r\n")[1::2])
    return int(head.split()[1]), body


def tiny(index: Index) -> None:
    """A project in two forms of page."""
    index.html("/simple/tiny/", "../../f/tiny-1.0-py3-none-any.whl#sha256=abc1")
    index.pages["/f/tiny-1.0-py3-none-any.whl"] = Answer(b"wheel")
    index.pages["/f/tiny-1.0-py3-none-any.whl.metadata"] = Answer(b"metadata")
    file = {
        "filename": "big-2.0.tar.gz", "url": f"{index.url}/f/big-2.0.tar.gz",
        "hashes": {"sha256": "abc2"}, "requires-python": ">=3.8", "yanked": "bad",
        "core-metadata": {"sha256": "abc3"},
    }  # fmt: skip
    index.json("/simple/big/", {"meta": {"api-version": "1.0"}, "name": "big", "files": [file]})
    index.pages["/f/big-2.0.tar.gz"] = Answer(b"sdist")


def test_a_page_leads_to_archives_by_an_address_inside(index: Index) -> None:
    tiny(index)
    mirror = counter(index)
    status, page = get(mirror, "/simple/tiny/")
    assert status == 200
    assert b'href="/files/tiny/tiny-1.0-py3-none-any.whl#sha256=abc1"' in page
    assert get(mirror, "/files/tiny/tiny-1.0-py3-none-any.whl") == (200, b"wheel")
    assert get(mirror, "/files/tiny/tiny-1.0-py3-none-any.whl.metadata") == (200, b"metadata")
    assert get(mirror, "/files/tiny/tiny-1.0-py3-none-any.whl", "HEAD") == (200, b"")


def test_a_page_in_json_is_told_in_html_with_all_that_pip_goes_by(index: Index) -> None:
    tiny(index)
    mirror = counter(index)
    _, page = get(mirror, "/simple/big/")
    assert b'href="/files/big/big-2.0.tar.gz#sha256=abc2"' in page
    assert b'data-requires-python="&gt;=3.8"' in page
    assert b'data-yanked="bad"' in page
    assert b'data-core-metadata="sha256=abc3"' in page
    assert index.url.encode() not in page
    # Also for one who never saw the page.
    assert get(counter(index), "/files/big/big-2.0.tar.gz") == (200, b"sdist")


def test_npm_finds_packages_and_their_archives(index: Index) -> None:
    for name, path in (("ms", "ms"), ("@a/b", "@a%2Fb")):
        short = name.rpartition("/")[2]
        dist = {"tarball": f"{index.url}/t/{short}-1.0.0.tgz", "integrity": "sha512-x"}
        index.json(f"/npm/{path}", {"name": name, "versions": {"1.0.0": {"dist": dist}}})
        index.pages[f"/t/{short}-1.0.0.tgz"] = Answer(b"tarball")
    mirror = counter(index)
    status, page = get(mirror, "/npm/ms")
    document = json.loads(page)
    assert status == 200
    assert document["versions"]["1.0.0"]["dist"] == {
        "tarball": f"http://{HOST}/npm/ms/-/ms-1.0.0.tgz", "integrity": "sha512-x",
    }  # fmt: skip
    assert get(mirror, "/npm/ms/-/ms-1.0.0.tgz") == (200, b"tarball")
    assert get(mirror, "/npm/@a%2fb")[0] == 200
    assert get(mirror, "/npm/@a/b/-/b-1.0.0.tgz") == (200, b"tarball")


def test_indexes_are_asked_in_uvs_order_and_the_first_that_has_a_project_is_it(
    index: Index, elsewhere: Index
) -> None:
    index.html("/simple/both/", "both-1.0-py3-none-any.whl")
    elsewhere.html("/extra/both/", "both-9.0-py3-none-any.whl")
    index.html("/simple/mine/", "mine-1.0-py3-none-any.whl")
    extra = f"{elsewhere.url}/extra"
    mirror = counter(index, {"UV_INDEX": extra})
    assert b"both-9.0" in get(mirror, "/simple/both/")[1]
    assert b"both-1.0" not in get(mirror, "/simple/both/")[1]
    assert b"mine-1.0" in get(mirror, "/simple/mine/")[1]
    unsafe = {"UV_INDEX": extra, "UV_INDEX_STRATEGY": "unsafe-best-match"}
    both = get(counter(index, unsafe), "/simple/both/")
    assert b"both-9.0" in both[1]
    assert b"both-1.0" in both[1]


def test_a_directory_of_this_machine_can_be_the_index(index: Index, tmp_path: Path) -> None:
    (tmp_path / "tiny-3.0-py3-none-any.whl").write_bytes(b"from here")
    (tmp_path / "other-3.0-py3-none-any.whl").write_bytes(b"no")
    (tmp_path / "simple" / "flat").mkdir(parents=True)
    page = '<a href="../../tiny-3.0-py3-none-any.whl">x</a>'
    (tmp_path / "simple" / "flat" / "index.html").write_text(page)
    links = counter(index, {"UV_FIND_LINKS": str(tmp_path)})
    _, told = get(links, "/simple/tiny/")
    assert b"tiny-3.0" in told
    assert b"other" not in told
    assert get(links, "/files/tiny/tiny-3.0-py3-none-any.whl") == (200, b"from here")
    files = counter(index, {"UV_DEFAULT_INDEX": f"file://{tmp_path}/simple"})
    assert get(files, "/files/flat/tiny-3.0-py3-none-any.whl") == (200, b"from here")
    assert get(files, "/simple/none/")[0] == 404


def test_an_index_beyond_this_machine_names_no_file_of_it(index: Index, tmp_path: Path) -> None:
    (tmp_path / "mine-1.0.tar.gz").write_bytes(b"secret")
    index.html("/simple/mine/", f"file://{tmp_path}/mine-1.0.tar.gz")
    status, body = get(counter(index), "/files/mine/mine-1.0.tar.gz")
    assert status == 403
    assert b"secret" not in body


def test_no_index_is_asked_where_this_machine_is_to_ask_none(index: Index) -> None:
    tiny(index)
    for name in ("PIP_NO_INDEX", "UV_OFFLINE", "UV_NO_INDEX"):
        assert get(counter(index, {name: "1"}), "/simple/tiny/")[0] == 404
    assert index.asked == []


def _authorization(index: Index) -> list[str | None]:
    return [headers.get("Authorization") for _, headers in index.asked]


def test_credentials_go_to_the_index_alone_and_never_inside(
    index: Index, elsewhere: Index, tmp_path: Path
) -> None:
    login = "Basic " + base64.b64encode(b"me:pass word").decode()
    tiny(index)
    index.pages["/f/tiny-1.0-py3-none-any.whl"] = Answer(
        status=302, headers={"Location": f"{elsewhere.url}/secret.whl"}
    )
    own = {"UV_DEFAULT_INDEX": f"http://me:pass%20word@127.0.0.1:{index.port}/simple"}
    named = {"UV_DEFAULT_INDEX": f"corp={index.url}/simple"}
    named |= {"UV_INDEX_CORP_USERNAME": "me", "UV_INDEX_CORP_PASSWORD": "pass word"}
    for environment in (own, named):
        mirror = counter(index, environment)
        index.asked.clear()
        answers = get(mirror, "/simple/tiny/"), get(mirror, "/files/tiny/tiny-1.0-py3-none-any.whl")
        assert _authorization(index) == [login, login]
        assert b"pass" not in b"".join(body for _, body in answers)
    assert elsewhere.asked == []
    (tmp_path / ".npmrc").write_text(f"//127.0.0.1:{index.port}/npm/:_authToken=${{TOKEN}}\n")
    index.asked.clear()
    get(counter(index, {"HOME": str(tmp_path), "TOKEN": "hush"}), "/npm/ms")
    assert _authorization(index) == ["Bearer hush"]


def test_what_a_page_names_over_https_is_asked_without_the_indexs_credentials() -> None:
    asked: list[tuple[str, bool]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append((request.url.host, "Authorization" in request.headers))
        if request.url.path == "/simple/tiny/":
            links = '<a href="https://files.example/tiny-1.0.whl"></a><a href="own-1.0.whl"></a>'
            return httpx.Response(200, headers={"Content-Type": "text/html"}, text=links)
        if request.url.path.endswith("/own-1.0.whl"):
            return httpx.Response(302, headers={"Location": "https://files.example/moved"})
        if request.url.path == "/moved":
            return httpx.Response(302, headers={"Location": "https://elsewhere.example/"})
        return httpx.Response(200, stream=httpx.ByteStream(b"wheel"))

    environment = {"UV_DEFAULT_INDEX": "https://me:pass@index.example/simple", "UV_NO_CONFIG": "1"}
    mirror = Counter(Indexes(environment, httpx.MockTransport(answer)), BOUNDS)
    assert get(mirror, "/files/tiny/tiny-1.0.whl") == (200, b"wheel")
    assert asked == [("index.example", True), ("files.example", False)]
    assert get(mirror, "/files/tiny/own-1.0.whl")[0] == 403
    assert asked[2:] == [("index.example", True), ("files.example", False)]


@pytest.mark.parametrize(
    "link",
    ["http://127.0.0.1:{port}/secret.whl", "https://127.0.0.1:{port}/secret.whl",
     "https://localhost:{port}/secret.whl", "https://[::1]:{port}/secret.whl",
     "https://x.localhost:{port}/secret.whl"],
)  # fmt: skip
def test_a_page_leads_nobody_to_the_services_of_this_machine(
    index: Index, elsewhere: Index, link: str
) -> None:
    index.html("/simple/evil/", link.format(port=elsewhere.port))
    assert get(counter(index), "/files/evil/secret.whl")[0] == 403
    assert elsewhere.asked == []


@pytest.mark.parametrize("what", ["page", "archive"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_index_redirects_to_itself_only(
    index: Index, elsewhere: Index, what: str, scheme: str
) -> None:
    tiny(index)
    away = Answer(
        status=307, headers={"Location": f"{scheme}://localhost:{elsewhere.port}/secret.whl"}
    )
    index.pages["/simple/away/" if what == "page" else "/f/tiny-1.0-py3-none-any.whl"] = away
    path = "/simple/away/" if what == "page" else "/files/tiny/tiny-1.0-py3-none-any.whl"
    assert get(counter(index), path)[0] == 403
    assert elsewhere.asked == []
    index.pages["/simple/moved/"] = Answer(status=301, headers={"Location": "/simple/tiny/"})
    assert get(counter(index), "/simple/moved/")[0] == 200
    index.pages["/simple/round/"] = Answer(status=301, headers={"Location": "/simple/round/"})
    assert get(counter(index), "/simple/round/")[0] == 502


def test_what_is_no_archive_is_not_on_the_page(index: Index) -> None:
    links = (
        "../../etc/passwd", "x-1.0.exe", "..%2f..%2fx-1.0.whl", "/a/..", "javascript:x-1.0.whl",
        "https://[bad/x-1.0.whl", "https://h:port/x-1.0.whl", "x y-1.0.whl", "%0d%0ax-1.0.whl",
        "data:x-1.0.whl", "-1.0.whl", "http:///x<b>-1.0.whl",
    )  # fmt: skip
    index.html("/simple/odd/", "good-1.0%2Bcu1.whl", *links)
    page = index.pages["/simple/odd/"]
    assert isinstance(page.body, bytes)
    index.pages["/simple/odd/"] = Answer(page.body + b"<a name=x></a>", page.kind)
    index.pages["/simple/odd/good-1.0%2Bcu1.whl"] = Answer(b"wheel")
    mirror = counter(index)
    _, told = get(mirror, "/simple/odd/")
    assert told.count(b"<a ") == 1
    assert b"/files/odd/good-1.0+cu1.whl" in told
    for name in ("good-1.0+cu1.whl", "good-1.0%2Bcu1.whl"):  # pip asks for the second
        assert get(mirror, f"/files/odd/{name}") == (200, b"wheel")


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b'{"files": 3}', b'{"files": [3]}', b'{"files": [{}]}', b"[" * 100_000,
     b'{"files": [{"url": 3}]}'],
    ids=range(7),
)  # fmt: skip
def test_what_is_no_page_harms_nobody(index: Index, body: bytes) -> None:
    index.pages["/simple/odd/"] = Answer(body, "application/vnd.pypi.simple.v1+json")
    index.pages["/npm/odd"] = Answer(body, "application/json")
    assert get(counter(index), "/simple/odd/")[0] in {404, 502}
    assert get(counter(index), "/npm/odd")[0] == 502


def test_names_are_counted_since_each_can_carry_something_out(index: Index) -> None:
    mirror = counter(index, bounds=BOUNDS._replace(pages=3))
    assert [get(mirror, f"/simple/x{n}/")[0] for n in range(5)] == [404, 404, 404, 429, 429]
    assert len(index.asked) == 3


ATTACKS: Mapping[str, tuple[bytes, set[int]]] = {
    "post": (b"POST /simple/tiny/ HTTP/1.1\r\nHost: %h\r\nContent-Length: 3\r\n\r\nabc", {405}),
    "put": (b"PUT /simple/tiny/ HTTP/1.1\r\nHost: %h\r\n\r\n", {405}),
    "connect": (b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: %h\r\n\r\n", {405}),
    "absolute": (b"GET http://127.0.0.1:22/simple/tiny/ HTTP/1.1\r\nHost: %h\r\n\r\n", {404}),
    "own absolute": (b"GET http://%h/simple/tiny/ HTTP/1.1\r\nHost: %h\r\n\r\n", {404}),
    "another host": (b"GET /simple/tiny/ HTTP/1.1\r\nHost: example.org\r\n\r\n", {421}),
    "no host": (b"GET /simple/tiny/ HTTP/1.0\r\n\r\n", {421}),
    "two hosts": (b"GET /simple/tiny/ HTTP/1.1\r\nHost: %h\r\nHost: %h\r\n\r\n", {400}),
    "body": (b"GET /simple/tiny/ HTTP/1.1\r\nHost: %h\r\nContent-Length: 3\r\n\r\nabc", {400}),
    "chunked": (
        b"GET /simple/tiny/ HTTP/1.1\r\nHost: %h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        {400},
    ),
    "both lengths": (
        b"GET /simple/tiny/ HTTP/1.1\r\nHost: %h\r\nContent-Length: 0\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        {400},
    ),
    "folded": (b"GET /simple/tiny/ HTTP/1.1\r\nHost: %h\r\nA: b\r\n\tc: d\r\nX : y\r\n\r\n", {400}),
    "nul": (b"GET /simple/ti\0ny/ HTTP/1.1\r\nHost: %h\r\n\r\n", {400}),
    "long": (b"GET /simple/%s/ HTTP/1.1\r\nHost: %%h\r\n\r\n" % (b"a" * 60_000), {431}),
    "long name": (b"GET /simple/%s/ HTTP/1.1\r\nHost: %%h\r\n\r\n" % (b"a" * 215), {404}),
    "junk": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 9 + b"\r\n\r\n", {400}),
    **{
        path: (b"GET %s HTTP/1.1\r\nHost: %%h\r\n\r\n" % path.encode().replace(b"%", b"%%"), {404})
        for path in (
            "/", "/simple/", "/simple/../tiny/", "/simple/%2e%2e/", "/simple/Tiny/",
            "//simple/tiny/",
            "/simple/tiny/?x=1", "/simple/tiny/#x", "/simple/tiny//", "/files/tiny/../x.whl",
            "/files/tiny/..%2f..%2fetc%2fpasswd", "/files/tiny/none-1.0.whl", "/files/tiny/.whl",
            "/npm/..", "/npm/@a%2f..%2fb", "/npm/@a%2fb%2fc", "/npm/-/v1/search", "/npm/a%2fb",
            "/npm/ms/-/../x.tgz", "/npm/-/npm/v1/security/audits", "*",
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_only_requests_for_pages_and_archives_are_understood(index: Index, name: str) -> None:
    tiny(index)
    request, expected = ATTACKS[name]
    answer = said(counter(index), request.replace(b"%h", HOST.encode()).replace(b"%%", b"%"))
    assert int(answer.split()[1]) in expected, answer
    assert set(index.paths) <= {"/simple/tiny/"}  # asked for by a file of it, and for nothing else


def test_a_second_request_behind_the_first_is_not_heard(index: Index) -> None:
    tiny(index)
    one = f"GET /simple/tiny/ HTTP/1.1\r\nHost: {HOST}\r\n\r\n"
    two = f"GET /simple/smuggled/ HTTP/1.1\r\nHost: {HOST}\r\n\r\n"
    answer = said(counter(index), (one + two).encode())
    assert answer.count(b"HTTP/1.1") == 1
    assert index.paths == ["/simple/tiny/"]
