"""`e2brun sandbox ls` and `cp`: names inside a sandbox, and files in and out of it.

Nothing that a sandbox says becomes a path here: below a copied directory each name is checked,
and no link is followed (see `jobs.downloads`).
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from e2brun.cli.options import given
from e2brun.cli.sandbox_place import Place, place
from e2brun.cli.signals import notice, print_success
from e2brun.errors import UsageError
from e2brun.values import parse_size

if TYPE_CHECKING:
    from e2brun.sandbox.e2b.sandbox import E2BSandbox

_FORM = "Write ID:PATH for what is in a sandbox: e2brun sandbox cp data.csv ID:data/"
_BATCH = 200  # files in one request


@dataclass(frozen=True)
class Inside:
    """A path in a sandbox; an empty one is the home directory."""

    sandbox_id: str
    path: str


def ls(on: str | None, sandbox_id: str, path: str, *, as_json: bool) -> int:
    where = place(on)
    _, sandbox = where.about(sandbox_id).attach(sandbox_id)
    entries = sandbox.list_files(path or ".")
    from e2brun.report import sandboxes as report

    if as_json:
        files = [{"name": e.name, "type": e.kind, "size": e.size} for e in entries]
        print_success(backend=where.name, path=path, files=files)
    else:
        report.print_files(entries, color=where.settings.colors(1))
    return 0


def cp(on: str | None, source: str, target: str, max_get: str) -> int:
    most = given("--max-get", parse_size, max_get) or 0
    match parse(source), parse(target):
        case (Inside() as inside, Path() as local):
            _out(place(on), inside, local, most, into=target.endswith("/"))
        case (Path() as local, Inside() as inside):
            _in(place(on), local, inside)
        case (Inside(), Inside()):
            raise UsageError(
                "cp does not copy from one sandbox to another", hint="Copy it here first."
            )
        case _:
            raise UsageError("neither side of cp is in a sandbox", hint=_FORM)
    return 0


def parse(word: str) -> Inside | Path:
    """`ID:PATH` is inside; everything else, such as `./a:b`, is a path here."""
    match = re.fullmatch(r"([A-Za-z0-9][A-Za-z0-9-]*):(.*)", word, re.DOTALL)
    if match is not None:
        return Inside(match[1], match[2])
    if not word:
        raise UsageError("cp: the name is empty", hint=_FORM)
    return Path(word)


def _out(where: Place, inside: Inside, local: Path, most: int, *, into: bool) -> None:
    from e2brun.jobs.downloads import Allowance, bring

    if into and not local.is_dir():
        raise UsageError(f"{local}: not a directory")
    _, sandbox = where.about(inside.sandbox_id).attach(inside.sandbox_id)
    # Like cp: a directory goes under its own name into one that is there. `dir/.` is its content.
    name = PurePosixPath(inside.path).name if not inside.path.endswith("/.") else ""
    if local.is_dir() and name not in {"", "..", "~"}:
        local /= name
    path, left_out = bring(sandbox, inside.path or ".", str(local), Allowance(most))
    if left_out:
        notice(f"left out of {path}: {left_out}")


def _in(where: Place, local: Path, inside: Inside) -> None:
    from e2brun.jobs.uploads import gather

    if not os.path.lexists(local):
        raise UsageError(f"{local}: no such file or directory")
    _, sandbox = where.about(inside.sandbox_id).attach(inside.sandbox_id)
    target = _target(sandbox, local, inside.path)
    with UsageError.of_system():
        files = tuple(gather(local, target, notice))
    if local.is_dir():
        files = tuple(one for one in files if _is_text(one.path))
    for directory in filter(_is_text, _empty_directories(local, target)):
        sandbox.make_directory(directory)
    for start in range(0, len(files), _BATCH):
        sandbox.write_files(files[start : start + _BATCH])


def _is_text(path: str) -> bool:
    from e2brun.sandbox.e2b.launch import is_text

    if not is_text(path):
        notice(f"left out, its name is no UTF-8: {path!r}")
        return False
    return True


def _target(sandbox: E2BSandbox, local: Path, path: str) -> str:
    """Where it goes: under its own name into a directory that is there, or that `/` names."""
    name = local.resolve().name
    contents = str(local).endswith("/.")
    if contents or not name:
        return path or "."
    if path in {"", ".", "~"} or path.endswith("/") or sandbox.is_directory(path):
        return f"{path.rstrip('/') or ('/' if path.startswith('/') else '.')}/{name}"
    return path


def _empty_directories(local: Path, target: str) -> list[str]:
    """Those that no file's path makes."""
    if not local.is_dir():
        return []
    found: list[str] = []
    for directory, below, names in os.walk(local):
        below[:] = [name for name in below if not Path(directory, name).is_symlink()]
        if not below and not names:
            relative = Path(directory).relative_to(local).as_posix()
            found.append(target if relative == "." else f"{target.rstrip('/')}/{relative}")
    return found
