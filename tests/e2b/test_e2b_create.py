from __future__ import annotations

import os
import socket
import time
from urllib.parse import urlsplit

import pytest

from e2brun.errors import InstallFailed, SandboxUnavailable, Unsupported, UsageError
from e2brun.sandbox.contract import Limits, SandboxSpec
from e2brun.sandbox.e2b import Credentials, E2BBackend, E2BSandbox, remote
from e2brun.sandbox.public_indexes import python_index
from e2brun.values import Network
from tests.e2b.loopback import KEY, Answer, Cut, Loopback
from tests.waiting import until

CREATE = "POST /v2/sandboxes"


def test_a_sandbox_carries_who_owns_it_and_a_lifetime(
    server: Loopback, backend: E2BBackend
) -> None:
    spec = SandboxSpec(
        lifetime=61.2, metadata={"mine": "yes"}, env={"A": "b"}, network=Network.NONE
    )
    sandbox = backend.create(spec)
    box = server.boxes[sandbox.id]
    assert box.metadata["mine"] == "yes"
    assert box.metadata["e2brun_host"] == socket.gethostname()
    assert box.metadata["e2brun_pid"] == str(os.getpid())
    assert box.metadata["e2brun_run"]
    assert box.metadata["e2brun"]
    assert 40 < box.end - time.monotonic() <= 62
    assert box.env == {"A": "b"}
    assert box.network is False
    assert (box.template, sandbox.template) == ("code-interpreter-v1", "python")
    assert sandbox.backend == backend.name == "e2b"


def test_the_network_is_left_to_the_provider_unless_asked_for(
    server: Loopback, backend: E2BBackend
) -> None:
    assert server.boxes[backend.create(SandboxSpec(template="python")).id].network is None
    assert server.boxes[backend.create(SandboxSpec(template="mine")).id].template == "mine"


def test_packages_alone_are_asked_for_by_the_providers_own_rules(
    server: Loopback, backend: E2BBackend
) -> None:
    rules = server.boxes[backend.create(SandboxSpec(network=Network.PACKAGES)).id].rules
    assert rules is not None
    assert rules["denyOut"] == ["0.0.0.0/0"]
    public = python_index()
    assert public is not None
    assert {urlsplit(public[0]).hostname, public[1]} <= {*rules["allowOut"]}
    assert server.boxes[backend.create(SandboxSpec(network=Network.INTERNET)).id].rules is None


@pytest.mark.parametrize(
    ("status", "body"),
    [(201, "<html>"), (200, "{}"), (201, "[" * 100_000), (201, "7"), (201, '{"sandboxID": []}')],
)
def test_an_answer_that_is_no_e2bs_is_told_in_a_line(
    server: Loopback, backend: E2BBackend, status: int, body: str
) -> None:
    server.fail(CREATE, Answer(status, body=body))
    with pytest.raises(SandboxUnavailable, match="answer cannot be understood") as caught:
        backend.create(SandboxSpec())
    assert caught.value.hint == "Is E2B_API_URL the address of an E2B?"


def test_a_list_without_end_is_not_read_for_ever(
    server: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "_PAGES", 3)
    asked = remote.Remote(Credentials(KEY, server.url, server.url), name="E2B", notice=print)
    page = Answer(200, headers={"x-next-token": "more"}, body="[]")
    server.fail("GET /v2/sandboxes", page, page)
    assert asked.sandboxes() == []
    server.fail("GET /v2/sandboxes", page, page, page)
    with pytest.raises(SandboxUnavailable, match="without end"):
        asked.sandboxes()


def test_429_with_retry_after_is_waited_for_and_said(
    server: Loopback, backend: E2BBackend, notices: list[str]
) -> None:
    server.fail(CREATE, Answer(429, {"Retry-After": "1"}))
    start = time.monotonic()
    backend.create(SandboxSpec())
    assert time.monotonic() - start >= 1
    assert len(notices) == 1
    assert notices[0].startswith("E2B is busy (429); waiting 1.")
    keys = {c.headers["idempotency-key"] for c in server.calls}
    assert len(server.calls) == 2
    assert len(keys) == 1  # the provider may recognise it as the same request


@pytest.mark.parametrize(
    "fault",
    [
        Answer(502, {"Should-Retry": "true"}, "<html>bad gateway</html>"),
        Cut("rst"),
        Answer(201, {}, '{"code": 7}'),
    ],
)
def test_a_create_that_may_have_worked_is_not_repeated(
    server: Loopback, backend: E2BBackend, fault: Answer | Cut
) -> None:
    server.fail(CREATE, fault)
    with pytest.raises(SandboxUnavailable):
        backend.create(SandboxSpec())
    assert server.count("POST", "/v2/sandboxes") == 1


def test_a_sandbox_whose_answer_was_cut_is_found_and_killed(
    server: Loopback, backend: E2BBackend
) -> None:
    server.fail(CREATE, Cut("rst", after_doing=True))
    with pytest.raises(SandboxUnavailable):
        backend.create(SandboxSpec())
    assert len(server.running()) == 1
    backend.close()
    until(lambda: not server.running())
    assert server.count("POST", "/v2/sandboxes") == 1


def test_an_unknown_template_is_a_usage_error(server: Loopback, backend: E2BBackend) -> None:
    server.fail(CREATE, Answer(404, {}, '{"code": 404, "message": "template nope not found"}'))
    with pytest.raises(UsageError, match="template nope not found"):
        backend.create(SandboxSpec(template="nope"))


def test_limits_and_another_python_are_not_the_clouds_to_give(backend: E2BBackend) -> None:
    with pytest.raises(Unsupported) as caught:
        backend.create(SandboxSpec(limits=Limits(memory=1)))
    assert "template" in caught.value.hint
    with pytest.raises(Unsupported):
        backend.create(SandboxSpec(python="3.12"))


def test_install_says_pips_own_reason_in_one_line(server: Loopback, backend: E2BBackend) -> None:
    with pytest.raises(InstallFailed) as caught:
        backend.create(SandboxSpec(install=("./no-such-directory-anywhere",)))
    assert "no-such-directory-anywhere" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert server.count("POST", "/process.Process/Start") == 1
    until(lambda: not server.running())


def test_install_takes_requirements_only(sandbox: E2BSandbox) -> None:
    with pytest.raises(InstallFailed, match="not a requirement"):
        sandbox.install(["--index-url=http://127.0.0.1/"])
    sandbox.install([])
