"""The two sides of a comparison: one command on each backend, and all that can be seen of it."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.conftest import clean_environment
from tests.press import Press
from tests.sdk.serving import Serving

# Of a JSON document: what has to differ from run to run, and the name of the backend.
OWN = ("sandbox_id", "run_id", "execution_time", "backend")


@dataclass(frozen=True)
class Case:
    """One command line, `e2brun exec --json ARGV...`, and how it must end on both sides."""

    name: str
    argv: tuple[str, ...]
    files: Mapping[str, str | bytes] = field(default_factory=dict[str, "str | bytes"])
    ends: str = "ok"  # the outcome; "usage" where nothing may run
    stdin: bytes = b""
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    unavoidable: str = ""  # a key of the list of what E2B cannot tell


@dataclass(frozen=True)
class Seen:
    """All that one command left behind."""

    code: int
    out: bytes
    err: bytes
    files: dict[str, tuple[int, bytes]]  # name -> mode, content

    @property
    def document(self) -> dict[str, Any]:
        """What --json printed, without what is this run's own."""
        document: dict[str, Any] = json.loads(self.out)
        for key in OWN:
            document.pop(key)
        return document

    @property
    def told(self) -> list[str]:
        """What it said on stderr."""
        return self.err.decode().splitlines()


class Side:
    """Commands on one backend, one after the other."""

    def __init__(
        self, directory: Path, press: Press, *options: str, env: Mapping[str, str]
    ) -> None:
        self._directory, self._press, self._options, self._env = directory, press, options, env
        self._count = 0

    def run(self, case: Case, *options: str) -> Seen:
        """Run it in a directory of its own with the case's files."""
        self._count += 1
        place = self._directory / str(self._count)
        work, ends = place / "work", [place / name for name in ("stdin", "stdout", "stderr")]
        work.mkdir(parents=True)
        for name, content in case.files.items():
            file = work / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content if isinstance(content, bytes) else content.encode())
            if file.suffix == "" or name.endswith("-x.sh"):
                file.chmod(0o755)
        ends[0].write_bytes(case.stdin)
        before = _tree(work)
        words = ["exec", *self._options, *options, *case.argv]
        with ends[0].open("rb") as stdin, ends[1].open("wb") as out, ends[2].open("wb") as err:
            numbers = [file.fileno() for file in (stdin, out, err)]
            code = self._press.start(words, work, {**self._env, **case.env}, numbers).wait(300)
        after = {name: seen for name, seen in _tree(work).items() if before.get(name) != seen}
        return Seen(code, ends[1].read_bytes(), ends[2].read_bytes(), after)


@dataclass(frozen=True)
class Sides:
    """Both; a case runs on them side by side."""

    local: Side
    e2b: Side
    service: Serving
    _threads: ThreadPoolExecutor

    def run(self, case: Case, *options: str) -> tuple[Seen, Seen]:
        """(local, E2B)."""
        running = [self._threads.submit(p.run, case, *options) for p in (self.local, self.e2b)]
        return running[0].result(), running[1].result()


@contextmanager
def both_sides(directory: Path, service: Serving) -> Iterator[Sides]:
    """Ready for cases until the end of the block."""
    own = clean_environment({"PYTHONHASHSEED": "0"})
    with closing(Press(own)) as press, ThreadPoolExecutor(2) as threads:
        local = Side(directory / "local", press, "--on", "local", env=own)
        e2b = Side(directory / "e2b", press, "--on", "e2b", env={**own, **service.environment})
        yield Sides(local, e2b, service, threads)


def _tree(top: Path) -> dict[str, tuple[int, bytes]]:
    found: dict[str, tuple[int, bytes]] = {}
    for directory, subdirectories, names in os.walk(top):
        for name in (*subdirectories, *names):
            path = Path(directory, name)
            mode = path.lstat().st_mode
            content = path.read_bytes() if stat.S_ISREG(mode) else b""
            found[path.relative_to(top).as_posix()] = (mode, content)
    return found
