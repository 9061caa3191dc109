"""What fills a package layer: checked requirements, as wheels, compiled, and a list of fonts."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from e2brun.errors import SandboxError, UsageError
from e2brun.sandbox.contract import MIB, Outcome, Program, Room
from e2brun.sandbox.local.interpreter import Interpreter
from e2brun.sandbox.local.isolation.driver import CELLS_DIRECTORY, Jail, new_id
from e2brun.sandbox.local.packages import bytecode, wheels
from e2brun.sandbox.local.packages.bytecode import run_apart
from e2brun.sandbox.local.packages.pruning import note_written
from e2brun.sandbox.local.packages.store import Store, locked, make_directory
from e2brun.sandbox.local.packages.tree import check
from e2brun.sandbox.local.packages.uv_watch import Bounds, shown, spare, too_large
from e2brun.sandbox.requirement import divided, parse_requirement

_FONTS = "matplotlib/mpl-data"
_LARGEST_LIST = 4 * MIB
_LIST_SECONDS = 60.0
_LIST_FONTS = """
import os, sys
os.environ["MPLCONFIGDIR"] = "/tmp/fonts"
import matplotlib.font_manager
name = f"fontlist-v{matplotlib.font_manager.FontManager.__version__}.json"
with open(f"/tmp/fonts/{name}", encoding="utf-8") as file:
    sys.stdout.write(f"{name}\\n{file.read()}")
"""


@dataclass
class LayerBuild:
    """The making of one layer; `start`: the packages of another are in it as well."""

    cache_dir: Path
    requirements: Sequence[str]
    interpreter: Interpreter
    environment: Mapping[str, str] | None
    room: Room
    start: Path | None = None
    _written: int = 0  # bytes

    def run(self, store: Store, key: str, timeout: float) -> Path:
        """The layer, made by us or by whoever did while we waited."""
        check_requirements(self.requirements)
        try:
            return store.make(key, "packages", timeout, self._fill)
        finally:
            if self._written:
                note_written(self.cache_dir, self._written, self.room.cache)

    def _fill(self, packages: Path, lock: int, deadline: float) -> None:
        cache = self.cache_dir.absolute() / "uv"
        make_directory(cache)
        spare(self.cache_dir)
        if self.start is not None:
            _link_tree(self.start, packages)
        if self.requirements:
            what = self.requirements, self.interpreter.executable, packages, cache
            bounds = Bounds(self.room.layer)
            job = wheels.Job(*what, self.environment, lock, deadline, bounds)
            try:
                with locked(self.cache_dir, "uv", deadline, how=fcntl.LOCK_SH):
                    wheels.install(job)
            finally:
                self._written += job.written
        self._written += self._finish(packages, deadline)

    def _finish(self, packages: Path, deadline: float) -> int:
        """Check what came out of the archives, and compile it; the bytes of it all."""
        (packages / ".lock").unlink(missing_ok=True)  # uv's, writable for everybody
        size = check(packages)
        if size.bytes > self.room.layer:
            raise too_large(f"more than {shown(self.room.layer)}")
        # For a sandbox that has IPython beside this; site(7) passes over what is not there. A file
        # of that name would be a link to uv's.
        beside = packages / "e2brun-cells.pth"
        beside.unlink(missing_ok=True)
        beside.write_text(f"{CELLS_DIRECTORY}\n")
        beside.chmod(0o644)
        room = min(self.room.layer - size.bytes, spare(self.cache_dir))
        compiled = bytecode.compile_layer(packages, self.interpreter, room, deadline)
        return size.bytes + compiled + keep_font_list(packages, self.interpreter, deadline)


def check_requirements(requirements: Sequence[str]) -> None:
    """Let names with versions through, and nothing that could make uv build or read a path."""
    for text in divided(requirements)[0]:
        requirement = parse_requirement(text)
        if requirement.url is not None:
            raise UsageError(
                f"{requirement.name}: a package from a URL or path cannot be installed in the "
                "embedded sandbox",
                hint="Name a package that the registry has a wheel of.",
            )


def _link_tree(source: Path, target: Path) -> None:
    """The files of `source` in `target` as well: no copies where the file system lets us."""
    for directory, _, names in os.walk(source):
        place = target / os.path.relpath(directory, source)
        make_directory(place)
        for name in names:
            try:
                os.link(f"{directory}/{name}", place / name)
            except OSError:  # somebody else's (fs.protected_hardlinks), or linked too often
                shutil.copy2(f"{directory}/{name}", place / name)


def keep_font_list(packages: Path, python: Interpreter, deadline: float) -> int:
    """Put matplotlib's list of fonts beside its other data, where that is among the packages; how
    many bytes. In a sandbox nothing lasts, and making it (130 ms) takes longer than a plot; the
    agent brings it to where matplotlib looks.

    As with compiled files, it is made where it can do no harm, and read in sandboxes only. Where it
    cannot be made until `deadline` (monotonic), matplotlib makes it as ever.
    """
    data = packages / _FONTS
    if not data.is_dir() or any(name.startswith("fontlist-") for name in os.listdir(data)):
        return 0
    name, _, content = _font_list(packages, python, deadline).partition(b"\n")
    if not _is_font_list(name, content):
        return 0
    target = data / name.decode("ascii")
    with suppress(OSError), target.open("xb") as file:
        os.fchmod(file.fileno(), 0o644)
        file.write(content)
    return len(content)


def _font_list(packages: Path, python: Interpreter, deadline: float) -> bytes:
    said = bytearray()

    def take(piece: bytes) -> None:
        said.extend(piece)
        if len(said) > _LARGEST_LIST:
            raise BrokenPipeError

    program = Program((python.executable, "-c", _LIST_FONTS))
    until = min(deadline, monotonic() + _LIST_SECONDS)
    try:
        ended = run_apart(program, Jail(new_id(), python, layer=str(packages)), until, take)
    except SandboxError:
        return b""
    return bytes(said) if ended.outcome is Outcome.OK else b""


def _is_font_list(name: bytes, content: bytes) -> bool:
    if re.fullmatch(rb"fontlist-v[0-9.]{1,20}\.json", name) is None:
        return False
    try:
        return len(content) <= _LARGEST_LIST and isinstance(json.loads(content), dict)
    except (ValueError, RecursionError):
        return False
