"""Numbers in what the program printed, within a tolerance."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar, cast

from e2brun.errors import UsageError
from e2brun.stages.check.difference import excerpt
from e2brun.stages.check.text import Stream, text_at
from e2brun.stages.step import PASSED, Check, Judgement, failed
from e2brun.stages.work import Work
from e2brun.values import is_sequence

_MOST = 100_000
# No digits directly before or after a letter: `x2` and `0x1f` are no numbers.
_NUMBER = (
    r"(?<![\w.])[-+]?(?:\d{1,400}(?:\.\d{0,400})?|\.\d{1,400})(?:[eE][-+]?\d{1,4})?(?![\w])"
    r"|(?<![\w.])[-+]?(?:inf|nan)(?![\w])"
)


@dataclass(frozen=True)
class NumbersCheck(Check, step="numbers"):
    """The numbers on `stream`, in their order, are `equals`; with `last`, only the last of them.
    Each may be off by `absolute`, or by the share `relative` of what is expected."""

    equals: float | str | tuple[float | str, ...]
    absolute: float = 1e-9
    relative: float = 1e-6
    stream: Stream = "stdout"
    last: bool = False

    values: ClassVar[frozenset[str]] = frozenset({"equals"})

    def __post_init__(self) -> None:
        if not (self.absolute >= 0 and self.relative >= 0):
            raise UsageError("numbers: a tolerance is 0 or more")
        if self.equals == ():
            raise UsageError("numbers: there is no number to expect")
        if "{{" not in str(self.equals):
            _expected(self.equals)

    async def judge(self, work: Work) -> Judgement:
        expected = _expected(self.equals)
        text = await text_at(work, self.stream, None)
        if isinstance(text, Judgement):
            return text
        got = numbers_in(text[1])
        if self.last:
            got = got[-len(expected) :]
        if len(got) != len(expected):
            wanted = f"{len(expected)} number" + "s" * (len(expected) > 1)
            return failed(f"{wanted} expected, {len(got)} got", excerpt(text[1]))
        wrong = [
            f"number {place}: expected {one!r}, got {other!r}"
            for place, (one, other) in enumerate(zip(expected, got, strict=True), 1)
            if not self._close(one, other)
        ]
        if not wrong:
            return PASSED
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        return failed(wrong[0] + more, "\n".join(wrong[:20]))

    def _close(self, expected: float, got: float) -> bool:
        if math.isnan(expected) or math.isnan(got):
            return math.isnan(expected) and math.isnan(got)
        if math.isinf(expected) or math.isinf(got):
            return expected == got
        return abs(expected - got) <= max(self.absolute, self.relative * abs(expected))


def numbers_in(text: str) -> list[float]:
    return [float(match[0]) for match in islice(re.finditer(_NUMBER, text), _MOST)]


def _expected(given: object) -> list[float]:
    items = given if is_sequence(given) else (given,)
    numbers: list[float] = []
    for item in items:
        if is_sequence(item):
            numbers += _expected(item)
            continue
        try:
            numbers.append(float(cast("float | str", item)))
        except (TypeError, ValueError, OverflowError):
            raise UsageError(f"numbers: {item!r} is no number") from None
    return numbers
