"""/files: contents up and down, and who may (E2B_PROTOCOL 4)."""

from __future__ import annotations

import gzip
import zlib

import pytest

from e2brun.server.http import messages
from e2brun.server.http.messages import Request
from tests.server.envd_client import Envd, part

pytestmark = pytest.mark.anyio

END = b"--XX--\r\n"


async def test_what_goes_up_comes_down_whatever_its_size(envd: Envd) -> None:
    for size in (0, 1, 64 * 1024, 64 * 1024 + 1, 3_000_000):
        content = bytes(range(251)) * (size // 251) + bytes(size % 251)
        answer = await envd.put("a/b/f", content)
        assert answer.json == [{"name": "f", "path": "/home/user/a/b/f", "type": "file"}]
        answer = await envd.get("~/a/b/f")
        assert (answer.status, answer.complete) == (200, True)
        assert answer.body == content
        assert answer.headers["content-length"] == str(size)


async def test_a_form_stores_its_files_under_their_whole_names(envd: Envd) -> None:
    body = part("file", "/tmp/d/%22é.txt", b"one") + part("other", "no", b"ignored")
    body += part("file", "rel/two", b"x" * 100_000) + part("file", "E", b"") + END
    answer = await envd.form(body)
    assert [told["path"] for told in answer.json] == [
        "/tmp/d/%22é.txt",
        "/home/user/rel/two",
        "/home/user/E",
    ]
    assert (await envd.get("/tmp/d/%22é.txt")).body == b"one"
    assert (await envd.get("rel/two")).body == b"x" * 100_000
    assert (await envd.get("no")).status == 404


async def test_a_part_without_a_filename_is_stored_under_the_path(envd: Envd) -> None:
    assert (await envd.form(part("file", None, b"plain") + END, path="p")).status == 200
    assert (await envd.get("p")).body == b"plain"
    assert (await envd.form(part("file", "q", b"path wins") + END, path="p")).status == 200
    assert (await envd.get("p")).body == b"path wins"
    assert (await envd.form(part("file", None, b"") + END)).status == 400


async def test_a_malformed_form_is_refused_and_no_line_of_the_log(
    envd: Envd, caplog: pytest.LogCaptureFixture
) -> None:
    bodies = [
        b"",
        b"junk",
        part("file", "f", b"x"),
        part("file", "f", b"x")[:-4],
        part("file", "same", b"1") + part("file", "./same", b"2") + END,
        part("file", "a\0b", b"") + END,
        b"--XX\r\nno header\r\n\r\n" + END,
        b"--XX\r\nContent-Disposition: " + b"x" * 100_000,
    ]

    for body in bodies:
        answer = await envd.form(body)
        assert (answer.status, answer.json["code"]) == (400, 400), (body, answer.body)
    assert not caplog.records


async def test_the_names_of_a_form_are_not_kept_without_end(
    envd: Envd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "KEPT_LIMIT", 1_000_000)
    names = ["/tmp/" + "./" * 1000 + "/" * count + "f" for count in range(200)]  # all one file
    body = b"".join(part("file", name, b"") for name in names) + END
    assert (await envd.form(body)).status == 503
    assert not Request.kept
    short = b"".join(part("file", f"/tmp/{number}", b"") for number in range(200)) + END
    assert (await envd.form(short)).status == 200


async def test_a_compressed_body_is_stored_expanded(envd: Envd) -> None:
    squeezed = {"content-encoding": "gzip"}
    body = gzip.compress(b"one" * 50_000) + gzip.compress(b"two")
    assert (await envd.put("g", body, squeezed)).status == 200
    assert (await envd.get("g")).body == b"one" * 50_000 + b"two"
    for bad in (b"junk", b"", body[:-2]):
        assert (await envd.put("h", bad, squeezed)).status == 400
    assert (await envd.put("h", body, {"content-encoding": "br"})).status == 400
    assert (await envd.put("h", b"{}", {"content-type": "application/json"})).status == 400
    assert (await envd.put("", b"no path")).status == 400


async def test_metadata_is_kept_shown_and_cleared(envd: Envd) -> None:
    answer = await envd.put("m", b"", {"x-metadata-a": "1 2", "x-metadata-b": ""})
    assert answer.json[0]["metadata"] == {"a": "1 2", "b": ""}
    assert (await envd.entry("m"))["metadata"] == {"a": "1 2", "b": ""}
    await envd.python(
        "import os; os.setxattr('m', 'user.e2b.c', b'in'); os.setxattr('m', 'user.other', b'x')"
    )
    assert (await envd.entry("m"))["metadata"] == {"a": "1 2", "b": "", "c": "in"}
    assert "metadata" not in (await envd.put("m", b"")).json[0]
    assert "metadata" not in await envd.entry("m")
    for bad in (
        {"x-metadata-": "v"},
        {"x-metadata-a": "\xe9"},
        {"x-metadata-" + "k" * 247: "v"},
        {"x-metadata-a": "v" * 4096},
        {"x-metadata-a": "v" * 1001},
    ):
        assert (await envd.put("m", b"", bad)).status == 400
    assert (await envd.put("m", b"", {"x-metadata-a": "v" * 1000})).status == 200
    assert (await envd.put("m", b"", {"x-metadata-" + "k" * 246: "v"})).status == 200


async def test_an_existing_file_keeps_its_inode_and_mode(envd: Envd) -> None:
    await envd.put("f", b"old")
    assert (await envd.entry("f"))["mode"] == 0o644
    await envd.python("import os; os.link('f', 'g'); os.chmod('f', 0o400)")
    assert (await envd.put("f", b"new")).status == 200
    assert (await envd.get("g")).body == b"new"
    assert (await envd.entry("f"))["permissions"] == "-r--------"


async def test_ranges_and_conditions(envd: Envd) -> None:
    for size in (1000, 1_000_000):
        content = bytes(n % 256 for n in range(size))
        await envd.put("f", content)
        whole = await envd.get("f")
        for wanted, piece in (
            ("bytes=0-1", content[:2]),
            ("bytes=5-9", content[5:10]),
            (f"bytes={size - 3}-", content[-3:]),
            ("bytes=-4", content[-4:]),
            (f"bytes=1-{size * 9}", content[1:]),
        ):
            answer = await envd.get("f", {"range": wanted})
            assert (answer.status, answer.body) == (206, piece), wanted
            first = size - len(piece) if piece[-1:] == content[-1:] else content.index(piece)
            told = f"bytes {first}-{first + len(piece) - 1}/{size}"
            assert answer.headers["content-range"] == told
        for ignored in ("bytes=9-5", "bytes=-", "lines=1-2", "bytes=0-1,3-4"):
            assert (await envd.get("f", {"range": ignored})).status == 200
        beyond = await envd.get("f", {"range": f"bytes={size}-"})
        assert (beyond.status, beyond.headers["content-range"]) == (416, f"bytes */{size}")
        for condition in (
            {"if-none-match": whole.headers["etag"]},
            {"if-modified-since": whole.headers["last-modified"]},
        ):
            assert (await envd.get("f", condition)).status == 304
        old = {"range": "bytes=0-1", "if-range": '"other"'}
        assert (await envd.get("f", old)).status == 200


async def test_encodings_that_the_client_accepts(envd: Envd) -> None:
    await envd.put("f", b"text" * 100_000)
    for fine in ("gzip, deflate", "gzip", "", "br", "*", "identity"):
        answer = await envd.get("f", {"accept-encoding": fine})
        assert answer.body == b"text" * 100_000
        assert answer.headers["vary"] == "Accept-Encoding"
    answer = await envd.get("f", {"accept-encoding": "gzip, identity;q=0"})
    assert answer.headers["content-encoding"] == "gzip"
    assert zlib.decompress(answer.body, 31) == b"text" * 100_000
    for never in ("br, identity;q=0", "*;q=0"):
        assert (await envd.get("f", {"accept-encoding": never})).status == 406


async def test_names_for_saving_are_quoted_as_they_must_be(envd: Envd) -> None:
    for name, told in (
        ("plain.txt", "inline; filename=plain.txt"),
        ('a "b"', 'inline; filename="a \\"b\\""'),
        ("é\r\nX: y", "inline; filename*=utf-8''%C3%A9%0D%0AX%3A%20y"),
    ):
        await envd.put(name, b"")
        assert (await envd.get(name)).headers["content-disposition"] == told


async def test_what_is_no_file_is_refused_at_once(envd: Envd) -> None:
    await envd.python("import os; os.mkfifo('fifo'); os.symlink('loop', 'loop'); os.mkdir('d')")
    for path in ("d", "fifo", "loop", "x" * 300, "/" + "d/" * 3000, "a\0b", "/dev/tty"):
        assert (await envd.get(path)).status == 400, path
        assert (await envd.put(path, b"x")).status == 400, path
    for path in ("nowhere", "fifo/x"):
        assert (await envd.get(path)).status == 404
    assert (await envd.get("nowhere")).json["message"] == (
        "path '/home/user/nowhere' does not exist"
    )
    for path in ("/proc/1/mem", "/proc/1/environ"):
        assert (await envd.get(path)).status == 403
    for path in ("/usr/bin/env", "/proc/self/oom_score_adj"):
        assert (await envd.put(path, b"x")).status == 403
    assert (await envd.put("/dev/null", b"x")).status == 400


async def test_what_the_kernel_makes_up_is_read_to_its_end(envd: Envd) -> None:
    answer = await envd.get("/proc/sys/kernel/random/boot_id")
    assert len(answer.body) == 37
    await envd.put(b"/tmp/\xff\xfe", b"odd name")
    assert (await envd.get(b"/tmp/\xff\xfe")).body == b"odd name"


async def test_a_full_disk_is_told_and_ends_nothing(envd: Envd) -> None:
    assert (await envd.put("big", bytes(40 << 20))).status == 507
    assert (await envd.call("Remove", path="big")).status == 200
    assert (await envd.put("small", b"x")).status == 200


async def test_users_have_homes_and_strangers_none(envd: Envd) -> None:
    assert (await envd.put("f", b"", username="stranger")).status == 401
    assert (await envd.get("f", username="stranger")).status == 401
    answer = await envd.get(".", username="root")
    assert (answer.status, answer.json["message"]) == (400, "path '/root' is a directory")
