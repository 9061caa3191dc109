"""The guide and its companions name files that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GUIDES = ("e2brun/README.md", ".github/CONTRIBUTING.md", ".github/SECURITY.md")
_NAMES_ONLY = re.compile(r"[\w./-]+/|[\w./-]*\w\.(?:py|toml|md)|(?:e2brun|tests)/[\w/.-]+")


@pytest.mark.parametrize("guide", GUIDES)
def test_every_file_and_folder_that_is_named_is_there(guide: str) -> None:
    text = (ROOT / guide).read_text()
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    named = [span for span in re.findall(r"`([^`\s]+)`", prose) if _NAMES_ONLY.fullmatch(span)]
    assert len(named) > 2 or guide.endswith("SECURITY.md")
    missing = [
        name
        for name in named
        if not any((base / name).exists() for base in (ROOT, ROOT / "e2brun"))
        and name not in {"blocking/", "rootfs.py"}  # beside what is named before them
    ]
    assert missing == []


def test_every_folder_of_the_code_is_in_the_picture() -> None:
    guide = (ROOT / "e2brun/README.md").read_text()
    folders = [path.parent.name for path in (ROOT / "e2brun").glob("*/__init__.py")]
    assert [name for name in folders if f"{name}/" not in guide] == []
