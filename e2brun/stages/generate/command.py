"""The candidate comes from a program: prompt on stdin, answer on stdout."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from e2brun.errors import UsageError
from e2brun.stages.child import Bounds, Ended, run_child
from e2brun.stages.generate.cassette import RecordedAnswer
from e2brun.stages.generate.prompted import GeneratorFailed, PromptedGenerator
from e2brun.stages.template import render

_OUTPUT = 4 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class CommandGenerator(PromptedGenerator, step="command"):
    """Runs `command` in `directory`: `llm`, `claude -p`, `ollama run NAME`, a script.

    A text is split as a shell would, but no shell runs it; the words may hold variables. It has
    the caller's environment: it is the author's own tool, and needs its keys.
    """

    command: str | tuple[str, ...]
    directory: Path | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self._words:
            raise UsageError("generate: the command is empty")

    def identity(self, variables: Mapping[str, object]) -> str:
        return "command " + json.dumps([render(word, variables) for word in self._words])

    @property
    def _words(self) -> tuple[str, ...]:
        if not isinstance(self.command, str):
            return self.command
        try:
            return tuple(shlex.split(self.command))
        except ValueError as error:
            raise UsageError(f"generate: the command cannot be split: {error}") from None

    async def ask(self, prompt: str, variables: Mapping[str, object]) -> RecordedAnswer:
        argv = [render(word, variables) for word in self._words]
        ended = await run_child(
            argv,
            prompt.encode("utf-8", "surrogateescape"),
            Bounds(self.timeout, _OUTPUT),
            directory=self.directory,
            environment=None,
        )
        problem = self._problem(ended)
        if problem:
            tail = ended.stderr[-4000:].decode("utf-8", "replace")
            raise GeneratorFailed(f"{argv[0]} {problem}", tail)
        return RecordedAnswer(ended.stdout.decode("utf-8", "replace"))

    def _problem(self, ended: Ended) -> str:
        if ended.timed_out:
            return f"took longer than {self.timeout:g} s"
        if ended.too_much:
            return f"wrote more than {_OUTPUT // 1024**2} MiB"
        if ended.code < 0:
            return f"died of signal {-ended.code}"
        return f"failed with exit code {ended.code}" if ended.code else ""
