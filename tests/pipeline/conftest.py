"""A directory with pipelines in it, and the command run there with a state of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Ran, Run


@dataclass(frozen=True)
class Place:
    """Where a test's pipeline lies."""

    directory: Path
    run: Run

    def write(self, text: str, name: str = "p.toml") -> Path:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def pipeline(self, *words: str | Path, env: Mapping[str, str] | None = None) -> Ran:
        return self.run("pipeline", *words, env={**self.environment, **(env or {})})

    def document(self, *words: str | Path, env: Mapping[str, str] | None = None) -> Any:
        ran = self.pipeline("run", *words, "--json", env=env)
        assert ran.out.isascii()
        assert ran.out.count(b"\n") == 1
        document = json.loads(ran.out)
        assert document["exit_code"] == ran.code
        return document

    @property
    def environment(self) -> dict[str, str]:
        return {"E2BRUN_ON": "local", "E2BRUN_STATE_DIR": str(self.directory / "state")}


@pytest.fixture
def place(tmp_path: Path, e2brun: Run) -> Place:
    return Place(tmp_path, e2brun)


Write = Callable[[str], Path]
