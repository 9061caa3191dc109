"""Files that the program left in the sandbox."""

from __future__ import annotations

from dataclasses import dataclass

from e2brun.errors import UsageError
from e2brun.stages.check.text import Several, TextCheck, text_at
from e2brun.stages.step import PASSED, Check, Judgement, failed
from e2brun.stages.work import Work


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
        texts = (self.contains, self.not_contains, self.matches)
        if not self.exists and (self.equals is not None or any(texts)):
            raise UsageError(f"file: {self.path} is not to exist, so it has no content to check")

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
        only_there = self.equals is None and not (
            self.contains or self.not_contains or self.matches
        )
        if only_there and found is not None and found.content is not None:
            return PASSED
        text = await text_at(work, "stdout", self.path)
        if isinstance(text, Judgement):
            return text
        wanted = (self.equals, self.contains, self.not_contains, self.matches)
        return await TextCheck("stdout", *wanted).judged(*text)
