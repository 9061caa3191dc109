"""What `.env` and pyproject.toml say of settings: each value as written, with its place.

Read where they are there; what of it is used, and what is refused, is for `settings`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from e2brun.dotenv import env_entries
from e2brun.errors import UsageError
from e2brun.values import Given, is_table

_LARGEST = 1024 * 1024


def read_dotenv(path: Path) -> dict[str, Given]:
    """By variable. The file may be another tool's: only lines that begin with E2B must be right."""
    try:
        if path.stat().st_size > _LARGEST:
            return {}
        text = path.read_bytes().decode("utf-8-sig", "replace")
    except OSError:
        return {}
    written: dict[str, Given] = {}
    for entry in env_entries(text):
        where = f"{path.name}:{entry.line}"
        if not entry.name.startswith("E2B"):
            continue
        if entry.problem:
            raise UsageError(f"{where}: {entry.name}: {entry.problem}")
        if entry.value:
            written[entry.name] = Given(entry.value, where, by_project=True)
    return written


def read_table(path: Path, content: bytes) -> dict[str, Given]:
    """[tool.e2brun] of a pyproject.toml, by key."""
    import tomllib  # 8 ms, which a `.env` need not pay

    try:
        text = content.decode()
        document = tomllib.loads(text)
    except ValueError as error:
        at = re.search(r"line (\d+)", str(error))
        raise UsageError(f"{path}:{at[1] if at else 1}: not valid TOML: {error}") from error
    return {
        key: Given(value, f"{path}:{_line_of(text, key)}", by_project=True)
        for key, value in _table(_table(document, "tool", path), "e2brun", path).items()
    }


def _table(parent: Mapping[str, object], name: str, path: Path) -> Mapping[str, object]:
    value = parent.get(name, {})
    if not is_table(value):
        raise UsageError(f"{path}: {name} is not a table; settings go under [tool.e2brun]")
    return value


def _line_of(text: str, key: str) -> int:
    """tomllib tells no lines; the table is small enough to look the key up."""
    header = re.search(r"^\s*\[tool\.e2brun", text, re.MULTILINE)
    name = rf"[\"']?{re.escape(key)}[\"']?\s*"
    pattern = rf"^\s*(?:{name}[=.]|\[+tool\.e2brun\.{name}[\].])"
    match = re.compile(pattern, re.MULTILINE).search(text, header.start() if header else 0)
    at = match.end() if match else (header.end() if header else 0)
    return text.count("\n", 0, at) + 1
