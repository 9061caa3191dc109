"""What `.env` and pyproject.toml say of settings: each value as written, with its place.

Read where they are there; what of it is used, and what is refused, is for `settings`. Both may have
come with a stranger's repository: that code may use more, goes online, runs on this machine where
E2B was to be expected, or goes to somebody's account is said (`notices`). What a file narrows, and
what the user's own environment and flags say, needs no comment.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import cast

from e2brun.dotenv import env_entries
from e2brun.errors import UsageError
from e2brun.frozen import Frozen
from e2brun.values import Given, is_table, toml_tables

_LIMITS = (
    "timeout", "memory", "processes", "disk", "max_output", "install_timeout", "install_size",
)  # fmt: skip
_ENDPOINTS = ("api_url", "sandbox_url", "domain")

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
    try:
        text = content.decode()
        document = toml_tables(text)
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


class Decided(Frozen):
    """A setting that a file of the project made, where that stands, and what it is otherwise."""

    name: str
    where: str
    written: object
    value: object
    usual: object


def notices(settings: Iterable[Decided], *, has_key: bool) -> Iterator[str]:
    """The lines; `has_key`: there is a key for E2B, which is taken unless `on` says otherwise."""
    for setting in settings:
        if what := _what(setting, has_key=has_key):
            yield f"{setting.where}: {what}"


def _what(setting: Decided, *, has_key: bool) -> str:
    name, value = setting.name, setting.value
    if name in _LIMITS:
        wider = cast("float", value) > cast("float", setting.usual) or value == 0  # 0: no limit
        return f"{name.replace('_', '-')} raised to {setting.written}" if wider else ""
    if name in _ENDPOINTS:
        return f"using the E2B endpoint {value}"
    found = {
        ("api_key", True): "using the E2B key from this file",
        ("network", value == "internet"): "network access is on",
        ("network", value == "packages"): "packages can be fetched from inside",
        ("on", value == "local" and has_key): "running on this machine, though there is an E2B key",
    }
    return found.get((name, True), "")
