"""What need not be run, since an earlier run has a true result of it."""

from __future__ import annotations

from e2brun.batch.case import Case
from e2brun.batch.ids import digest_of
from e2brun.batch.results import Line
from e2brun.errors import UsageError
from e2brun.runs.finding import find
from e2brun.runs.origin import StoredRun
from e2brun.runs.record import Verdict
from e2brun.runs.store import Store

_TRUE = (Verdict.PASSED, Verdict.FAILED)  # infrastructure says nothing of the case


class Earlier:
    """The cases of a run that are done, at some dozen bytes each."""

    def __init__(self, run_id: str = "", *, only_passed: bool = False) -> None:
        self.run_id = run_id
        self._wanted = _TRUE[:1] if only_passed else _TRUE
        self._prints: dict[int, int] = {}
        self._failed: set[int] = set()

    def __len__(self) -> int:
        return len(self._prints)

    def read(self, store: Store) -> None:
        for row in store.rows(self.run_id):
            self._add(row.id, row.verdict, row.fingerprint)

    def add_line(self, line: Line) -> bool:
        """One of a file of results; whether it is of this run, and done."""
        found = (line.get("run_id"), line.get("id"), line.get("verdict"), line.get("fingerprint"))
        run_id, case_id, verdict, fingerprint = map(str, found)
        if run_id != self.run_id or verdict not in list(self._wanted):
            return False
        self._add(case_id, Verdict(verdict), fingerprint)
        return True

    def verdict(self, case: Case, fingerprint: str) -> Verdict | None:
        """How it went; None where it has to be run."""
        name = digest_of(case.id)
        if self._prints.get(name) != digest_of(fingerprint):
            return None
        return Verdict.FAILED if name in self._failed else Verdict.PASSED

    def _add(self, case_id: str, verdict: Verdict, fingerprint: str) -> None:
        if verdict in self._wanted:
            name = digest_of(case_id)
            self._prints[name] = digest_of(fingerprint)
            if verdict is Verdict.FAILED:
                self._failed.add(name)


def resumed(store: Store, text: str, code_hash: str) -> StoredRun:
    """The batch to go on with. Raises UsageError: there is no such, or one of something else."""
    run = find(store, text, "batch" if text.startswith("@last") else None)
    if run.origin.kind != "batch":
        raise UsageError(f"--resume {text}: that is no batch, it is {run.origin.kind}")
    if run.origin.code_hash != code_hash:
        raise UsageError(
            f"--resume {text}: that run had another input, or other options that decide how cases"
            f" go: {' '.join(run.origin.command)[:200]}"
        )
    return run


def newest_of(store: Store, file: str) -> StoredRun | None:
    runs = store.runs(kind="batch")
    return next((run for run in runs if run.record.file == file), None)
