"""What generators answered, kept in a file, and answered again from it with no model at all."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from e2brun.errors import E2brunError, UsageError

# What differs from run to run though nothing else does.
_PASSING = ((r"0x[0-9a-fA-F]{6,16}", "0x"), (r"\b\d+(?:\.\d+)? ?(?:m?s|seconds)\b", "some time"))


_MALFORMED = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)


class NotOnCassette(E2brunError):
    """The file to replay from has no answer to this prompt."""

    hint = "Record again: the prompt, the generator or an earlier answer has changed."


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a generator, and for whom."""

    generator: str  # which one, with all that decides its answer
    prompt: str
    case: str
    attempt: int

    @property
    def key(self) -> str:
        """Equal for the same prompt to the same generator; times and addresses do not count."""
        prompt = self.prompt
        for pattern, instead in _PASSING:
            prompt = re.sub(pattern, instead, prompt)
        text = json.dumps([self.generator, prompt])
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class RecordedAnswer:
    """What it answered, as it came; `tokens` as far as they are known."""

    text: str
    tokens: Mapping[str, int] = field(default_factory=dict[str, int])


class Cassette:
    """Stands between a question and the generator; this one knows nothing and keeps nothing."""

    def find(self, question: Question) -> RecordedAnswer | None:
        """The answer, or None: ask the generator. Raises NotOnCassette: there is none to ask."""
        return None

    def keep(self, question: Question, answer: RecordedAnswer) -> None:
        """It was answered."""


@dataclass(frozen=True)
class Recorder(Cassette):
    """Keeps every answer: one JSON line each, written at once, the file made anew."""

    path: Path
    _lock: threading.Lock = field(
        default_factory=threading.Lock, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        with UsageError.of_system(f"{self.path}: it cannot be written"):
            self.path.write_text("", encoding="utf-8")

    def keep(self, question: Question, answer: RecordedAnswer) -> None:
        entry = {
            "key": question.key,
            "generator": question.generator,
            "case": question.case,
            "attempt": question.attempt,
            "prompt": question.prompt,
            **asdict(answer),
        }
        wrong = E2brunError.of_system(f"{self.path}: it cannot be written")
        with wrong, self._lock, self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


@dataclass(frozen=True)
class Replay(Cassette):
    """Answers from such a file. Of several answers to one prompt a case gets its own, if any."""

    path: Path
    _answers: dict[str, dict[tuple[str, int], RecordedAnswer]] = field(
        default_factory=dict[str, dict[tuple[str, int], RecordedAnswer]], init=False, repr=False
    )

    def __post_init__(self) -> None:
        with UsageError.of_system(f"{self.path}: it cannot be replayed"):
            lines = self.path.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines, 1):
            if line.strip():
                self._read(line, number)

    def _read(self, line: str, number: int) -> None:
        try:
            entry: dict[str, Any] = json.loads(line)
            tokens = {name: int(count) for name, count in entry.get("tokens", {}).items()}
            answer = RecordedAnswer(str(entry["text"]), tokens)
            place = (str(entry["case"]), int(entry["attempt"]))
            self._answers.setdefault(str(entry["key"]), {}).setdefault(place, answer)
        except _MALFORMED as error:
            raise UsageError(f"{self.path}:{number}: this is no line of a recording") from error

    def find(self, question: Question) -> RecordedAnswer | None:
        """The recorded answer. Raises NotOnCassette."""
        answers = self._answers.get(question.key)
        if not answers:
            raise NotOnCassette(
                f"{self.path} has no answer for case {question.case}, attempt {question.attempt}: "
                f"{self._nearest(question)}"
            )
        own = answers.get((question.case, question.attempt))
        return own or next(iter(answers.values()))

    def _nearest(self, question: Question) -> str:
        places = {place for answers in self._answers.values() for place in answers}
        if (question.case, question.attempt) in places:
            return "it was recorded with another prompt or generator"
        if any(case == question.case for case, _ in places):
            return "of that case other attempts were recorded"
        return f"it has {len(places)} answers, none for that case"
