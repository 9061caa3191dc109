"""What passes from stage to stage: a case, its candidate, and the steps taken so far.

Every stage is a `Primitive[Work, Work]` that adds its `StepRecord`s and changes nothing else but
what it made. A stage given work that is `stopped` adds nothing and hands it on, so that stages
compose with `>>` and a failing candidate costs no sandbox. The refining loop around them reads
`steps` to tell the generator what was wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from e2brun.runs.record import AttemptRecord, ExecutionRecord, StepRecord, Verdict
from e2brun.stages.evidence import Collected, Probed


@dataclass(frozen=True, slots=True)
class Case:
    """One input of a pipeline: its id, and the variables that prompts, code and checks may use."""

    id: str
    variables: Mapping[str, object] = field(default_factory=dict[str, object])
    file: Path | None = None  # the candidate, where `files` names it


@dataclass(frozen=True, slots=True)
class Work:
    """One attempt at one case, under way."""

    case: Case
    attempt: int = 1
    code: str | None = None  # the candidate; None before generate
    file: str = ""  # as the user knows it
    earlier: tuple[AttemptRecord, ...] = ()  # for a generator that refines
    execution: ExecutionRecord | None = None
    steps: tuple[StepRecord, ...] = ()
    collected: Mapping[str, Collected] = field(default_factory=dict[str, Collected])
    probed: Mapping[str, Probed] = field(default_factory=dict[str, Probed])

    @property
    def stopped(self) -> bool:
        """A step failed: nothing more is to be done with this candidate."""
        return any(step.verdict not in {Verdict.PASSED, Verdict.SKIPPED} for step in self.steps)

    def with_step(self, *steps: StepRecord) -> Work:
        return replace(self, steps=(*self.steps, *steps))
