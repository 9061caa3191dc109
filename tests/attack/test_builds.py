"""Archives and steps of template builds that mean harm."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.attack.wire import Answer, Wire, has_error_shape

_ID = iter(range(10_000))


def _tar(*members: tuple[str, bytes | None, str]) -> bytes:
    """(name, content or None, where a link leads to)"""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz", compresslevel=1) as tar:
        for name, content, link in members:
            info = tarfile.TarInfo(name)
            if content is None:
                info.type, info.linkname = tarfile.SYMTYPE, link
            else:
                info.size = len(content)
            tar.addfile(info, io.BytesIO(content or b""))
    return raw.getvalue()


def _device() -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        info = tarfile.TarInfo("x")
        info.type, info.devmajor, info.devminor = tarfile.BLKTYPE, 8, 0
        tar.addfile(info)
    return raw.getvalue()


def _bomb() -> bytes:
    info = tarfile.TarInfo("x")
    info.size = 260 * 1024 * 1024
    return gzip.compress(info.tobuf()) + gzip.compress(bytes(10 * 1024 * 1024)) * 26


def _build(wire: Wire, archive: bytes, *steps: dict[str, Any]) -> dict[str, Any]:
    """Ask for a build whose COPY has this archive; how it ended."""
    name = f"attack-{next(_ID)}-{time.time_ns()}"
    asked = wire.api("POST", "/v3/templates", {"name": name}).json()
    key = hashlib.sha256(archive).hexdigest()
    link = wire.api("GET", f"/templates/{asked['templateID']}/files/{key}").json()
    url = urlsplit(link["url"])
    assert wire.ask("PUT", f"{url.path}?{url.query}", archive, timeout=60).status == 200
    copy = {"type": "COPY", "args": ["x", "/app/", "", ""], "filesHash": key}
    path = f"/v2/templates/{asked['templateID']}/builds/{asked['buildID']}"
    body = {"fromImage": "e2bdev/base", "steps": [copy, *steps]}
    assert wire.api("POST", path, body).status == 202
    end = time.monotonic() + 60
    while time.monotonic() < end:
        told = wire.api("GET", f"{path.removeprefix('/v2')}/status").json()
        if told["status"] in ("ready", "error"):
            return dict(told)
        time.sleep(0.1)
    raise AssertionError(told)


@pytest.mark.parametrize(
    "make",
    [
        lambda: _tar(("../../../x", b"escaped", "")),
        lambda: _tar(("x", None, "/etc"), ("x/shadow", b"mine", "")),
        lambda: b"this is no archive",
        lambda: _tar(("y", b"another", "")),
        lambda: b"",
        _device,
        _bomb,
    ],
    ids=["above", "link-out", "no-archive", "not-in-it", "empty", "device", "bomb"],
)
def test_a_hostile_archive_fails_its_step_and_nothing_else(
    wire: Wire, make: Callable[[], bytes]
) -> None:
    told = _build(wire, make())
    assert told["status"] == "error"
    assert told["reason"]["step"] == "1"
    assert _build(wire, _tar(("x", b"fine", "")))["status"] == "ready"


def test_a_link_in_an_archive_leads_nowhere_on_the_host(wire: Wire) -> None:
    shown = {"type": "RUN", "args": ["cat /app/x || true"]}
    told = _build(wire, _tar(("x", None, "/etc/shadow")), shown)
    text = json.dumps(told)
    assert told["status"] == "ready"
    assert "root:" not in text


@pytest.mark.parametrize(
    "path",
    [
        f"/build-files/{'a' * 64}",
        f"/build-files/{'a' * 64}?token=",
        f"/build-files/{'a' * 64}?token={'0' * 64}",
        "/build-files/../templates/index.json?token=x",
        "/build-files/?token=%00",
        f"/build-files/{'a' * 64}?token=%C3%A9",
    ],
)
def test_an_upload_needs_the_token_of_its_own_address(wire: Wire, path: str) -> None:
    answer = wire.ask("PUT", path, b"x")
    assert answer.status == 401
    assert has_error_shape(answer)


def test_the_token_of_one_upload_opens_no_other(wire: Wire) -> None:
    asked = wire.api("POST", "/v3/templates", {"name": f"token-{time.time_ns()}"}).json()
    link = wire.api("GET", f"/templates/{asked['templateID']}/files/{'a' * 64}").json()
    token = urlsplit(link["url"]).query
    assert wire.ask("PUT", f"/build-files/{'b' * 64}?{token}", b"x").status == 401
    bad = wire.api("GET", f"/templates/{asked['templateID']}/files/..%2F..%2Findex.json")
    assert bad.status == 400


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"fromImage": "e2bdev/base", "fromTemplate": "base"},
        {"fromImage": "e2bdev/base", "steps": [1]},
        {"fromImage": "e2bdev/base", "steps": [{"type": "EVIL", "args": []}]},
        {"fromImage": "e2bdev/base", "steps": [{"type": "RUN", "args": [1]}]},
        {"fromImage": "e2bdev/base", "steps": [{"type": "RUN", "args": ["a\0b"]}]},
        {"fromImage": "e2bdev/base", "steps": [{"type": "ENV", "args": ["A", "\ud800"]}]},
        {"fromImage": "e2bdev/base", "startCmd": "\ud800"},
        {"fromImage": "e2bdev/base", "steps": [{"type": "COPY", "filesHash": "../x"}]},
        {"fromImage": "e2bdev/base", "steps": [{"type": "RUN", "args": ["x"]}] * 1001},
    ],
)
def test_a_malformed_build_is_refused(wire: Wire, body: dict[str, Any]) -> None:
    asked = wire.api("POST", "/v3/templates", {"name": f"bad-{time.time_ns()}"}).json()
    path = f"/v2/templates/{asked['templateID']}/builds/{asked['buildID']}"
    answer = wire.api("POST", path, body)
    assert answer.status == 400
    assert has_error_shape(answer)


@pytest.mark.parametrize(
    "body", [{}, {"name": "../x"}, {"name": "A B"}, {"name": 1}, {"name": "ok", "tags": ["a b"]}]
)
def test_a_name_that_no_template_can_have_is_refused(wire: Wire, body: dict[str, Any]) -> None:
    answer: Answer = wire.api("POST", "/v3/templates", body)
    assert answer.status == 400
    assert has_error_shape(answer)
