"""Bodies that are not what the endpoint expects: every one is refused in E2B's own shape."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.attack.endpoints import BODIES, STREAMS, UNARY
from tests.attack.wire import INTERPRETER, Sandbox, Wire, envelope, envelopes, has_error_shape

_CONNECT = {"Content-Type": "application/connect+json", "Connect-Protocol-Version": "1"}
_NESTED = b'{"metadata": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
_MALFORMED = [
    b"",
    b"null",
    b"[]",
    b"7",
    b'"text"',
    b"{",
    b"\xff\xfe\x00",
    b'{"a": \xed\xa0\x80}',
    b'{"timeout": NaN, "templateID": "x"}',
    b'{"timeout": 1e400, "templateID": "x"}',
    b'{"timeout": ' + b"9" * 5000 + b', "templateID": "x"}',
    _NESTED,
    b"\x00" * 1000,
]
_anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
_FIELDS = [
    "process", "cmd", "args", "cwd", "pid", "tag", "input", "signal", "path", "depth", "source",
    "destination", "recursive", "watcherId", "pty", "stdin", "envs", "size", "selector",
]  # fmt: skip
_objects = st.dictionaries(st.sampled_from(_FIELDS), _anything, max_size=4)


@pytest.mark.parametrize(("method", "path"), BODIES)
def test_a_malformed_body_is_refused(wire: Wire, method: str, path: str) -> None:
    for body in _MALFORMED:
        answer = wire.api(method, path.format(id="inobody"), body)
        assert 400 <= answer.status < 500, (body[:80], answer)
        assert has_error_shape(answer)


@pytest.mark.parametrize("path", UNARY)
def test_a_malformed_call_is_refused(wire: Wire, victim: Sandbox, path: str) -> None:
    for body in _MALFORMED:
        answer = wire.envd(victim, "POST", path, body)
        assert answer.status < 500, (body[:80], answer)
        if answer.status != 200:
            assert isinstance(answer.json()["code"], str | int)
    assert wire.is_healthy(victim)


@pytest.mark.parametrize("path", STREAMS)
def test_a_malformed_stream_is_refused(wire: Wire, victim: Sandbox, path: str) -> None:
    bodies = [envelope(body) for body in _MALFORMED]
    bodies += [
        b"",
        b"\x00",
        b"\x00\x00\x00\x00\x05{",  # says five bytes, sends one
        b"\x00\xff\xff\xff\xff{}",  # says four gigabytes
        envelope(b"{}", flags=1),  # compressed, says it
        envelope(b"{}", flags=0x80),
        envelope(b"{}", flags=2),
        b"not an envelope at all",
    ]
    for body in bodies:
        answer = wire.envd(victim, "POST", path, body, {**_CONNECT, "Connect-Timeout-Ms": "300"})
        assert answer.status < 500, (body[:80], answer)
        if answer.status == 200:
            no_input_is_fine = path.endswith("StreamInput")
            assert no_input_is_fine or "error" in envelopes(answer.body)[-1], (body[:80], answer)
    assert wire.is_healthy(victim)


def test_a_malformed_cell_is_refused(wire: Wire, victim: Sandbox) -> None:
    for path in ("/execute", "/contexts", "/contexts/x/restart"):
        for body in _MALFORMED:
            if path == "/contexts" and _may_be_empty(body):
                continue  # a context with every default
            token = {"X-Access-Token": victim.token}
            answer = wire.inside(victim, INTERPRETER, "POST", path, body, token)
            assert 400 <= answer.status < 500, (path, body[:80], answer)
    assert wire.is_healthy(victim)


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/execute", {"code": "1", "context_id": "\ud800"}),
        ("/execute", {"code": "1", "env_vars": {"A": "\ud800"}}),
        ("/contexts", {"cwd": "/\ud800"}),
    ],
)
def test_a_cell_s_words_that_nobody_can_write_are_refused(
    wire: Wire, victim: Sandbox, path: str, fields: dict[str, Any]
) -> None:
    token = {"X-Access-Token": victim.token}
    answer = wire.inside(victim, INTERPRETER, "POST", path, fields, token)
    assert answer.status == 400, answer


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(body=_objects, path=st.sampled_from([*UNARY, *STREAMS]))
def test_no_object_breaks_a_call(
    wire: Wire, victim: Sandbox, body: dict[str, Any], path: str
) -> None:
    # JSON as Python writes it: NaN and lone surrogates included.
    data, headers = json.dumps(body).encode("utf-8", "surrogatepass"), dict[str, str]()
    if path in STREAMS:
        data, headers = envelope(data), {**_CONNECT, "Connect-Timeout-Ms": "300"}
    answer = wire.envd(victim, "POST", path, data, headers)
    assert answer.status < 500 or answer.json()["code"] in {"internal", "unimplemented", "unknown"}


def test_an_oversized_body_is_refused_or_cut_short(wire: Wire, victim: Sandbox) -> None:
    huge = b'{"templateID": "' + b"x" * (64 * 1024 * 1024) + b'"}'
    try:
        answer = wire.api("POST", "/v2/sandboxes", huge)
    except (ConnectionResetError, BrokenPipeError):
        pass  # refused before it was read
    else:
        assert answer.status in {400, 413}
    assert wire.is_healthy(victim)


def test_a_bomb_of_gzip_is_stopped_by_the_disk(wire: Wire, victim: Sandbox) -> None:
    bomb = gzip.compress(bytes(10 * 1024 * 1024)) * 30
    headers = {"Content-Type": "application/octet-stream", "Content-Encoding": "gzip"}
    answer = wire.envd(victim, "POST", "/files?path=bomb", bomb, headers)
    assert answer.status == 507, answer
    assert has_error_shape(answer)
    wire.envd(victim, "POST", "/filesystem.Filesystem/Remove", {"path": "bomb"})


def test_a_broken_upload_is_refused(wire: Wire, victim: Sandbox) -> None:
    form = {"Content-Type": "multipart/form-data; boundary=b"}
    raw = {"Content-Type": "application/octet-stream"}
    part = b'--b\r\nContent-Disposition: form-data; name="file"; filename="%b"\r\n\r\nx\r\n'
    cases: list[tuple[str, bytes, dict[str, str]]] = [
        ("", b"x", raw),
        ("path=x", b"not gzip", {**raw, "Content-Encoding": "gzip"}),
        ("path=x", b"x", {**raw, "Content-Encoding": "br"}),
        ("path=x", b"x", {"Content-Type": "text/plain"}),
        ("path=x", b"x", {"Content-Type": "multipart/form-data"}),
        ("path=x", b"no boundary in it", form),
        ("path=x", part % b"a", form),  # never ends
        ("", part % b"" + b"--b--\r\n", form),  # no name at all
        ("", part % b"twice" + part % b"twice" + b"--b--\r\n", form),
        ("path=x", b"--b\r\n" + b"X: y\r\n" * 100_000 + b"\r\nx\r\n--b--\r\n", form),
        ("path=x", b"x", {**raw, "X-Metadata-k": "ü"}),
        ("path=x", b"x", {**raw, "X-Metadata-k": "v" * 5000}),
        ("path=x", b"x", {**raw, "X-Metadata-" + "k" * 300: "v"}),
    ]
    for query, body, headers in cases:
        answer = wire.envd(victim, "POST", f"/files?{query}", body, headers)
        assert answer.status == 400, (query, body[:60], headers, answer)
        assert has_error_shape(answer)


def _may_be_empty(body: bytes) -> bool:
    """Whether it names none of the fields, which all have defaults."""
    try:
        document = json.loads(body or b"{}")
    except ValueError:
        return False
    except RecursionError:
        return True
    return isinstance(document, dict) or document is None
