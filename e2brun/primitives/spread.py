"""The arithmetic of a benchmark: spread, confidence, lines of code."""

from __future__ import annotations

import io
import random
import tokenize
from collections.abc import Sequence
from statistics import median, quantiles

Interval = tuple[float, float]

_RESAMPLES = 2000
_SILENT = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}


def quartile_range(times: Sequence[float]) -> float:
    """The width of the middle half."""
    if len(times) < 2:
        return 0.0
    first, _, third = quantiles(times, n=4, method="inclusive")
    return third - first


def bootstrap(
    times: Sequence[float], base: Sequence[float] | None = None, *, seed: int
) -> Interval:
    """The 95 % interval of the median, or of its ratio to the median of `base`."""
    chance = random.Random(seed)  # noqa: S311 - not a secret, and the same every time
    found: list[float] = []
    for _ in range(_RESAMPLES):
        value = median(chance.choices(times, k=len(times)))
        if base is not None:
            # A clock that saw no time pass must not divide by it.
            value /= max(median(chance.choices(base, k=len(base))), 1e-9)
        found.append(value)
    found.sort()
    return found[int(0.025 * _RESAMPLES)], found[int(0.975 * _RESAMPLES) - 1]


def code_lines(code: str) -> int:
    """Lines with something on them other than a comment; the non-blank ones if it is no Python."""
    try:
        lines: set[int] = set()
        for token in tokenize.generate_tokens(io.StringIO(code).readline):
            if token.type not in _SILENT:
                lines.update(range(token.start[0], token.end[0] + 1))
    except (tokenize.TokenError, SyntaxError):
        return sum(1 for line in code.splitlines() if line.strip())
    return len(lines)
