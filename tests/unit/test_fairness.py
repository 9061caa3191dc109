"""Who goes behind others on a processor: whoever wants one all the time, while there is a queue."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, cast

import pytest

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


@pytest.mark.skipif(not Path("/proc/self/autogroup").exists(), reason="no autogroup in this kernel")
@pytest.mark.skipif(_PROCESSORS > 16, reason="a crowd would be too many processes here")
@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="no schedstat in this kernel")
def test_who_computes_all_the_time_goes_behind_who_does_not(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        count = 2 * _PROCESSORS + 2
        made = [_Running(tmp_path / f"{n}", _SPIN if n else _SLEEP) for n in range(count)]
        for one in made:
            stack.callback(one.process.wait)
            stack.callback(one.process.kill)
        shares = FairShares(cast("Any", {one.proc: one for one in made}))
        deadline = time.monotonic() + 60
        while not made[-1].behind and time.monotonic() < deadline:
            asyncio.run(shares.look())
            time.sleep(0.2)
        assert made[-1].behind
        assert not made[0].behind
