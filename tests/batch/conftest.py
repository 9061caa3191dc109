"""A directory with cases in it, and `e2brun batch` run there with a store of its own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import begin
from tests.conftest import Ran, Run


@dataclass(frozen=True)
class Place:
    """Where a test's cases lie."""

    directory: Path
    run: Run

    @property
    def environment(self) -> dict[str, str]:
        return {"E2BRUN_ON": "local", "E2BRUN_STATE_DIR": str(self.directory / "state")}

    def write(self, name: str, text: str | bytes) -> Path:
        path = self.directory / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def lines(self, name: str, records: Iterable[Mapping[str, object]]) -> Path:
        return self.write(name, "".join(json.dumps(record) + "\n" for record in records))

    def batch(self, *words: str | Path, stdin: bytes | None = None) -> Ran:
        return self.run("batch", *words, env=self.environment, stdin=stdin)

    def batch_for(self, seconds: float, *words: str) -> Ran:
        return self.run("batch", *words, env=self.environment, timeout=seconds)

    def start(self, *words: str | Path) -> subprocess.Popen[bytes]:
        return begin("batch", *words, cwd=self.directory, env=self.environment)

    def results(self, name: str = "out.jsonl") -> dict[str, Any]:
        """By id; an id that stands twice is a mistake."""
        found: dict[str, Any] = {}
        for line in (self.directory / name).read_text().splitlines():
            record = json.loads(line)
            assert record["id"] not in found
            found[record["id"]] = record
        return found

    def verdicts(self, name: str = "out.jsonl") -> dict[str, str]:
        return {case: record["verdict"] for case, record in self.results(name).items()}


@pytest.fixture
def place(tmp_path: Path, e2brun: Run) -> Place:
    return Place(tmp_path, e2brun)
