"""Who goes behind others on a processor: whoever wants one all the time, while there is a queue."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from e2brun.server.sandboxes import fairness
from e2brun.server.sandboxes.fairness import FairShares

_PROCESSORS = os.cpu_count() or 1
_SPIN, _SLEEP = "while True: pass", "import time; time.sleep(300)"


class _Running:
    """A sandbox that is one process."""

    def __init__(self, directory: Path, code: str) -> None:
        words = [sys.executable, "-c", code]
        self.process = subprocess.Popen(words, start_new_session=True)
        directory.mkdir()
        (directory / "1").symlink_to(f"/proc/{self.process.pid}")
        self.running, self.watch, self.frozen, self.proc = self, self, False, str(directory)

    @property
    def behind(self) -> bool:
        return Path(f"/proc/{self.process.pid}/autogroup").read_text().split()[-1] == "19"


pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/autogroup").exists(), reason="no autogroup here"),
    pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="no schedstat here"),
    pytest.mark.skipif(_PROCESSORS > 16, reason="a crowd would be too many processes here"),
]


@contextlib.contextmanager
def _crowd(directory: Path) -> Iterator[tuple[list[_Running], FairShares]]:
    """The first sleeps, all others compute."""
    with contextlib.ExitStack() as stack:
        count = 2 * _PROCESSORS + 2
        made = [_Running(directory / f"{n}", _SPIN if n else _SLEEP) for n in range(count)]
        for one in made:
            stack.callback(one.process.wait)
            stack.callback(one.process.kill)
        yield made, FairShares(cast("Any", {one.proc: one for one in made}))


def test_who_computes_all_the_time_goes_behind_who_does_not(tmp_path: Path) -> None:
    with _crowd(tmp_path) as (made, shares):
        _look_until(lambda: made[-1].behind, shares)
        assert not made[0].behind


def test_one_look_is_enough_for_a_crowd(tmp_path: Path) -> None:
    """Of any user's: the kernel takes ten wishes a second of all who are not root."""
    with _crowd(tmp_path) as (made, shares):
        _look_until(lambda: any(one.behind for one in made), shares)
        assert sum(one.behind for one in made) > 1


def test_a_sandbox_that_goes_away_meanwhile_is_passed_over(tmp_path: Path) -> None:
    with _crowd(tmp_path) as (made, shares):
        made[1].proc = str(tmp_path / "gone")
        _look_until(lambda: made[-1].behind, shares)


def test_who_has_stopped_is_as_all_are_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frozen or not, and though the kernel takes not all wishes within one look."""
    monkeypatch.setattr(fairness, "_LONGEST", 0.0)
    with _crowd(tmp_path) as (made, shares):
        _look_until(lambda: all(one.behind for one in made[1:]), shares)
        for one in made[1:]:
            one.process.send_signal(signal.SIGSTOP)
        made[1].frozen = True
        _look_until(lambda: not any(one.behind for one in made), shares)


def _look_until(condition: Callable[[], bool], shares: FairShares) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        asyncio.run(shares.look())
        time.sleep(0.2)
