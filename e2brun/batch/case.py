"""One case of a batch: a program, and what it is given and is to print."""

from __future__ import annotations

import hashlib

from e2brun.frozen import Frozen
from e2brun.jobs.source import Source


class Test(Frozen):
    """One run of the program. `expected` is what it is to print; None: that is not looked at."""

    __test__ = False  # for pytest: this is none of its own

    stdin: bytes | None = None
    expected: str | None = None


class Case(Frozen):
    """`task` is what it is one of several answers to, in a file of samples."""

    id: str
    source: Source
    tests: tuple[Test, ...] = (Test(),)
    task: str = ""

    def fingerprint(self, settings: str) -> str:
        """Of all that decides how it goes; `settings` says how it is run."""
        whole = hashlib.sha256(settings.encode())
        parts = [self.source.inside.encode("utf-8", "surrogateescape"), self.source.content]
        for test in self.tests:
            expected = None
            if test.expected is not None:
                expected = test.expected.encode("utf-8", "surrogatepass")
            parts += [b"-" if part is None else b"+" + part for part in (test.stdin, expected)]
        for part in parts:
            whole.update(b"%d:" % len(part))
            whole.update(part)
        return whole.hexdigest()


class Survey(Frozen):
    """What one look through an input found, before anything ran."""

    cases: int
    digest: str  # SHA-256 of all of it
    skipped: int = 0  # lines that are no case
    first_skipped: str = ""  # which the first was, and why
    unanswered: str = ""  # how many of the problems no sample answers, if any
