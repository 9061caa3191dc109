"""Rich results of a cell: pictures, tables, values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from e2brun.errors import UsageError
from e2brun.jobs.notebook_outputs import MIMES
from e2brun.sandbox.contract import JSON_RESULT_KEYS, TEXT_RESULT_KEYS
from e2brun.stages.check.difference import difference, shown
from e2brun.stages.check.values import same
from e2brun.stages.step import PASSED, Check, Judgement, executed, failed
from e2brun.stages.work import Work
from e2brun.values import is_mapping, suggestion

_KEY_OF = {mime: key for key, mime in MIMES.items()}
_KEYS = TEXT_RESULT_KEYS | JSON_RESULT_KEYS


@dataclass(frozen=True)
class ResultsCheck(Check, step="results"):
    """One of the results has `mime` (`png`, or `image/png`), equal to `value` or containing
    `contains`; there are `count` of them. None: not asked."""

    mime: str = ""
    value: object = None
    contains: str = ""
    count: int | None = None

    values: ClassVar[frozenset[str]] = frozenset({"value"})

    def __post_init__(self) -> None:
        if not self.mime and (self.value is not None or self.contains):
            object.__setattr__(self, "mime", "text")
        if not self.mime and self.count is None:
            raise UsageError("results: nothing to check: mime, value, contains, count")
        if self.mime and "/" not in self.mime and self.mime not in _KEYS:
            near = suggestion(self.mime, _KEYS)
            raise UsageError(f"results: {self.mime!r} is no kind of result{near}")

    async def judge(self, work: Work) -> Judgement:
        results = executed(work).results
        if self.count is not None and len(results) != self.count:
            return failed(f"{len(results)} results, not {self.count}", _kinds(results))
        if not self.mime:
            return PASSED
        found = [value for result in results if (value := _of(result, self.mime)) is not None]
        if not found:
            return failed(f"no result is {self.mime}", _kinds(results))
        if self.value is not None and not any(same(value, self.value) for value in found):
            return failed(f"no {self.mime} is {shown(self.value)}", self._diff(found[-1]))
        if self.contains and not any(self.contains in str(value) for value in found):
            return failed(f"no {self.mime} holds {shown(self.contains)}", shown(found[-1]))
        return PASSED

    def _diff(self, got: object) -> str:
        if isinstance(got, str) and isinstance(self.value, str):
            return difference(self.value, got)
        return f"expected {shown(self.value)}\ngot      {shown(got)}"


def _of(result: Mapping[str, object], mime: str) -> object:
    found = result.get(_KEY_OF.get(mime, mime))
    if found is None and is_mapping(extra := result.get("extra")):
        return extra.get(mime)
    return found


def _kinds(results: tuple[Mapping[str, object], ...]) -> str:
    kinds = [", ".join(sorted(result.keys() & _KEYS)) for result in results[:20]]
    return "the results are: " + ("; ".join(kinds) or "none")
