"""What a file of the project decided that its reader may not have meant to allow.

pyproject.toml and .env lie in the working directory and may have come with a stranger's
repository: that code may use more, goes online, runs on this machine where E2B was to be
expected, or goes to somebody's account is said, one line each with the file's name and line.
What a file narrows, and what the user's own environment and flags say, needs no comment.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import cast

_LIMITS = (
    "timeout", "memory", "processes", "disk", "max_output", "install_timeout", "install_size",
)  # fmt: skip
_ENDPOINTS = ("api_url", "sandbox_url", "domain")


@dataclass(frozen=True)
class Decided:
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
