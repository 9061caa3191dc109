"""`e2brun doctor` tells the truth about this machine, and never tells the key."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from e2brun.sandbox.check import Status
from e2brun.sandbox.local.health import overlays
from tests.cli.conftest import on_a_terminal
from tests.conftest import Ran, Run
from tests.indexes import Answer, Index, index_served

KEY = "e2b_0123456789abcdef0123456789abcdef01234567"
NEEDS_BWRAP = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is missing")


@contextmanager
def endpoint(status: int, location: str = "") -> Iterator[Index]:
    """It answers the one question of doctor's so."""
    headers = {"Location": location} if location else {}
    with index_served() as index:
        index.pages["/v2/sandboxes?limit=1"] = Answer(b"[]", status=status, headers=headers)
        yield index


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's own takes seconds to be counted."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def nothing(tmp_path: Path) -> dict[str, str]:
    """An environment in whose PATH there is nothing."""
    (tmp_path / "bin").mkdir()
    return {"PATH": str(tmp_path / "bin")}


def document(ran: Ran) -> dict[str, Any]:
    assert ran.out.isascii()
    assert ran.out.count(b"\n") == 1
    found: dict[str, Any] = json.loads(ran.out)
    assert found["schema"] == 1
    assert found["version"]
    return found


def check(ran: Ran, name: str) -> dict[str, str]:
    return next(entry for entry in document(ran)["checks"] if entry["name"] == name)


@NEEDS_BWRAP
def test_where_a_sandbox_starts_all_is_well(e2brun: Run) -> None:
    ran = e2brun("doctor")
    assert ran.code == 0, ran.text
    assert "ok   sandbox" in ran.text
    assert "can run code here" in ran.text
    assert "\x1b" not in ran.text
    assert max(len(line) for line in ran.text.splitlines() if "/" not in line) <= 80


def test_what_sandboxes_share_is_told_where_overlays_are_refused() -> None:
    found = overlays("No such device: '/tmp/top'")
    assert found.status is Status.WARN
    assert "No such device" in found.found
    assert "inotify" in found.remedy
    assert overlays("").status is Status.OK


@NEEDS_BWRAP
def test_json_is_one_document_with_every_check(e2brun: Run) -> None:
    ran = e2brun("doctor", "--json")
    assert ran.code == 0
    found = document(ran)
    assert found["ok"] is True
    assert [entry["name"] for entry in found["checks"]] == [
        "python", "bubblewrap", "user-namespaces", "overlays", "seccomp", "cgroups", "uv",
        "network", "node", "cache", "e2b-key", "sandbox",
    ]  # fmt: skip
    assert all(set(e) == {"name", "status", "found", "remedy"} for e in found["checks"])


def test_without_bubblewrap_it_fails_and_says_what_to_install(
    e2brun: Run, nothing: dict[str, str]
) -> None:
    ran = e2brun("doctor", "--json", env=nothing)
    assert ran.code == 125
    assert document(ran)["ok"] is False
    for name in ("bubblewrap", "sandbox"):
        assert check(ran, name)["status"] == "fail"
        assert "apt-get update && apt-get install -y bubblewrap" in check(ran, name)["remedy"]
    assert check(ran, "network")["status"] == "warn"
    assert "apt-get update && apt-get install -y slirp4netns" in check(ran, "network")["remedy"]
    assert check(ran, "node")["status"] == "warn"


def test_a_bubblewrap_that_is_too_old_is_said(e2brun: Run, nothing: dict[str, str]) -> None:
    bwrap = Path(nothing["PATH"], "bwrap")
    bwrap.write_text("#!/bin/sh\necho bubblewrap 0.4.1\n")
    bwrap.chmod(0o755)
    ran = e2brun("doctor", "--json", env=nothing)
    assert ran.code == 125
    assert check(ran, "bubblewrap")["status"] == "fail"
    assert "0.8" in check(ran, "bubblewrap")["remedy"]
    assert check(ran, "sandbox")["status"] == "fail"


def test_a_key_that_is_accepted_is_enough(e2brun: Run, nothing: dict[str, str]) -> None:
    with endpoint(200) as server:
        env = {**nothing, "E2B_API_KEY": KEY, "E2B_API_URL": f"{server.url}/"}
        ran = e2brun("doctor", "--json", env=env)
    assert ran.code == 0
    ((path, headers),) = server.asked
    assert path == "/v2/sandboxes?limit=1"
    assert {name.lower(): value for name, value in headers.items()}["x-api-key"] == KEY
    assert check(ran, "e2b-key")["found"] == "found in E2B_API_KEY (not shown)"
    assert check(ran, "e2b-endpoint")["status"] == "ok"
    assert KEY.encode() not in ran.out
    assert KEY not in ran.err


def test_the_key_of_a_dotenv_is_found_there(
    e2brun: Run, nothing: dict[str, str], tmp_path: Path
) -> None:
    with endpoint(200) as server:
        (tmp_path / ".env").write_text(f"E2B_KEY={KEY}\nE2B_API_URL={server.url}\n")
        ran = e2brun("doctor", env=nothing)
    assert ran.code == 0
    assert ".env:1" in ran.text
    assert KEY[4:] not in ran.text


@pytest.mark.parametrize(
    ("status", "verdict", "said"),
    [
        (403, "fail", "rejects the key"),
        (404, "fail", "no E2B endpoint"),
        (429, "warn", "too many requests"),
        (502, "fail", "in trouble"),
    ],
)
def test_any_other_answer_is_not_enough(
    status: int, verdict: str, said: str, e2brun: Run, nothing: dict[str, str]
) -> None:
    with endpoint(status) as server:
        env = {**nothing, "E2B_API_KEY": KEY, "E2B_API_URL": server.url}
        ran = e2brun("doctor", "--json", env=env)
    assert ran.code == 125
    answer = check(ran, "e2b-endpoint")
    assert answer["status"] == verdict
    assert said in answer["found"]
    assert answer["remedy"]
    assert KEY.encode() not in ran.out


def test_a_redirect_does_not_take_the_key_along(e2brun: Run, nothing: dict[str, str]) -> None:
    with endpoint(200) as other, endpoint(302, f"{other.url}/v2/sandboxes") as server:
        env = {**nothing, "E2B_API_KEY": KEY, "E2B_API_URL": server.url}
        ran = e2brun("doctor", env=env)
    assert ran.code == 125
    assert len(server.asked) == 1
    assert other.asked == []


def test_an_endpoint_that_does_not_answer_is_given_up(e2brun: Run, nothing: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        env = {**nothing, "E2B_API_KEY": KEY, "E2B_API_URL": url}
        ran = e2brun("doctor", "--json", env=env, timeout=20)
    assert ran.code == 125
    assert "no answer in 5 s" in check(ran, "e2b-endpoint")["found"]


def test_what_stands_in_the_address_is_not_told_either(
    e2brun: Run, nothing: dict[str, str]
) -> None:
    env = {**nothing, "E2B_API_KEY": KEY, "E2B_API_URL": f"http://user:{KEY}@127.0.0.1:1"}
    ran = e2brun("doctor", "--json", env=env)
    assert check(ran, "e2b-endpoint")["found"].startswith("127.0.0.1:1: ")
    assert KEY.encode() not in ran.out


@NEEDS_BWRAP
def test_a_rejected_key_does_not_hide_that_the_sandbox_works(e2brun: Run) -> None:
    with endpoint(401) as server:
        env = {"E2B_API_KEY": KEY, "E2B_API_URL": server.url}
        ran = e2brun("doctor", "--json", env=env)
    assert ran.code == 0
    assert check(ran, "e2b-endpoint")["status"] == "fail"


def test_wrong_settings_are_a_finding(e2brun: Run, nothing: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.e2brun]\nmemroy = "1G"\n')
    ran = e2brun("doctor", "--json")
    assert ran.code == 125
    assert check(ran, "settings")["status"] == "fail"
    assert "memory" in check(ran, "settings")["found"]


def _stand_in(directory: str, name: str, body: str) -> None:
    path = Path(directory, name)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def _apt(directory: str, log: Path) -> None:
    """An apt-get that only writes down what it was told."""
    _stand_in(directory, "apt-get", f'echo "$DEBIAN_FRONTEND $*" >> {log}; echo from-apt')
    _stand_in(directory, "sudo", 'exec "$@"')
    _stand_in(directory, "env", 'exec /usr/bin/env "$@"')


def test_fix_does_not_install_without_being_told(
    e2brun: Run, nothing: dict[str, str], tmp_path: Path
) -> None:
    _apt(nothing["PATH"], tmp_path / "log")
    ran = e2brun("doctor", "--fix", env=nothing)
    assert ran.code == 125
    assert "--yes" in ran.err
    assert not (tmp_path / "log").exists()


def test_fix_with_yes_updates_installs_and_looks_again(
    e2brun: Run, nothing: dict[str, str], tmp_path: Path
) -> None:
    _apt(nothing["PATH"], tmp_path / "log")
    ran = e2brun("doctor", "--fix", "--yes", "--json", env=nothing)
    assert ran.code == 125  # this apt-get installs nothing
    assert document(ran)["ok"] is False
    assert "from-apt" in ran.err
    assert (tmp_path / "log").read_text().splitlines() == [
        "noninteractive update",
        "noninteractive install -y --no-install-recommends bubblewrap slirp4netns",
    ]


def test_fix_stops_where_apt_fails(e2brun: Run, nothing: dict[str, str], tmp_path: Path) -> None:
    _apt(nothing["PATH"], tmp_path / "log")
    _stand_in(nothing["PATH"], "apt-get", f"echo $1 >> {tmp_path / 'log'}; exit 100")
    ran = e2brun("doctor", "--fix", "--yes", env=nothing)
    assert ran.code == 125
    assert "exit code 100" in ran.err
    assert (tmp_path / "log").read_text() == "update\n"


def test_fix_without_apt_is_refused_politely(e2brun: Run, nothing: dict[str, str]) -> None:
    ran = e2brun("doctor", "--fix", "--yes", env=nothing)
    assert ran.code == 125
    assert "needs apt-get" in ran.err


@pytest.mark.parametrize(("typed", "installs"), [(b"\n", False), (b"y\n", True)])
def test_fix_asks_on_a_terminal(
    typed: bytes, installs: bool, nothing: dict[str, str], tmp_path: Path
) -> None:
    _apt(nothing["PATH"], tmp_path / "log")
    said = on_a_terminal("doctor", "--fix", cwd=tmp_path, env=nothing, typed=typed)[1]
    assert "install bubblewrap, slirp4netns with apt-get? [y/N]" in said
    assert (tmp_path / "log").exists() is installs


def test_colour_is_for_a_terminal_that_wants_it(nothing: dict[str, str], tmp_path: Path) -> None:
    assert "\x1b[31mfail" in on_a_terminal("doctor", cwd=tmp_path, env=nothing)[1]
    for more in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert "\x1b" not in on_a_terminal("doctor", cwd=tmp_path, env={**nothing, **more})[1]
