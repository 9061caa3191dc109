"""Where packages are asked for when no setting says so: read from the tools, never run."""

from __future__ import annotations

import os
import site
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
    beside, base = tmp_path / "beside", tmp_path / "base"
    monkeypatch.setattr(sys, "path", [str(tmp_path / "none"), str(beside)])
    monkeypatch.setattr(sys, "base_prefix", str(base))
    ask = public_indexes.python_index.__wrapped__
    assert ask() is None
    came_with_the_interpreter = site.getsitepackages([str(base)])[0]  # a venv may have none
    for place, host in ((came_with_the_interpreter, "index.invalid"), (beside, "nearer.invalid")):
        _write(Path(place, "pip/_internal/models/index.py"), _PIP.replace("index.invalid", host))
        assert ask() == (f"https://{host}/simple", "files.invalid")


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
