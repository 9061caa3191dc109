"""Where packages are asked for when no setting says so: read from the tools, never run."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from e2brun.sandbox import public_indexes

_PIP = 'PyPI = PackageIndex("https://index.invalid/", file_storage_domain="files.invalid")\n'
_NPM = "module.exports = {\n  registry: 'https://registry.invalid/',\n}\n"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(text)


def test_pip_names_the_index_and_who_has_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path / "none"), str(tmp_path)])
    ask = public_indexes.python_index.__wrapped__
    assert ask() is None
    _write(tmp_path / "pip" / "_internal" / "models" / "index.py", _PIP)
    assert ask() == ("https://index.invalid/simple", "files.invalid")


@pytest.mark.parametrize("place", ["npm/node_modules", "."])
def test_npm_names_its_registry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    program = tmp_path / "npm" / "bin" / "npm-cli.js"
    _write(program, "raise SystemExit('never run')")
    program.chmod(0o755)
    os.symlink(program, tmp_path / "npm" / "bin" / "npm")
    monkeypatch.setenv("PATH", str(program.parent))
    ask = public_indexes.npm_registry.__wrapped__
    assert ask() is None
    _write(tmp_path / place / "npm-registry-fetch" / "lib" / "default-opts.js", _NPM)
    assert ask() == "https://registry.invalid/"
