"""What all sandboxes may have together: whoever grows past what is left ends, and nobody else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.sdk.serving import Serving, served
from tests.waiting import until

_HOLD = "python3 -c 'x = bytearray({} << 20); print(1, flush=True); import time; time.sleep(300)'"
_FILL = "head -c {}M /dev/zero > file && echo 1 && sleep 300"
_PATIENCE = 60


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    options = ("--total-memory", "640M", "--total-disk", "300M", "--template", "base")
    with served(tmp_path_factory.mktemp("small"), *options) as serving:
        yield serving


@pytest.fixture
def create(small: Serving) -> Iterator[Callable[[], Any]]:
    """Makes sandboxes of the small service, which end with the test."""
    from e2b import Sandbox

    made: list[Any] = []

    def create() -> Any:
        where: Any = {"api_url": small.url, "sandbox_url": small.url, "api_key": small.key}
        made.append(Sandbox.create("base", timeout=300, **where))
        return made[-1]

    yield create
    for sandbox in made:
        sandbox.kill()


def _start(sandbox: Any, line: str) -> None:
    """Run it until it has what it wants; it goes on."""
    for stdout, _, _ in sandbox.commands.run(line, background=True, timeout=0):
        if stdout:
            return


def _logged(small: Serving, sandbox: Any) -> str:
    path = f"{small.url}/sandboxes/{sandbox.sandbox_id}/logs"
    return httpx.get(path, headers={"X-API-KEY": small.key}).text


def _create_for_long(create: Callable[[], Any]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        create().kill()


def test_who_grows_past_the_memory_that_is_left_ends_and_its_log_says_why(
    small: Serving, create: Callable[[], Any]
) -> None:
    from e2b import SandboxException

    neighbour, greedy = create(), create()
    _start(neighbour, _HOLD.format(350))
    with pytest.raises(SandboxException):
        greedy.commands.run(_HOLD.format(400), timeout=_PATIENCE)
    until(lambda: not greedy.is_running(), _PATIENCE)
    assert "--total-memory" in _logged(small, greedy)
    assert neighbour.commands.run("pgrep -f bytearray").exit_code == 0


def test_no_sandbox_is_made_where_nothing_is_left_for_it(create: Callable[[], Any]) -> None:
    from e2b import RateLimitException

    neighbours = [create(), create()]
    for neighbour in neighbours:
        _start(neighbour, _HOLD.format(270))
    with pytest.raises(RateLimitException, match="--total-memory"):
        _create_for_long(create)
    assert all(neighbour.is_running() for neighbour in neighbours)


def test_who_writes_more_files_than_are_left_ends_and_none_more_are_kept(
    small: Serving, create: Callable[[], Any]
) -> None:
    from e2b import RateLimitException, SandboxException

    neighbour, greedy = create(), create()
    _start(neighbour, _FILL.format(200))
    with pytest.raises(SandboxException):
        greedy.commands.run(_FILL.format(200), timeout=_PATIENCE)
    until(lambda: not greedy.is_running(), _PATIENCE)
    assert "--total-disk" in _logged(small, greedy)
    with pytest.raises(RateLimitException, match="--total-disk"):
        neighbour.create_snapshot()
    assert neighbour.commands.run("ls").stdout == "file\n"
