"""What pid 1 and its children have and keep, in sandboxes of both drivers."""

from __future__ import annotations

import os
import select
import shutil
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from e2brun.sandbox.local.host.file_worker import FileWorker
from e2brun.sandbox.local.host.running import RunningSandbox
from e2brun.sandbox.local.isolation.bubblewrap import Bubblewrap
from e2brun.sandbox.local.isolation.forkserver import Forkserver
from tests.server.inside import living, python
from tests.waiting import until

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is missing"),
]


@pytest.fixture(params=[Bubblewrap, Forkserver])
async def live(request: pytest.FixtureRequest) -> AsyncIterator[RunningSandbox]:
    """Started by somebody with odd habits."""
    driver = request.param()
    umask = os.umask(0)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    try:
        async with living(driver=driver) as live:
            yield live
    finally:
        os.umask(umask)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
        if isinstance(driver, Forkserver):
            driver.close()


async def test_a_program_starts_with_signals_as_they_are_by_default(live: RunningSandbox) -> None:
    await python(
        live,
        """
import signal as s
found = {n for n in range(1, 32) if s.getsignal(n) is s.SIG_IGN}
assert found == {s.SIGPIPE, s.SIGXFSZ}, found  # which Python itself ignores
assert not s.pthread_sigmask(s.SIG_BLOCK, ())
""",
    )


async def test_a_file_worker_has_its_own_channel_and_no_other(live: RunningSandbox) -> None:
    files = live.part(FileWorker)
    found = await files.ask("list", path=b"/proc/self/fd", depth=1)
    names = sorted(entry[0] for entry in found.value)
    assert names == [f"/proc/self/fd/{number}" for number in range(4)]


async def test_a_file_worker_leaves_no_core_and_files_that_others_only_read(
    live: RunningSandbox,
) -> None:
    files = live.part(FileWorker)
    limits = (await files.ask("peek", path=b"/proc/self/limits")).payload.decode()
    (core,) = (line for line in limits.splitlines() if "core file" in line)
    assert core.split()[4:6] == ["1", "1"]
    await files.ask("write", path=b"/home/user/new/file", data=b"", metadata={})
    await python(
        live,
        "import os\nfor p, m in (('new', 0o755), ('new/file', 0o644)):"
        " assert os.stat(p).st_mode & 0o777 == m",
    )


_TWO = """
import os, signal, subprocess
quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
running, stopped = (subprocess.Popen(["sleep", "600"], **quiet) for _ in range(2))
os.kill(stopped.pid, signal.SIGSTOP)
os.waitid(os.P_PID, stopped.pid, os.WSTOPPED)
"""


def _states(live: RunningSandbox) -> str:
    """Of all that sleeps in there."""
    assert live.watch is not None
    stats = [file.read_text() for file in Path(live.watch.proc).glob("[0-9]*/stat")]
    return "".join(
        sorted(stat.rpartition(")")[2].split()[0] for stat in stats if "(sleep)" in stat)
    )


async def test_who_was_stopped_before_a_freeze_stays_so_after_it(live: RunningSandbox) -> None:
    await live.freeze()  # nothing
    await live.thaw()
    await python(live, _TWO)
    for after in ("ST", "SS"):
        await live.freeze()
        until(lambda: _states(live) == "TT")
        await live.thaw()
        until(lambda: _states(live) == after)  # noqa: B023
        await python(live, "import os, signal; os.kill(-1, signal.SIGCONT)")


_PLANTED = """
import os, site
for name in ("signal", "termios", "fcntl", "ctypes", "json", "re", "socket", "enum", "struct"):
    for place in (".", site.getusersitepackages()):
        with open(f"{place}/{name}.py", "w") as file:
            file.write("open('/tmp/ran', 'w')\\nraise ImportError")
"""


async def test_pid_1_imports_nothing_that_somebody_inside_has_made(live: RunningSandbox) -> None:
    await python(live, _PLANTED)
    await live.freeze()
    await live.thaw()
    files = live.part(FileWorker)
    await files.ask("list", path=b"/home/user", depth=1)
    await python(live, "import os; assert not os.path.exists('/tmp/ran')")


async def test_it_ends_when_the_host_hangs_up(live: RunningSandbox) -> None:
    live.link.close()
    ended = select.poll()
    ended.register(live._jailed.agent, select.POLLIN)
    assert ended.poll(10_000)
