"""The snapshots that were taken: the files of sandboxes under names."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from e2brun.sandbox.local.registered import full_name
from e2brun.server.http.messages import ApiError
from e2brun.server.sandboxes.durable import keep, recovered
from e2brun.server.sandboxes.records import Origin


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One snapshot. Its id is what sandboxes are created from."""

    id: str
    names: tuple[str, ...]
    origin: Origin  # of the sandbox it was taken of
    source: str  # that sandbox's id
    tree: Path
    taken: int = field(default_factory=lambda: time.time_ns() // 1000)


class Snapshots:
    """All snapshots of a service; with `durable` the next one in this directory has them too."""

    def __init__(self, directory: Path, *, durable: bool) -> None:
        self._index = directory / "snapshots.json" if durable else None
        kept: dict[str, Snapshot] = recovered(self._index, dict[str, Snapshot], {})
        # The directory may have been moved since.
        self.by_id = {k: replace(one, tree=directory / one.tree.name) for k, one in kept.items()}

    def find(self, text: str) -> Snapshot | None:
        """By its id, or by its name with or without team and tag."""
        return self.by_id.get(text) or self.by_id.get(full_name(text))

    def keep(self, snapshot: Snapshot) -> None:
        """Add it, in place of one of its name. Raises ApiError, and its files are gone."""
        old = self.by_id.get(snapshot.id)
        try:
            self._save({**self.by_id, snapshot.id: snapshot})
        except ApiError:
            snapshot.tree.unlink(missing_ok=True)
            raise
        if old is not None:
            old.tree.unlink(missing_ok=True)

    def delete(self, text: str) -> bool:
        """Whether there was one. Raises ApiError."""
        found = self.find(text)
        if found is None:
            return False
        self._save({name: one for name, one in self.by_id.items() if one is not found})
        found.tree.unlink(missing_ok=True)
        return True

    def _save(self, by_id: dict[str, Snapshot]) -> None:
        keep(self._index, dict[str, Snapshot], by_id)
        self.by_id = by_id
