"""What bounds the mirror, for a sandbox that does not play along, and for such an index."""

from __future__ import annotations

import gzip
import itertools
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from e2brun.sandbox.local.mirror import counter as counting
from e2brun.sandbox.local.mirror import python_index, upstream
from e2brun.sandbox.local.mirror.counter import Counter, Indexes, Portion
from tests.indexes import Answer, Index, index_served
from tests.unit.test_mirror import BOUNDS, HOST, MIB, PATIENT, counter, get, said
from tests.waiting import until

_ARCHIVE = "/files/big/big-1.0.tar.gz"


@pytest.fixture
def index() -> Iterator[Index]:
    with index_served() as running:
        running.html("/simple/big/", "big-1.0.tar.gz", "big-2.0.tar.gz", "big-3.0.tar.gz")
        running.html("/simple/tiny/", "tiny-1.0.whl")
        yield running


@contextmanager
def served(mirror: Counter) -> Iterator[tuple[socket.socket, Callable[[], bool]]]:
    """A connection to it, and whether it is still being served."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        client = socket.create_connection(door.getsockname())
        caller, _ = door.accept()
        serving = threading.Thread(target=mirror.serve, args=(caller,))
        serving.start()
        with client, caller:
            yield client, serving.is_alive
        serving.join(PATIENT)


def test_several_archives_at_once_are_no_more_than_one_after_the_other(index: Index) -> None:
    """Each was told how much is left when it began."""
    begun, go_on = threading.Semaphore(0), threading.Event()

    def body() -> Iterator[bytes]:
        yield b"x"
        begun.release()
        go_on.wait(PATIENT)
        yield b"x" * (MIB - 1)

    paths = [f"/files/big/big-{number}.0.tar.gz" for number in (1, 2, 3)]
    for path in paths:
        index.pages[path.replace("files", "simple")] = Answer(body())
    mirror, sizes = counter(index, bounds=Portion(MIB, MIB)), list[int]()
    askers = [
        threading.Thread(target=lambda path=path: sizes.append(len(get(mirror, path)[1])))
        for path in paths
    ]
    for asker in askers:
        asker.start()
    assert all(begun.acquire(timeout=PATIENT) for _ in paths)
    go_on.set()
    for asker in askers:
        asker.join(PATIENT)
    assert len(sizes) == 3
    assert sum(sizes) <= MIB + 100_000


@pytest.mark.parametrize("byte", [b"", b"G"])
def test_a_request_that_comes_byte_by_byte_is_given_up(index: Index, byte: bytes) -> None:
    with served(counter(index, bounds=BOUNDS._replace(asking=0.5))) as (client, goes_on):
        for _ in range(5000):  # each in less time than is waited for at the end
            time.sleep(0.004)
            with suppress(OSError):
                client.send(byte)
            if not goes_on():
                return
        raise AssertionError


def test_who_does_not_take_an_archive_is_left(index: Index) -> None:
    index.pages["/simple/big/big-1.0.tar.gz"] = Answer(b"x" * (12 * MIB))
    patient = Portion(64 * MIB, 16 * MIB, idle=0.2)
    with served(counter(index, bounds=patient)) as (client, goes_on):
        client.sendall(f"GET {_ARCHIVE} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        until(lambda: not goes_on())


def test_an_archive_that_comes_too_slowly_is_given_up(index: Index) -> None:
    def drip() -> Iterator[bytes]:
        for _ in range(1000):
            time.sleep(0.02)
            yield b"x"

    index.pages["/simple/big/big-1.0.tar.gz"] = Answer(drip())
    status, body = get(counter(index, bounds=BOUNDS._replace(sending=0.2)), _ARCHIVE)
    assert status == 200  # it had begun: it breaks off
    assert len(body) < 500


def test_an_index_that_takes_the_question_and_says_nothing_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(upstream, "_TIMEOUT", httpx.Timeout(0.2))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silently = Index(silent.getsockname()[1])
        assert get(counter(silently), "/simple/tiny/")[0] == 502


def test_no_more_files_are_remembered_than_there_is_room_for(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.pages["/simple/tiny/tiny-1.0.whl"] = Answer(b"wheel")
    mirror = counter(index)
    monkeypatch.setattr(counting, "_REMEMBERED", 3)
    get(mirror, "/simple/tiny/")
    assert get(mirror, "/files/tiny/tiny-1.0.whl")[0] == 200
    assert index.paths.count("/simple/tiny/") == 1
    get(mirror, "/simple/big/")
    assert get(mirror, "/files/tiny/tiny-1.0.whl")[0] == 200
    assert index.paths.count("/simple/tiny/") == 2
    monkeypatch.setattr(counting, "_FRESH_SECONDS", -1)
    assert get(mirror, "/files/tiny/tiny-1.0.whl")[0] == 200
    assert index.paths.count("/simple/tiny/") == 3
    monkeypatch.setattr(python_index, "_MOST_FILES", 2)
    assert get(mirror, "/simple/big/")[1].count(b"<a ") == 2


@pytest.mark.parametrize(
    "link",
    ["http://files.example/x-1.0.whl", "https://other.example/x-1.0.whl",
     "http://index.example:443/x-1.0.whl", "https://plain.example/x-1.0.whl"],
)  # fmt: skip
def test_another_host_is_asked_over_https_only_and_only_where_a_page_names_it(link: str) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        if request.url.path.endswith("/away-1.0.whl"):
            return httpx.Response(302, headers={"Location": link})
        if request.url.path == "/simple/moved/":  # a page is nowhere else
            return httpx.Response(302, headers={"Location": "https://files.example/y/"})
        links = "https://files.example/y-1.0.whl", "http://plain.example/z-1.0.whl", "away-1.0.whl"
        page = "".join(f'<a href="{one}"></a>' for one in links)
        return httpx.Response(200, headers={"Content-Type": "text/html"}, text=page)

    given = {"UV_DEFAULT_INDEX": "https://index.example/simple", "UV_NO_CONFIG": "1"}
    mirror = Counter(Indexes(given, httpx.MockTransport(answer)), BOUNDS)
    assert get(mirror, "/files/x/away-1.0.whl")[0] == 403
    assert link not in asked
    assert get(mirror, "/simple/moved/")[0] == 403


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "[::1]", "localhost", "a.localhost."]
)
def test_a_page_sends_to_no_number_and_not_to_this_machine(index: Index, host: str) -> None:
    index.html("/simple/odd/", f"https://{host}:1/odd-1.0.whl")
    assert get(counter(index), "/files/odd/odd-1.0.whl")[0] == 403


@pytest.mark.parametrize("kind", ["https", "insecure"])
def test_the_certificate_of_an_index_is_looked_at_unless_its_host_is_named_for_that(
    kind: str, tmp_path: Path
) -> None:
    pytest.importorskip("cryptography")
    from e2brun.server.https.authority import Authority

    with index_served() as plain, index_served(Authority(tmp_path).context()) as index:
        for one in (plain, index):
            one.html("/simple/tiny/", "tiny-1.0.whl")
        url = f"https://127.0.0.1:{index.port}"
        given = {"UV_DEFAULT_INDEX": f"{url}/simple"}
        if kind == "insecure":
            given["UV_INSECURE_HOST"] = f"127.0.0.1:{index.port}"
        expected = 200 if kind == "insecure" else 502
        assert get(counter(plain, given), "/simple/tiny/")[0] == expected


def test_only_the_index_itself_is_asked_without_a_look_at_its_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("cryptography")
    from e2brun.server.https.authority import Authority

    find = socket.getaddrinfo

    def here(_host: str, *given: Any, **more: Any) -> Any:
        return find("127.0.0.1", *given, **more)

    monkeypatch.setattr(socket, "getaddrinfo", here)
    with index_served(Authority(tmp_path).context()) as index:
        index.html("/simple/x/", "x-1.0.whl", f"https://files.example:{index.port}/y-1.0.whl")
        index.pages["/simple/x/x-1.0.whl"] = index.pages["/y-1.0.whl"] = Answer(b"wheel")
        given = {"UV_DEFAULT_INDEX": f"https://127.0.0.1:{index.port}/simple"}
        mirror = counter(index, given | {"UV_INSECURE_HOST": "127.0.0.1"})
        assert [get(mirror, f"/files/x/{name}-1.0.whl")[0] for name in "xy"] == [200, 502]


def test_only_regular_files_of_a_directory_are_given_out(index: Index, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe-1.0.tar.gz")
    (tmp_path / "folder-1.0.tar.gz").mkdir()
    mirror = counter(index, {"UV_FIND_LINKS": str(tmp_path)})
    answers: list[int] = []

    def ask() -> None:
        answers.extend(get(mirror, f"/files/{n}/{n}-1.0.tar.gz")[0] for n in ("folder", "pipe"))

    asker = threading.Thread(target=ask, daemon=True)
    asker.start()
    asker.join(PATIENT)
    assert answers == [404, 404]
    (tmp_path / "late-1.0.tar.gz").write_bytes(b"x")
    given, late = {"UV_FIND_LINKS": str(tmp_path)}, BOUNDS._replace(sending=-1.0)
    assert get(counter(index, given, late), "/files/late/late-1.0.tar.gz")[1] == b""


def test_what_is_compressed_is_not_unpacked_on_the_way_unless_it_is_a_page(index: Index) -> None:
    packed = gzip.compress(bytes(8 * MIB))
    index.pages["/simple/big/big-1.0.tar.gz"] = Answer(packed, headers={"Content-Encoding": "gzip"})
    mirror = counter(index)
    assert get(mirror, _ARCHIVE) == (200, packed)
    assert index.asked[-1][1]["Accept-Encoding"] == "identity"
    index.pages["/simple/odd/"] = Answer(b"x", "text/html", headers={"Content-Encoding": "deflate"})
    assert get(mirror, "/simple/odd/")[0] == 502
    bomb = gzip.compress(bytes(40 * MIB))
    index.pages["/simple/bomb/"] = Answer(bomb, "text/html", headers={"Content-Encoding": "gzip"})
    assert get(mirror, "/simple/bomb/")[0] == 502


def test_addresses_that_are_none_are_refused(index: Index) -> None:
    index.pages["/simple/odd/"] = Answer(status=302, headers={"Location": "http://127.0.0.1:port/"})
    assert get(counter(index), "/simple/odd/")[0] == 502
    assert get(counter(index, {"UV_DEFAULT_INDEX": "http://h:port/simple"}), "/simple/x/")[0] == 502
    index.pages["/simple/odd/"] = Answer(b"<a href=x-1.0.whl></a>", "text/html", 500)
    assert get(counter(index), "/simple/odd/")[0] == 502
    index.html("/simple/odd/", "a\x01/x-1.0.whl")
    assert get(counter(index), "/files/odd/x-1.0.whl")[0] == 502
    links = ("https://[::1/x-1.0.whl", 'x-1.0.whl#sha256=a"onclick="b')
    index.html("/simple/odd/", *(link.replace('"', "&quot;") for link in links))
    page = get(counter(index), "/simple/odd/")[1]
    assert page.count(b"<a ") == 1
    assert b"onclick" not in page
    dist = {"tarball": "file:///etc/passwd", "unpackedSize": 3}
    index.json("/npm/odd", {"versions": {"1.0.0": {"dist": dist}}})
    status, document = get(counter(index), "/npm/odd")
    assert status == 200
    assert b"passwd" not in document
    assert get(counter(index), "/npm/odd/-/passwd")[0] == 404


def test_an_archive_without_end_is_cut_at_the_limit(index: Index) -> None:
    index.html("/simple/big/", "big-1.0.tar.gz", "told-1.0.tar.gz", "some-1.0.tar.gz")
    index.pages["/simple/big/big-1.0.tar.gz"] = Answer(itertools.repeat(b"x" * 65536))
    index.pages["/simple/big/told-1.0.tar.gz"] = Answer(headers={"Content-Length": str(2 * MIB)})
    index.pages["/simple/big/some-1.0.tar.gz"] = Answer(b"y" * (MIB - 1))
    mirror = counter(index)
    request = f"GET /files/big/big-1.0.tar.gz HTTP/1.1\r\nHost: {HOST}\r\n\r\n"
    answer = said(mirror, request.encode())
    assert len(answer) <= MIB + 65536
    assert not answer.endswith(b"\r\n0\r\n\r\n")  # nobody takes it for a whole one
    assert get(mirror, "/files/big/told-1.0.tar.gz")[0] == 413
    taken = [get(mirror, "/files/big/some-1.0.tar.gz")[0] for _ in range(4)]
    assert taken == [200, 200, 413, 413]  # of all that it may have, the endless one was a part


def test_large_pages_are_read_one_at_a_time_and_small_ones_are_not_kept_waiting(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upstream, "_LARGE", 100)
    begun, go_on = threading.Event(), threading.Event()

    def held() -> Iterator[bytes]:
        yield b" " * 200
        begun.set()
        go_on.wait(PATIENT)
        yield b"<a href=held-1.0.whl></a>"

    indexes = counter(index)._indexes
    one, other = (Counter(indexes, BOUNDS._replace(page=s)) for s in (PATIENT, 0.5))
    index.pages["/simple/held/"] = Answer(held(), "text/html")
    index.pages["/simple/large/"] = Answer(b" " * 300 + b"<a href=large-1.0.whl></a>", "text/html")
    told: list[tuple[int, bytes]] = []
    asking = threading.Thread(target=lambda: told.append(get(one, "/simple/held/")))
    asking.start()
    assert begun.wait(PATIENT)
    assert get(other, "/simple/large/")[0] == 503
    assert get(other, "/simple/tiny/")[0] == 200
    go_on.set()
    asking.join(PATIENT)
    assert b"held-1.0.whl" in told[0][1]
    assert get(other, "/simple/large/")[0] == 200


def test_a_page_that_is_nothing_but_marks_is_not_read(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upstream, "_MOST_MARKS", 1000)
    index.pages["/simple/odd/"] = Answer(b"<a " * 2000, "text/html")
    assert get(counter(index), "/simple/odd/")[0] == 502
    index.json("/simple/odd/", {"files": [1] * 2000})
    assert get(counter(index), "/simple/odd/")[0] == 502
    index.json("/npm/odd", {"versions": [1] * 2000})
    assert get(counter(index), "/npm/odd") == (502, b"e2brun: the index sent no page\n")
    index.pages["/simple/odd/"] = Answer(b"<![" * 3, "text/html")
    assert get(counter(index), "/simple/odd/")[0] in {404, 502}  # some versions of Python read it


def test_a_page_without_end_is_given_up(index: Index) -> None:
    index.pages["/simple/huge/"] = Answer(itertools.repeat(b" " * MIB), "text/html")
    assert get(counter(index), "/simple/huge/")[0] == 502


def test_a_slow_index_is_given_up(index: Index) -> None:
    def drip() -> Iterator[bytes]:
        for _ in range(1000):
            time.sleep(0.02)
            yield b" "

    index.pages["/simple/slow/"] = Answer(drip(), "text/html")
    started = time.monotonic()
    assert get(counter(index, bounds=BOUNDS._replace(page=0.1)), "/simple/slow/")[0] == 504
    assert time.monotonic() - started < 15


def test_a_sandbox_that_says_nothing_is_let_go(index: Index) -> None:
    mirror = counter(index, bounds=BOUNDS._replace(asking=0.1))
    assert said(mirror, b"GET /simple/tiny/ HTTP/1.1\r\n") == b""


def test_an_index_that_does_not_answer_is_said_to(index: Index) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    nowhere = {"UV_DEFAULT_INDEX": f"http://me:secret@127.0.0.1:{port}/simple"}
    mirror = counter(index, nowhere)
    status, body = get(mirror, "/simple/tiny/")
    assert status == 502
    assert body == b"e2brun: the index did not answer: ConnectError\n"
