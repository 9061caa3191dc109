"""JSON that the program printed or wrote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from e2brun.errors import UsageError
from e2brun.stages.check.difference import excerpt
from e2brun.stages.check.text import Stream, text_at
from e2brun.stages.check.values import check_questions, problems
from e2brun.stages.step import PASSED, Check, Judgement, failed
from e2brun.stages.work import Work


@dataclass(frozen=True)
class JsonCheck(Check, step="json"):
    """`stream`, or `file` in the sandbox, is one JSON document that fits `schema` and has
    `equals` at each path: {JSONPath: value}.

    A path that finds several values is compared with a list of them.
    """

    schema: Mapping[str, object] | None = None
    equals: Mapping[str, object] = field(default_factory=dict[str, object])
    stream: Stream = "stdout"
    file: str | None = None

    values: ClassVar[frozenset[str]] = frozenset({"schema", "equals"})

    def __post_init__(self) -> None:
        if self.file == "":
            raise UsageError("json: the file name is empty")
        check_questions(self.schema, self.equals)

    @property
    def collects(self) -> tuple[str, ...]:
        return () if self.file is None else (self.file,)

    async def judge(self, work: Work) -> Judgement:
        found = await text_at(work, self.stream, self.file)
        if isinstance(found, Judgement):
            return found
        what, text = found
        wrong = await problems(text, self.schema, self.equals)
        if not wrong:
            return PASSED
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        return failed(f"{what}: {wrong[0]}{more}", "\n".join([*wrong, "", excerpt(text)]))
