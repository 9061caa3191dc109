"""The secrets of a service: names and what they stand for, which is in no answer and no log."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path

from e2brun.server.http.messages import ApiError
from e2brun.server.sandboxes.durable import keep, recovered

PREFIX = "sec_"


@dataclass(frozen=True, slots=True)
class Secret:
    """One secret; its value is in no text about it."""

    name: str
    value: str = field(repr=False)
    metadata: dict[str, str]
    id: str = field(default_factory=lambda: PREFIX + secrets.token_hex(10))
    version: int = 1
    created: float = field(default_factory=time.time)
    updated: float = field(default_factory=time.time)


class Secrets:
    """All secrets of a service, in a file for the user alone (0600) where they are `durable`."""

    def __init__(self, directory: Path, *, durable: bool) -> None:
        self._file = directory / "secrets.json" if durable else None
        self.by_name: dict[str, Secret] = recovered(self._file, dict[str, Secret], {})

    def find(self, text: str) -> Secret:
        """By id or name. Raises ApiError 404."""
        found = self.by_name.get(text.lower())
        if found is None:
            found = next((one for one in self.by_name.values() if one.id == text), None)
        if found is None:
            raise ApiError(404, f"secret {text[:100]!r} was not found")
        return found

    def save(self, by_name: dict[str, Secret]) -> None:
        """These are all from now on. Raises ApiError."""
        keep(self._file, dict[str, Secret], by_name)
        self.by_name = by_name
