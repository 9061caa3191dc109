"""What is wrong with a pipeline, all of it, each with its place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from e2brun.errors import UsageError


@dataclass(frozen=True, slots=True)
class Problem:
    """One line: `where` is `file.toml:3`, `cases.csv:7` or an option of the command line."""

    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


class BrokenPipeline(UsageError):
    """The pipeline is wrong; nothing was run. `problems` are in the order of their lines."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))
