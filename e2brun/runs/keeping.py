"""Which runs stay when nobody says so, and when somebody does.

A run that goes on is never taken away. Of the others the newest stay: so many of one pipeline or
batch, so many of exec, and as many as their long outputs have room for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from e2brun.runs.rows import Held
from e2brun.runs.spool import files_of
from e2brun.runs.store import Store
from e2brun.runs.unspool import unspool


@dataclass(frozen=True, slots=True)
class Rules:
    """How many stay. None: any number."""

    of_one: int | None = 20  # of one pipeline, batch or comparison
    programs: int | None = 1000  # of exec
    room: int | None = 2 * 1024**3  # bytes of long outputs, as they lie on disk
    since: float = 0.0  # those begun before go


def tidy(store: Store, rules: Rules | None = None, *, dry: bool = False) -> list[str]:
    """Take away what does not stay (`dry`: nothing). Returns the ids."""
    rules = rules or Rules()
    gone = list(surplus(store.held(), rules))
    if not dry:
        for run_id in gone:
            store.remove(run_id)
    return gone


def sweep(store: Store) -> None:
    """Take away files that belong to no run: of one that was killed while it was taken away."""
    above = files_of(store.path, "any").parent
    # First the names: whose run begins after this is not among them.
    names = [path.name for path in above.iterdir()] if above.is_dir() else []
    unspool(store)
    for name in names:
        if store.run(name) is None:
            store.texts(name).remove()


def surplus(held: Sequence[Held], rules: Rules) -> Iterator[str]:
    """The ids of those that do not stay; `held` has the newest first."""
    count: Counter[str] = Counter()
    used = 0
    for run in held:
        program = run.kind == "exec"
        group = "exec" if program else f"{run.kind}:{run.file}"
        count[group] += 1
        used += run.size
        limit = rules.programs if program else rules.of_one
        too_many = limit is not None and count[group] > limit
        too_large = rules.room is not None and used > rules.room and run.size > 0
        if (too_many or too_large or run.started < rules.since) and not run.goes_on:
            used -= run.size
            yield run.id
