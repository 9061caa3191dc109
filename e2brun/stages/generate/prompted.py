"""What generators that are asked have in common: the prompt, the cassette, the answer, which may be
prose around the code."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from time import monotonic

from e2brun.errors import E2brunError, UsageError
from e2brun.primitives.context import WorkflowContext
from e2brun.runs.record import AttemptRecord, ExecutionRecord, StepRecord, Verdict
from e2brun.stages.generate.cassette import Cassette, Question, RecordedAnswer
from e2brun.stages.step import Generator, Judgement
from e2brun.stages.template import render
from e2brun.stages.work import Work
from e2brun.values import valid_unicode


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
        text = valid_unicode(answer.text)  # a model's JSON may have half a character
        code = extract_code(text)
        if not code:
            message = "the answer has no code in it"
            empty = Judgement(Verdict.FAILED, message, text[:2000], tokens=answer.tokens)
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


_LOG_SHARE = 8  # logs get an eighth of an attempt's room, code the rest
_LEAST = 200  # characters of a part that is kept at all


def refined(prompt: str, earlier: Sequence[AttemptRecord], limit: int) -> str:
    """The prompt with every earlier attempt: its code, what was found, its output.

    At most about `limit` characters beside the prompt itself: each attempt has the same share,
    and of a part that is too long the beginning and the end stay. It holds no times and no ids,
    so that the same failures make the same prompt.
    """
    if not earlier:
        return prompt
    share = max(limit // len(earlier), 5 * _LEAST)
    parts = [prompt.rstrip(), ""]
    for attempt in earlier:
        parts += _attempt(attempt, share)
    parts.append(
        "Write the whole program again, with what was wrong corrected. "
        "Answer with one block of Python code and nothing else."
    )
    return "\n".join(parts) + "\n"


def _attempt(attempt: AttemptRecord, share: int) -> Iterator[str]:
    log = share // _LOG_SHARE
    yield f"## Attempt {attempt.number} did not pass. Its code was:"
    yield _fenced(attempt.code or "(no code)", share - 4 * log, "python")
    for step in attempt.steps:
        if step.verdict is Verdict.FAILED:
            yield from _failure(step, log)
    ran = next((s.execution for s in reversed(attempt.steps) if s.execution is not None), None)
    if ran is not None:
        yield from _logs(ran, log)
    yield ""


def _failure(step: StepRecord, room: int) -> Iterator[str]:
    yield f"It failed at {step.stage} ({step.step}): {shortened(step.message, room)}"
    if step.details and step.details.strip() != step.message.strip():
        yield _fenced(step.details, room)


def _logs(ran: ExecutionRecord, room: int) -> Iterator[str]:
    for name, text in (("stdout", ran.stdout), ("stderr", ran.stderr)):
        if text.strip() and text.strip() != ran.traceback.strip():
            yield f"Its {name} was:"
            yield _fenced(text, room)


def _fenced(text: str, room: int, language: str = "") -> str:
    text = shortened(text.rstrip("\n"), room)
    fence = fence_for(text)
    return f"{fence}{language}\n{text}\n{fence}"


def shortened(text: str, room: int) -> str:
    """The beginning and the end of a text that is longer than `room` characters."""
    room = max(room, _LEAST)
    if len(text) <= room:
        return text
    head = room // 2
    return f"{text[:head]}\n[... {len(text) - room} characters left out ...]\n{text[head - room :]}"


@dataclass(slots=True)
class _Block:
    language: str
    lines: list[str]


def extract_code(answer: str) -> str:
    """The first fenced block of Python, or the first fenced block, or all of an answer that has
    none. Fences are CommonMark's: three or more backticks or tildes; inner ones are content.
    A block that is never closed ends with the answer."""
    blocks = _blocks(answer)
    if not blocks:
        return answer.strip("\r\n") + "\n" if answer.strip() else ""
    chosen = next(
        (block for block in blocks if block.language in {"python", "python3", "py"}), blocks[0]
    )
    code = "\n".join(chosen.lines)
    return f"{code}\n" if code.strip() else ""


def fence_for(text: str) -> str:
    """A fence that no line of the text can close."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    return "`" * (longest + 1)


def _blocks(answer: str) -> list[_Block]:
    blocks: list[_Block] = []
    mark, indent = "", 0
    for line in answer.replace("\r\n", "\n").split("\n"):
        fence = re.match(r"( {0,12})(`{3,}|~{3,})(.*)$", line)
        if not mark:
            if fence and not (fence[2][0] == "`" and "`" in fence[3]):
                words = fence[3].strip().strip("{}.").split()
                language = words[0].lower().lstrip(".") if words else ""
                mark, indent = fence[2], len(fence[1])
                blocks.append(_Block(language, []))
        elif fence and not fence[3].strip() and fence[2].startswith(mark):
            mark = ""
        else:
            # A block in a list is indented as a whole.
            cut = min(indent, len(line) - len(line.lstrip(" ")))
            blocks[-1].lines.append(line[cut:])
    return blocks
