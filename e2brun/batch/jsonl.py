"""Cases from lines of JSON."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from e2brun.batch.case import Case, Survey
from e2brun.batch.fields import Unfit
from e2brun.batch.ids import Ids, digest_of
from e2brun.batch.lines import BadLine, Lines, Record
from e2brun.errors import UsageError

Make = Callable[[int, Record], Case]
"""A case from the number of a line and its object. Raises Unfit."""


class Bad:
    """The lines that are no case: counted, or the first of them raised."""

    def __init__(self, *, skip: bool) -> None:
        self._skip = skip
        self.count, self.first = 0, ""

    def __call__(self, error: BadLine) -> None:
        if not self._skip:
            raise error
        self.count += 1
        self.first = self.first or str(error)


class JsonLines:
    """One case a line, as whatever `make` returns reads it; what is no case goes to `bad`."""

    def __init__(
        self,
        lines: Lines,
        make: Callable[[], Make],
        bad: Bad,
        *,
        salt: str,
        unanswered: Callable[[], str] = str,
    ) -> None:
        """`salt`: what else decides which cases these are. `unanswered`: asked after all lines."""
        self._lines, self._make, self._bad, self._salt = lines, make, bad, salt
        self._unanswered = unanswered
        self._repeated: frozenset[int] = frozenset()
        self.name = Path(lines.file).name
        self.file = "" if lines.is_standard_input else str(Path(lines.file).absolute())

    def survey(self) -> Survey:
        """Look at every line, and hold none."""
        whole, ids, bad = hashlib.sha256(self._salt.encode()), Ids(), self._bad
        count, elsewhere = 0, bad.count
        for _, case in self._all(bad, whole.update):
            ids.add(case.id)
            count += 1
        self._repeated = ids.repeated()
        if self._repeated:
            for error in self._doubles():
                bad(error)
                count -= 1
        if not count and bad.count == elsewhere:
            raise UsageError(f"{self._lines.file}: there are no cases in it")
        return Survey(count, whole.hexdigest(), bad.count, bad.first, self._unanswered())

    def cases(self) -> Iterator[Case]:
        """Those that the survey counted."""
        seen: set[int] = set()
        for _, case in self._all():
            if self._repeated and (found := digest_of(case.id)) in self._repeated:
                if found in seen:
                    continue
                seen.add(found)
            yield case

    def _all(
        self,
        complain: Callable[[BadLine], None] = lambda _: None,
        look: Callable[[bytes], object] = lambda _: None,
    ) -> Iterator[tuple[int, Case]]:
        make = self._make()
        for number, line, record in self._lines.read(complain):
            look(line)
            if record is None:
                continue
            try:
                case = make(number, record)
            except Unfit as error:
                complain(BadLine(self._lines.file, number, str(error)))
                continue
            yield number, case

    def _doubles(self) -> Iterator[BadLine]:
        first: dict[int, int] = {}
        for number, case in self._all():
            found = digest_of(case.id)
            if found not in self._repeated:
                continue
            if found in first:
                why = f"the id {case.id!r} stands in line {first[found]} already"
                yield BadLine(self._lines.file, number, why)
            first.setdefault(found, number)
