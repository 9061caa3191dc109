"""Files that are the user's alone: what else lies there is neither followed nor spoilt."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from e2brun.private import write_private


def test_a_link_in_the_way_of_a_private_file_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def guessed(_: int) -> str:
        return "guessed"

    monkeypatch.setattr(secrets, "token_hex", guessed)
    key, other = tmp_path / "key", tmp_path / "other"
    for path in (key, other):
        path.write_bytes(b"old")
    (tmp_path / ".key.guessed").symlink_to(other)
    with pytest.raises(FileExistsError):
        write_private(key, b"new")
    assert (key.read_bytes(), other.read_bytes()) == (b"old", b"old")
