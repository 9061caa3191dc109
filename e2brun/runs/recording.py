"""One run on its way into the store. Where the store fails, that is said once and the run goes on.
Commands that run code record through this; the store itself is for who reads or resumes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from e2brun.errors import StoreUnusable
from e2brun.runs.keeping import tidy
from e2brun.runs.origin import Kind, Origin
from e2brun.runs.record import CaseRecord, RunRecord
from e2brun.runs.rows import StoredEvent
from e2brun.runs.store import Store
from e2brun.sandbox.masking import Mask, secrets_in, secrets_of_others
from e2brun.settings import Settings, package_environment


class Recording:
    """Records `run`; `begin` comes first, `finish` and `close` last.

    `path` None (`--no-store`) records nothing, and every method does nothing. `notice` is given the
    one line. With `needed` a store that cannot be used is raised instead: the run is about what
    is in it (`--resume`, `--failed`).
    """

    def __init__(
        self,
        path: Path | None,
        run: RunRecord,
        origin: Origin,
        *,
        mask: Mask,
        notice: Callable[[str], None],
        needed: bool = False,
    ) -> None:
        self.run = run
        self._path, self._origin = path, origin
        self._mask, self._notice, self._needed = mask, notice, needed
        self.store: Store | None = None  # open; None where nothing is recorded (any more)

    def begin(self) -> None:
        """The run starts. Where `needed`: raises StoreUnusable, as nothing ran yet."""
        if self._path is None:
            return
        try:
            self.store = Store(self._path, self._mask)
            self.store.begin(self.run, self._origin)
            tidy(self.store)
        except StoreUnusable as error:
            if self._needed:
                raise
            self._give_up(error)

    def keep(self, case: CaseRecord, fingerprint: str = "") -> bool:
        """A case is over. Whether it is in the store now."""
        return self._try(lambda store: store.keep(self.run.id, case, fingerprint))

    def tell(self, kind: str, text: str, case: str = "") -> None:
        """Something happened: kind `sandbox` with its id, `notice` with the line."""
        event = StoredEvent(time.time(), kind, case, text)
        self._try(lambda store: store.tell(self.run.id, event))

    def finish(self, exit_code: int | None, notes: Sequence[str] = ()) -> None:
        self._try(lambda store: store.finish(self.run.id, exit_code, notes))

    def close(self) -> None:
        """May be called twice. A run that is closed and not finished was broken off."""
        if self._try(lambda store: store.close()):
            self.store = None

    def _try(self, use: Callable[[Store], None]) -> bool:
        if self.store is None:
            return False
        try:
            use(self.store)
        except StoreUnusable as error:
            self._give_up(error)
            return False
        return True

    def _give_up(self, error: StoreUnusable) -> None:
        self.store = None
        self._notice(f"{error}; the run goes on and is not recorded")


def recording_of(
    run: RunRecord,
    kind: Kind,
    code_hash: str,
    settings: Settings,
    notice: Callable[[str], None],
    *environments: Mapping[str, object],
    needed: bool = False,
) -> Recording:
    """Of a run that this command line asks for. The key is hidden, and what bears a secret's name
    in `environments` and in our own."""
    given = (value for environment in environments for value in secrets_in(environment))
    mask = Mask([settings.api_key or "", *given, *secrets_of_others(package_environment())])
    origin = Origin(kind, tuple(sys.argv[1:]), str(Path.cwd()), code_hash)
    return Recording(settings.store, run, origin, mask=mask, notice=notice, needed=needed)
