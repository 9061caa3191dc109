"""What generators that are asked have in common: the prompt, the cassette, the answer."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from time import monotonic

from e2brun.errors import E2brunError, UsageError
from e2brun.primitives.context import WorkflowContext
from e2brun.runs.record import Verdict
from e2brun.stages.generate.cassette import Cassette, Question, RecordedAnswer
from e2brun.stages.generate.fences import extract_code
from e2brun.stages.generate.refinement import refined
from e2brun.stages.step import Generator, Judgement
from e2brun.stages.template import render
from e2brun.stages.work import Work


class GeneratorFailed(E2brunError):
    """The generator gave no answer; that says nothing about any candidate."""

    hint = "Try the generator by itself."

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(message)
        self.details = details


@dataclass(frozen=True)
class PromptedGenerator(Generator):
    """Asks with `prompt`; from the second attempt on with all that was wrong before.

    `prompt_limit` bounds, in characters, what is told of earlier attempts. A generator that
    fails is infrastructure; an answer without code fails the attempt.
    """

    prompt: str
    timeout: float = 120.0
    cassette: Cassette | None = None
    prompt_limit: int = 100_000

    def __post_init__(self) -> None:
        if not self.prompt.strip():
            raise UsageError("generate: the prompt is empty")

    @abstractmethod
    def identity(self, variables: Mapping[str, object]) -> str:
        """Which generator this is, with all that decides its answers but the prompt."""

    @abstractmethod
    async def ask(self, prompt: str, variables: Mapping[str, object]) -> RecordedAnswer:
        """Its answer. Raises GeneratorFailed, and UsageError for settings that cannot be."""

    async def take(self, work: Work, context: WorkflowContext) -> Work:
        started = monotonic()
        prompt = refined(render(self.prompt, work.case.variables), work.earlier, self.prompt_limit)
        question = Question(self.identity(work.case.variables), prompt, work.case.id, work.attempt)
        try:
            answer = await self._answer(question, work.case.variables)
        except UsageError:
            raise
        except E2brunError as error:
            details = error.details if isinstance(error, GeneratorFailed) else error.hint
            broken = Judgement(Verdict.INFRASTRUCTURE, str(error), details)
            return work.with_step(self.record(broken, started))
        code = extract_code(answer.text)
        if not code:
            message = "the answer has no code in it"
            empty = Judgement(Verdict.FAILED, message, answer.text[:2000], tokens=answer.tokens)
            return work.with_step(self.record(empty, started))
        done = Judgement(Verdict.PASSED, f"{len(code)} characters", tokens=answer.tokens)
        return replace(work, code=code).with_step(self.record(done, started))

    async def _answer(self, question: Question, variables: Mapping[str, object]) -> RecordedAnswer:
        found = self.cassette.find(question) if self.cassette is not None else None
        if found is not None:
            return found
        answer = await self.ask(question.prompt, variables)
        if self.cassette is not None:
            self.cassette.keep(question, answer)
        return answer
