"""Several implementations of one thing, timed against each other."""

from __future__ import annotations

import io
import random
import tokenize
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median, quantiles
from typing import Any

from e2brun.errors import UsageError
from e2brun.primitives.base import Primitive
from e2brun.primitives.code import CodeOutput
from e2brun.primitives.context import WorkflowContext
from e2brun.primitives.execution import CodeExecutionPrimitive
from e2brun.values import suggestion

Interval = tuple[float, float]
Implementation = str | Mapping[str, object]
_STARTED = "pass"  # a cell before the timed one: the interpreter's start is no part of the code
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


@dataclass(frozen=True)
class Measurement:
    """One implementation's times, in seconds, and what it printed at its last run.

    `median`, `spread` (the interquartile range), `interval` (95 %, of the median) and `ratio`
    (to the baseline's median, with its own interval) are None where it never succeeded.
    """

    name: str
    lines_of_code: int
    times: tuple[float, ...]
    success: bool
    output: str
    error: str | None
    median: float | None = None
    spread: float | None = None
    interval: Interval | None = None
    ratio: float | None = None
    ratio_interval: Interval | None = None


@dataclass(frozen=True)
class Comparison:
    """How the implementations did, in their order."""

    baseline: str
    measurements: tuple[Measurement, ...]

    def __getitem__(self, name: str) -> Measurement:
        return next(found for found in self.measurements if found.name == name)

    @property
    def fastest(self) -> Measurement | None:
        """The smallest median among those that succeeded every time."""
        timed = [(m.median, m) for m in self.measurements if m.success and m.median is not None]
        return min(timed, key=lambda pair: pair[0])[1] if timed else None

    @property
    def same_output(self) -> bool:
        return len({measurement.output for measurement in self.measurements}) < 2


@dataclass(frozen=True)
class BenchmarkSuite:
    """Implementations by name, each the code or a CodeInput, to be run `repeats` times.

    Every run has a sandbox of its own, all of the kind that `primitive` makes; the rounds are
    interleaved, so that a slow minute of the machine is everybody's. The first `warm_up` rounds
    do not count. The figures depend on the times alone: the bootstrap is seeded.
    """

    implementations: Mapping[str, Implementation]
    repeats: int = 10
    warm_up: int = 1
    baseline: str | None = None  # None: the first
    primitive: Primitive[Mapping[str, object], CodeOutput] = field(
        default_factory=lambda: CodeExecutionPrimitive(setup=_STARTED)
    )
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.implementations or self.repeats < 1 or self.warm_up < 0:
            raise UsageError(
                "a benchmark needs an implementation, a repeat, and no negative number"
            )
        if self.baseline is not None and self.baseline not in self.implementations:
            meant = suggestion(self.baseline, self.implementations)
            raise UsageError(f"no implementation {self.baseline!r}{meant}")

    async def run(self, context: WorkflowContext | None = None) -> Comparison:
        """Run them all. Raises SandboxError; code that fails is a measurement without success."""
        context = context or WorkflowContext()
        inputs: dict[str, Mapping[str, object]] = {
            name: {"code": given} if isinstance(given, str) else given
            for name, given in self.implementations.items()
        }
        outputs: dict[str, list[CodeOutput]] = {name: [] for name in inputs}
        names = list(inputs)
        for number in range(self.warm_up + self.repeats):
            shift = number % len(names)  # nobody is always the first
            for name in (*names[shift:], *names[:shift]):
                output = await self.primitive.execute(inputs[name], context)
                if number >= self.warm_up:
                    outputs[name].append(output)
        measured = [_measured(name, inputs[name], outputs[name], self.seed) for name in names]
        baseline = self.baseline or names[0]
        base = next(found for found in measured if found.name == baseline)
        return Comparison(baseline, tuple(_related(found, base, self.seed) for found in measured))


async def compare(
    implementations: Mapping[str, Implementation],
    context: WorkflowContext | None = None,
    *,
    repeats: int = 10,
    warm_up: int = 1,
    baseline: str | None = None,
    **options: Any,  # the types are those of its fields
) -> Comparison:
    """Run a BenchmarkSuite; `options` are those of CodeExecutionPrimitive."""
    options.setdefault("setup", _STARTED)
    primitive = CodeExecutionPrimitive(**options)
    suite = BenchmarkSuite(implementations, repeats, warm_up, baseline, primitive)
    return await suite.run(context)


def _measured(
    name: str, given: Mapping[str, object], outputs: Sequence[CodeOutput], seed: int
) -> Measurement:
    times = tuple(output["execution_time"] for output in outputs if output["success"])
    failures = [output["error"] for output in outputs if not output["success"]]
    found = Measurement(
        name,
        code_lines(str(given.get("code", ""))),
        times,
        success=not failures,
        output=outputs[-1]["stdout"],
        error=failures[0] if failures else None,
    )
    if not times:
        return found
    return replace(
        found,
        median=median(times),
        spread=quartile_range(times),
        interval=bootstrap(times, seed=seed),
    )


def _related(found: Measurement, base: Measurement, seed: int) -> Measurement:
    if found.median is None or not base.median:
        return found
    return replace(
        found,
        ratio=found.median / base.median,
        # Against itself there is nothing to be unsure of.
        ratio_interval=(1.0, 1.0)
        if found is base
        else bootstrap(found.times, base.times, seed=seed),
    )


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
