"""What is made once, so that no sandbox has to: compiled code, a list of fonts."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from time import monotonic

import pytest

from e2brun.sandbox.local.interpreter import current_interpreter
from e2brun.sandbox.local.isolation.rootfs import compile_agent
from e2brun.sandbox.local.packages.build import keep_font_list

_FONTS = {"fontlist": [1, 2]}


def _agent(directory: Path) -> Path:
    (directory / "main.py").write_text("x = 1\n")
    return directory / "__pycache__" / f"main.{sys.implementation.cache_tag}.pyc"


@pytest.fixture
def _bytecode_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)


@pytest.mark.usefixtures("_bytecode_is_written")
def test_the_agent_is_compiled_once_and_again_when_it_changes(tmp_path: Path) -> None:
    compiled = _agent(tmp_path)
    compile_agent(str(tmp_path))
    first = compiled.stat()
    compile_agent(str(tmp_path))
    assert compiled.stat() == first
    later = first.st_mtime + 10
    (tmp_path / "main.py").write_text("x = 22\n")
    os.utime(tmp_path / "main.py", (later, later))
    compile_agent(str(tmp_path))
    assert compiled.stat().st_ino != first.st_ino


def test_nothing_is_compiled_for_who_wants_no_bytecode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    compiled = _agent(tmp_path)
    compile_agent(str(tmp_path))
    assert not compiled.exists()


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    made = tmp_path / "packages"
    made.mkdir()
    made.chmod(0o755)
    return made


def _matplotlib(packages: Path, code: str) -> Path:
    """One that writes what `code` says where the real one keeps its list of fonts."""
    data = packages / "matplotlib" / "mpl-data"
    data.mkdir(parents=True)
    (packages / "matplotlib" / "__init__.py").write_text("from . import font_manager\n")
    (packages / "matplotlib" / "font_manager.py").write_text(
        f"import os\nclass FontManager:\n    __version__ = '1'\n{code}\n"
    )
    return data


def test_a_layer_with_matplotlib_keeps_its_list_of_fonts(packages: Path) -> None:
    data = _matplotlib(
        packages,
        "os.makedirs(os.environ['MPLCONFIGDIR'])\n"
        "with open(os.environ['MPLCONFIGDIR'] + '/fontlist-v1.json', 'w') as file:\n"
        f"    file.write({json.dumps(_FONTS)!r})\n",
    )
    kept = keep_font_list(packages, current_interpreter(), monotonic() + 60)
    assert json.loads((data / "fontlist-v1.json").read_text()) == _FONTS
    assert kept > 0
    assert keep_font_list(packages, current_interpreter(), monotonic() + 60) == 0


@pytest.mark.parametrize(
    "said",
    [
        "fontlist-v1.json\nnot JSON",
        "../../fontlist-v1.json\n{}",
        "fontlist-v1.json\n[1]",
        "fontlist-v1.json\n" + "[" * 100_000,
        "",
    ],
    ids=["no JSON", "elsewhere", "no list", "deep", "nothing"],
)
def test_a_list_of_fonts_that_is_none_is_not_kept(packages: Path, said: str) -> None:
    data = _matplotlib(packages, f"os.write(1, {said!r}.encode())\nos._exit(0)")
    assert keep_font_list(packages, current_interpreter(), monotonic() + 60) == 0
    assert list(data.iterdir()) == []
    assert {path.name for path in packages.iterdir()} == {"matplotlib"}
