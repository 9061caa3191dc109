"""Modules that lie beside what is run: a hint which were missing, and `--with-imports`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.conftest import Run
from tests.parity.notebooks import document


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    """A program with a module, a package and a directory of modules beside it."""
    (tmp_path / "helper.py").write_text("import other\nX = other.Y + 1\n")
    (tmp_path / "other.py").write_text("Y = 1\n")
    (tmp_path / "unused.py").write_text("")
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg/__init__.py").write_text("from . import sub\n")
    (tmp_path / "pkg/sub.py").write_text("Z = 3\n")
    (tmp_path / "pkg/table.txt").write_text("data")
    (tmp_path / "src").mkdir()
    (tmp_path / "src/mod.py").write_text("from . import peer\nP = peer.P\n")
    (tmp_path / "src/peer.py").write_text("P = 4\n")
    (tmp_path / "src/not_needed.py").write_text("")
    (tmp_path / "prog.py").write_text(
        "import helper, pkg.sub, os\nfrom src.mod import P\n"
        "print(helper.X, pkg.sub.Z, P, open('pkg/table.txt').read(),"
        " sorted(os.listdir('src'))[-2:])\n"
    )
    return tmp_path


def test_the_hint_names_the_file_that_was_missing(local: Run, beside: Path) -> None:
    ran = local("prog.py")
    assert ran.code == 1
    assert "Add --file helper.py, or --with-imports." in ran.err
    ran = local("--file", "helper.py", "--file", "other.py", "prog.py")
    assert "Add --file pkg, or --with-imports." in ran.err
    ran = local("--file", "helper.py", "--file", "other.py", "--file", "pkg", "prog.py")
    assert "Add --file src, or --with-imports." in ran.err


def test_cells_and_notebooks_have_that_hint_too(local: Run, beside: Path) -> None:
    ran = local("--json", "-c", "import helper")
    assert json.loads(ran.out)["error"]["hint"] == "Add --file helper.py, or --with-imports."
    (beside / "sub").mkdir()
    for name in ("book.ipynb", "sub/book.ipynb"):
        (beside / name).write_text(document(["import pkg"]))
    assert "Add --install pkg" in local("sub/book.ipynb").err
    assert "Add --file pkg, or --with-imports." in local("book.ipynb").err


def test_what_is_imported_is_sent_and_what_that_imports(local: Run, beside: Path) -> None:
    ran = local("--with-imports", "-v", "prog.py")
    assert ran.code == 0, ran.err
    assert ran.text == "2 3 4 data ['mod.py', 'peer.py']\n"
    sent = {line.rpartition(" ")[2] for line in ran.err.splitlines() if "with imports:" in line}
    assert sent == {
        "helper.py", "other.py", "pkg/__init__.py", "pkg/sub.py", "pkg/table.txt", "src/mod.py",
        "src/peer.py",
    }  # fmt: skip
    assert "with imports" not in local("--with-imports", "prog.py").err


def test_cells_find_what_was_sent_in_their_working_directory(local: Run, beside: Path) -> None:
    ran = local("--with-imports", "--cwd", "/workspace/x", "-c", "import helper; helper.X")
    assert ran.text == "2\n", ran.err


def test_links_that_lead_out_are_not_followed_and_circles_end(local: Run, beside: Path) -> None:
    secret = beside.parent / "secret.py"
    secret.write_text("KEY = 1\n")
    (beside / "leak.py").symlink_to(secret)
    (beside / "whole").symlink_to("/etc")
    (beside / "pkg/leak.py").symlink_to(secret)
    (beside / "pkg/again").symlink_to(".")
    (beside / "loop.py").symlink_to("loop.py")
    os.mkfifo(beside / "pipe.py")
    (beside / "prog.py").write_text(
        "import pkg, os\nprint(sorted(n for _, _, names in os.walk('.') for n in names))\n"
        "if 0:\n    import leak, whole, loop, pipe, prog, sys, no.such.thing\n"
        "    from .... import far\n"
    )
    ran = local("--with-imports", "prog.py")
    assert "'sub.py'" in ran.text
    assert not any(name in ran.text for name in ("leak", "pipe", "loop", "passwd"))


def test_too_much_is_one_line_and_nothing_is_started(local: Run, beside: Path) -> None:
    for number in range(2001):
        (beside / f"pkg/m{number}.py").touch()
    ran = local("--with-imports", "prog.py")
    assert ran.code == 2
    assert "--with-imports: pkg: more than 2000 files" in ran.err


def test_a_module_beside_the_program_is_nobody_elses_package(local: Run, beside: Path) -> None:
    ran = local("--auto-install", "prog.py")
    assert "installing" not in ran.err
    assert "Add --file helper.py, or --with-imports." in ran.err


@pytest.mark.parametrize(
    "code",
    [
        "from polars import DataFrame",
        "def f():\n    import polars\n    polars.DataFrame()\nif __name__ == '__main__':\n    f()",
    ],
)
def test_a_program_that_hides_the_package_it_imports_is_told_so(
    local: Run, tmp_path: Path, code: str
) -> None:
    (tmp_path / "polars.py").write_text(code)
    for words in ((), ("--auto-install",)):
        ran = local(*words, "polars.py")
        assert ran.code == 1
        line = "polars.py hides the package polars that it imports: give the file another name."
        assert f"e2brun: {line}" in ran.err.splitlines(), ran.err
        assert "Add --" not in ran.err
    (tmp_path / "plain.py").write_text("import polars.io")
    (tmp_path / "polars.py").unlink()
    assert "Add --install polars, or --auto-install." in local("plain.py").err


def test_a_program_that_hides_a_module_of_pythons_is_told_so(local: Run, tmp_path: Path) -> None:
    (tmp_path / "random.py").write_text("import random\nprint(random.randint(1, 6))")
    assert "random.py hides Python's own module random: give" in local("random.py").err
    (tmp_path / "own.py").write_text("import helper\nx = 1")  # not a package: its own affair
    (tmp_path / "helper.py").write_text("from own import y")
    assert "hides" not in local("--with-imports", "own.py").err


def test_another_file_of_the_programs_name_is_refused(local: Run, beside: Path) -> None:
    (beside / "src/prog.py").write_text("other")
    ran = local("--file", "src/prog.py", "prog.py")
    assert ran.code == 2
    assert "prog.py is the program itself" in ran.err
    assert local("--file", "prog.py", "--file", ".:.", "prog.py").code == 0
