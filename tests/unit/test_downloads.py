"""What comes out of a sandbox is bounded, whatever the sandbox says its size is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2brun.errors import FileTransferFailed
from e2brun.jobs import downloads
from e2brun.sandbox.contract import FileEntry
from e2brun.sandbox.local.blocking.sandbox import LocalSandbox

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


def test_the_files_of_a_directory_are_bounded_together(tmp_path: Path) -> None:
    sandbox = Lying(files=100, pieces=3)
    allowance = downloads.Allowance(10 * len(_PIECE))
    with pytest.raises(FileTransferFailed, match=r"more than 10485760 bytes in all \(--max-get\)"):
        downloads.fetch(sandbox, f"d:{tmp_path}/out", allowance)
    assert sandbox.given <= 11
    assert sum(path.stat().st_size for path in tmp_path.rglob("*")) < 12 * len(_PIECE)
    assert not [name for name in os.listdir(tmp_path / "out") if name.startswith(".e2brun")]
    with pytest.raises(FileTransferFailed, match="in all"):  # what one used up, the next has not
        downloads.fetch(sandbox, f"file:{tmp_path}/file", allowance)
    assert not [path for path in (tmp_path / "file").rglob("*") if path.is_file()]


def test_a_directory_of_files_without_end_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "_FILES_LIMIT", 50)
    with pytest.raises(FileTransferFailed, match="more than 50 files"):
        downloads.fetch(Lying(files=60, pieces=0), f"d:{tmp_path}/out", downloads.Allowance(0))
    assert len(os.listdir(tmp_path / "out")) <= 50


class Naming(LocalSandbox):
    """A sandbox whose agent answers with names as no directory can hold them."""

    def __init__(self, entry: FileEntry) -> None:
        self._entry = entry

    def list_files(self, path: str) -> list[FileEntry]:
        return [self._entry]

    def read_file(self, path: str) -> Iterator[bytes]:
        yield b"from inside"


@pytest.mark.parametrize("kind", ["file", "directory"])
@pytest.mark.parametrize(
    "name",
    [
        "..",
        ".",
        "",
        "../x",
        "a/b",
        "/x",
        "sub/../../x",
        "a\0b",
        "a\nb",
        "-rf",
        "a\x1b[2J",
        "\udc80",
    ],
)
def test_no_name_leads_out_of_the_directory_that_was_asked_for(
    tmp_path: Path, name: str, kind: str
) -> None:
    (tmp_path / "out" / "sub").mkdir(parents=True)
    with pytest.raises(FileTransferFailed, match="not safe to create") as caught:
        downloads.fetch(
            Naming(FileEntry(name, kind, 1)), f"d:{tmp_path}/out", downloads.Allowance(1000)
        )
    assert str(caught.value).isprintable()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["out", "sub"]


def test_no_link_that_is_here_already_is_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "victim").write_text("untouched")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x").symlink_to(tmp_path / "victim")
    fetched = downloads.Allowance(1000)
    downloads.fetch(Naming(FileEntry("x", "file", 1)), f"d:{tmp_path}/out", fetched)
    assert (tmp_path / "victim").read_text() == "untouched"
    (tmp_path / "out" / "x").unlink()
    (tmp_path / "out" / "x").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileTransferFailed):
        downloads.fetch(Naming(FileEntry("x", "directory", 1)), f"d:{tmp_path}/out", fetched)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_directories_within_directories_end(tmp_path: Path) -> None:
    sandbox = Naming(FileEntry("d", "directory", 0))
    with pytest.raises(FileTransferFailed, match="nested too deeply"):
        downloads.fetch(sandbox, f"d:{tmp_path}/out", downloads.Allowance(1000))


class Holding(LocalSandbox):
    """A sandbox with one file."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    def list_files(self, path: str) -> list[FileEntry]:
        raise FileTransferFailed("no directory")

    def read_file(self, path: str) -> Iterator[bytes]:
        yield from self._pieces


@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [b"\0"],
        [b"x" + _PIECE],
        [_PIECE, b"x", _PIECE],
        [_PIECE + b"x" + _PIECE, bytes(65535), b"y" * 200_000, bytes(65536)],
        [b"a" * 65536 + bytes(65536) + b"b" * 70_000 + bytes(100_000)],
    ],
)
def test_a_file_comes_here_byte_for_byte(tmp_path: Path, pieces: list[bytes]) -> None:
    path, _ = downloads.fetch(
        Holding(pieces), f"f:{tmp_path}/f", downloads.Allowance(10 * len(_PIECE))
    )
    assert path.read_bytes() == b"".join(pieces)


def test_holes_stay_holes(tmp_path: Path) -> None:
    sandbox = Holding([_PIECE] * 20 + [b"data"] + [_PIECE] * 20)
    path, _ = downloads.fetch(sandbox, f"f:{tmp_path}/f", downloads.Allowance(100 * len(_PIECE)))
    facts = path.stat()
    assert facts.st_size == 40 * len(_PIECE) + 4
    assert facts.st_blocks * 512 <= 128 * 1024
