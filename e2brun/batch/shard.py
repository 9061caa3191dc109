"""One part of several of a batch, as machines of a CI matrix each take one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from e2brun.batch.case import Case
from e2brun.errors import UsageError
from e2brun.frozen import Frozen


class Shard(Frozen):
    """The cases number `number`, `number + count`, ..., counted from 1."""

    number: int = 1
    count: int = 1

    def of(self, cases: Iterator[Case]) -> Iterator[Case]:
        return islice(cases, self.number - 1, None, self.count)

    def size(self, total: int) -> int:
        return len(range(self.number - 1, total, self.count))


def parse_shard(text: str) -> Shard:
    """`2/8`. Raises UsageError."""
    match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise UsageError(f"--shard {text}: write which of how many, such as 2/8")
    return Shard(int(match[1]), int(match[2]))
