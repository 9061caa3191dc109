"""Cases from files: each is a program, and its name as it was given its id."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from e2brun.batch.case import Case, Survey
from e2brun.batch.ids import Ids, digest_of, plain_id
from e2brun.errors import UsageError
from e2brun.jobs.source import from_file


class Files:
    """The programs in `names`, each read when it is its turn."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)
        self.name = names[0] if len(names) == 1 else f"{len(names)} files"
        self.file = str(Path(names[0] if len(names) == 1 else ".").absolute())

    def survey(self) -> Survey:
        """Read every file once, so that none is missing after an hour."""
        whole, ids = hashlib.sha256(), Ids()
        for case in self.cases():
            whole.update(case.fingerprint(case.id).encode())
            ids.add(case.id)
        if repeated := ids.repeated():
            name = next(n for n in map(plain_id, self._names) if digest_of(n) in repeated)
            raise UsageError(f"{name} is named twice")
        return Survey(len(self._names), whole.hexdigest())

    def cases(self) -> Iterator[Case]:
        """In the order of the command line."""
        for name in self._names:
            yield Case(plain_id(name), from_file(name))
