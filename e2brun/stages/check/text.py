"""What the program printed or left in files, and any other text a check is about."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from typing import Literal

from e2brun.errors import UsageError
from e2brun.stages.check.difference import difference, excerpt, shown
from e2brun.stages.child import Bounds, run_child
from e2brun.stages.step import PASSED, Check, Judgement, executed, failed
from e2brun.stages.work import Work

Stream = Literal["stdout", "stderr"]
Several = str | tuple[str, ...]


def several(given: Several) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else given


def without_end(text: str) -> str:
    """Windows' line ends as ours, and no last one."""
    return text.replace("\r\n", "\n").removesuffix("\n")


@dataclass(frozen=True)
class TextCheck(Check):
    """What came on `stream`; the last line end is not compared. `contains`, `not_contains` and
    `matches` (regular expressions, found anywhere) take one text or several; `lines` how many, or
    each of them."""

    stream: Stream = "stdout"
    equals: str | None = None
    contains: Several = ()
    not_contains: Several = ()
    matches: Several = ()
    lines: int | tuple[str, ...] | None = None

    @property
    def name(self) -> str:
        return self.stream

    async def judge(self, work: Work) -> Judgement:
        record = executed(work)
        text = record.stdout if self.stream == "stdout" else record.stderr
        return await self.judged(self.stream, text, cut=bool(record.truncated.get(self.stream)))

    async def judged(self, what: str, text: str, *, cut: bool = False) -> Judgement:
        """Every wish; `cut`: more came than was kept, so what is absent may have been there."""
        problems = [*self._equal(text), *self._pieces(text), *self._lines(text)]
        for pattern in several(self.matches):
            found = await found_in(pattern, text)
            if found is None:
                problems.append((f"matching {shown(pattern)} took too long", ""))
            elif not found:
                problems.append((f"does not match {shown(pattern)}", excerpt(text)))
        if cut and (self.equals is not None or self.not_contains or self.lines is not None):
            problems.append(("was cut at the output limit, so nobody can tell", ""))
        if not problems:
            return PASSED
        message = "; ".join(problem for problem, _ in problems)
        details = "\n".join(dict.fromkeys(detail for _, detail in problems if detail))
        return failed(f"{what} {message}", details)

    def _equal(self, text: str) -> list[tuple[str, str]]:
        if self.equals is None or without_end(text) == without_end(self.equals):
            return []
        return [("is not as expected", difference(without_end(self.equals), without_end(text)))]

    def _pieces(self, text: str) -> list[tuple[str, str]]:
        lacking = [f"lacks {shown(p)}" for p in several(self.contains) if p not in text]
        held = [f"holds {shown(p)}" for p in several(self.not_contains) if p in text]
        return [(problem, excerpt(text)) for problem in (*lacking, *held)]

    def _lines(self, text: str) -> list[tuple[str, str]]:
        bare = without_end(text)
        got = bare.split("\n") if bare else []
        if isinstance(self.lines, int):
            if len(got) == self.lines:
                return []
            return [(f"has {len(got)} lines, not {self.lines}", excerpt(text))]
        if self.lines is None or tuple(got) == self.lines:
            return []
        return [("has other lines", difference("\n".join(self.lines), bare))]


async def text_at(work: Work, stream: Stream, file: str | None) -> tuple[str, str] | Judgement:
    """(what it is called, the text) of a stream or a file of the sandbox; why there is none."""
    if file is None:
        record = executed(work)
        if record.truncated.get(stream):
            return failed(f"{stream} was cut at the output limit")
        return stream, record.stdout if stream == "stdout" else record.stderr
    found = work.collected.get(file)
    if found is None:
        raise UsageError(f"{file} was not read from the sandbox: give the checks to ExecuteStage")
    if found.content is None:
        what = f"there is no {file}" if found.missing else f"{file} cannot be read"
        return failed(what, found.problem)
    if found.truncated:
        return failed(f"{file} is larger than what is read of a file")
    return file, found.content.decode("utf-8", "replace")


_SECONDS = 2.0
_PROGRAM = (
    "import json, re, sys; pattern, text = json.load(sys.stdin); "
    "print(json.dumps(re.search(pattern, text) is not None))"
)
_SHORT = 4_000  # one repeat is at worst quadratic


async def found_in(pattern: str, text: str) -> bool | None:
    """Whether it is found anywhere in a stranger's text; None: it took too long. One that could run
    wild is tried in a process that can be ended. Raises UsageError for no pattern."""
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise UsageError(f"matches: {pattern!r} is no regular expression: {error}") from None
    repeats = len(re.findall(r"[*+?{]", pattern))
    if repeats == 0 or (repeats == 1 and len(text) <= _SHORT):
        return re.search(pattern, text) is not None
    argv = (sys.executable, "-I", "-S", "-c", _PROGRAM)
    ended = await run_child(argv, json.dumps([pattern, text]).encode(), Bounds(_SECONDS))
    try:
        return bool(json.loads(ended.stdout))
    except ValueError:
        return None


@dataclass(frozen=True)
class FileCheck(Check, step="file"):
    """The regular file at `path` (relative: in the home directory) is there, with the text it
    should have; or, with `exists = False`, it is not."""

    path: str
    exists: bool = True
    equals: str | None = None
    contains: Several = ()
    not_contains: Several = ()
    matches: Several = ()

    def __post_init__(self) -> None:
        if not self.path or "\0" in self.path:
            raise UsageError("file: the path is empty")
        if not self.exists and self._is_about_text:
            raise UsageError(f"file: {self.path} is not to exist, so it has no content to check")

    @property
    def _is_about_text(self) -> bool:
        return self.equals is not None or any((self.contains, self.not_contains, self.matches))

    @property
    def collects(self) -> tuple[str, ...]:
        return (self.path,)

    async def judge(self, work: Work) -> Judgement:
        found = work.collected.get(self.path)
        if not self.exists and found is not None:
            if found.missing:
                return PASSED
            if found.content is None:
                return failed(f"nobody can tell whether there is a {self.path}", found.problem)
            return failed(f"there is a {self.path}, and should not be")
        if found is not None and found.content is not None and not self._is_about_text:
            return PASSED
        text = await text_at(work, "stdout", self.path)
        if isinstance(text, Judgement):
            return text
        wanted = (self.equals, self.contains, self.not_contains, self.matches)
        return await TextCheck("stdout", *wanted).judged(*text)
