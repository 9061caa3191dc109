"""What comes out of a sandbox is bounded, whatever the sandbox says its size is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2brun.errors import FileTransferFailed
from e2brun.jobs import downloads
from e2brun.sandbox.contract import FileEntry
from e2brun.sandbox.local.sandbox import LocalSandbox

_PIECE = bytes(1024 * 1024)


class Lying(LocalSandbox):
    """A sandbox full of small files that never end."""

    def __init__(self, files: int, pieces: int) -> None:
        self._files, self._pieces = files, pieces
        self.given = 0

    def list_files(self, path: str) -> list[FileEntry]:
        if path == "~":
            return [FileEntry("d", "directory", 0)]
        return [FileEntry(f"f{i}", "file", 1) for i in range(self._files)]

    def read_file(self, path: str) -> Iterator[bytes]:
        for _ in range(self._pieces):
            self.given += 1
            yield _PIECE


def test_the_files_of_a_directory_are_bounded_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "SIZE_LIMIT", 10 * len(_PIECE))
    sandbox = Lying(files=100, pieces=3)
    with pytest.raises(FileTransferFailed, match="in all"):
        downloads.fetch(sandbox, f"d:{tmp_path}/out")
    assert sandbox.given <= 11
    assert sum(path.stat().st_size for path in tmp_path.rglob("*")) < 12 * len(_PIECE)
    assert not [name for name in os.listdir(tmp_path / "out") if name.startswith(".e2brun")]
