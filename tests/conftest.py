"""What every test may use: the command as a user runs it, in a directory of its own."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import pytest

from tests import turns
from tests.press import Press

gc.disable()  # until all tests are found
# Images of containers set it, and then each of some thousand commands compiles all of e2brun anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# How quickly examples come is the machine's affair, and CI machines are busy.
hypothesis.settings.register_profile(
    "e2brun", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("e2brun")

COMMAND = (sys.executable, "-m", "e2brun")
_AT_ITS_START = ("LANG", "LC_", "PYTHON")  # what Python reads then
_CI = ("GITHUB_", "TF_BUILD", "TEAMCITY_", "GITLAB_CI")
_NOT_OURS = ("E2B", *_CI, "NO_COLOR", "PYTHONUNBUFFERED")


# Under nohup or as a shell's background job some are ignored, and what we start would inherit it.
for _number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.SIG_DFL)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    return turns.workers(config.args)


def pytest_sessionstart(session: pytest.Session) -> None:
    if (worker := getattr(session.config, "workerinput", None)) is not None:
        number = int(worker["workerid"].removeprefix("gw"))
        turns.compile_share(session.config.args, number, worker["workercount"])


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> turns.ByFile:
    return turns.ByFile(config, log)


@pytest.hookimpl(tryfirst=True)  # before the workers write the groups into the names
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Files that take long come first, or a worker has one left when the others have none.
    slow = {item.path for item in items if item.get_closest_marker("slow") is not None}
    items.sort(key=lambda item: (turns.is_alone(item), item.path not in slow))
    for item in filter(turns.is_alone, items):
        item.add_marker(pytest.mark.xdist_group(turns.ALONE))
    for item in items:
        if (turn := item.get_closest_marker("in_turn")) is not None:
            turns.add(item, due=turns.is_due(turn.kwargs["day"], 3))


def pytest_collection_finish() -> None:
    gc.enable()
    gc.freeze()  # five thousand tests are not to be looked at again and again, in every worker


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    if "PYTEST_XDIST_WORKER" in os.environ:
        with turns.turn(alone=turns.is_alone(item)):
            return (yield)
    return (yield)


@dataclass(frozen=True)
class Ran:
    """A finished command."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()


Run = Callable[..., Ran]


def clean_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The caller's environment without what would change how e2brun behaves."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(_NOT_OURS)}
    return {**kept, "TERM": "xterm", **(more or {})}


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is remembered of runs is this run's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session")
def press() -> Iterator[Press]:
    """It forks the commands that take long to start."""
    with closing(Press(clean_environment())) as made:
        yield made


@pytest.fixture
def e2brun(tmp_path: Path, press: Press) -> Run:
    """Run `e2brun WORDS...` in an empty directory and wait for it."""

    def run(
        *words: str | Path,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
        timeout: float = 60,
    ) -> Ran:
        if not any(name.startswith(_AT_ITS_START) for name in env or {}):
            argv, environment = [*map(str, words)], clean_environment(env)
            code, out, err = press.run(argv, tmp_path, environment, stdin, timeout)
            return Ran(code, out, err.decode())
        result = subprocess.run(
            [*COMMAND, *map(str, words)],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            cwd=tmp_path,
            env=clean_environment(env),
            timeout=timeout,
            check=False,
        )
        return Ran(result.returncode, result.stdout, result.stderr.decode())

    return run


@pytest.fixture
def script(tmp_path: Path) -> Callable[..., Path]:
    """Write a file to run."""

    def write(text: str | bytes, name: str = "prog.py") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write
