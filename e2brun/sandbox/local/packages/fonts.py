"""Matplotlib's list of fonts, made once for a layer: in a sandbox nothing lasts, and making the
list (130 ms) takes longer than a plot. The agent brings it to where matplotlib looks.

As with compiled files, it is made where it can do no harm, and read in sandboxes only.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from pathlib import Path
from time import monotonic

from e2brun.errors import SandboxError
from e2brun.sandbox.contract import MIB, Outcome, Program
from e2brun.sandbox.local.interpreter import Interpreter
from e2brun.sandbox.local.isolation.driver import Jail, new_id
from e2brun.sandbox.local.packages.bytecode import run_apart

_DATA = "matplotlib/mpl-data"
_LARGEST = 4 * MIB
_PATIENCE = 60.0  # seconds
_MAKE = """
import os, sys
os.environ["MPLCONFIGDIR"] = "/tmp/fonts"
import matplotlib.font_manager
name = f"fontlist-v{matplotlib.font_manager.FontManager.__version__}.json"
with open(f"/tmp/fonts/{name}", encoding="utf-8") as file:
    sys.stdout.write(f"{name}\\n{file.read()}")
"""


def keep_font_list(packages: Path, python: Interpreter, deadline: float) -> int:
    """Put it beside matplotlib's other data, where that is among the packages; how many bytes.
    Where it cannot be made until `deadline` (monotonic), matplotlib makes it as ever."""
    data = packages / _DATA
    if not data.is_dir() or any(name.startswith("fontlist-") for name in os.listdir(data)):
        return 0
    name, _, content = _made(packages, python, deadline).partition(b"\n")
    if not _plausible(name, content):
        return 0
    target = data / name.decode("ascii")
    with suppress(OSError), target.open("xb") as file:
        os.fchmod(file.fileno(), 0o644)
        file.write(content)
    return len(content)


def _made(packages: Path, python: Interpreter, deadline: float) -> bytes:
    said = bytearray()

    def take(piece: bytes) -> None:
        said.extend(piece)
        if len(said) > _LARGEST:
            raise BrokenPipeError

    program = Program((python.executable, "-c", _MAKE))
    until = min(deadline, monotonic() + _PATIENCE)
    try:
        ended = run_apart(program, Jail(new_id(), python, layer=str(packages)), until, take)
    except SandboxError:
        return b""
    return bytes(said) if ended.outcome is Outcome.OK else b""


def _plausible(name: bytes, content: bytes) -> bool:
    if re.fullmatch(rb"fontlist-v[0-9.]{1,20}\.json", name) is None:
        return False
    try:
        return len(content) <= _LARGEST and isinstance(json.loads(content), dict)
    except (ValueError, RecursionError):
        return False
