"""Files in (`--file`) and out (`--get`), and what the sandbox may not do with their names."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Run

Script = Callable[..., Path]

_LIST = """
import os
for directory, below, names in os.walk("."):
    below.sort()
    for name in sorted(names):
        path = os.path.join(directory, name)
        mode = "x" if os.access(path, os.X_OK) else "-"
        if name != "prog.py":
            print(path[2:], mode, open(path).read())
"""
_MAKE = """
import os, sys, time
os.makedirs("d/sub/deep")
for name in ("out", "d/a", "d/sub/deep/b"):
    open(name, "w").write(name)
os.chmod("out", 0o6777)
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory as one finds them: hidden files, links, a FIFO."""
    top = tmp_path / "tree"
    (top / "sub").mkdir(parents=True)
    (top / "a").write_text("1")
    (top / "a").chmod(0o755)
    (top / ".hidden").write_text("2")
    (top / "sub/b").write_text("3")
    (top / "inside").symlink_to("a")
    (top / "outside").symlink_to("/etc/passwd")
    (top / "dangling").symlink_to("nothing")
    (top / "loop").symlink_to("loop")
    (top / "folder").symlink_to("/etc")
    os.mkfifo(top / "fifo")
    return top


def test_a_file_goes_where_it_is_told(local: Run, script: Script, tree: Path) -> None:
    words = ("tree/a", "tree/a:b", "tree/a:x/", "tree/sub/b:x/y/z", "tree/a:../user/up")
    ran = local(*(word for w in words for word in ("--file", w)), script(_LIST))
    assert ran.text.splitlines() == ["a x 1", "b x 1", "up x 1", "x/a x 1", "x/y/z - 3"]


def test_a_directory_goes_whole_and_what_is_left_out_is_told(
    local: Run, script: Script, tree: Path
) -> None:
    ran = local("--file", "tree", "--file", "tree/sub/:s", script(_LIST))
    assert ran.text.splitlines() == [
        "s/b - 3", "tree/.hidden - 2", "tree/a x 1", "tree/inside x 1", "tree/sub/b - 3",
    ]  # fmt: skip
    left_out = [line.removeprefix("e2brun: left out tree/") for line in ran.err.splitlines()[:-1]]
    assert [line for line in left_out if not line.startswith("loop: ")] == [
        "folder: a link to a directory",
        "dangling: not a regular file",
        "fifo: not a regular file",
        "outside: a link that leads out of tree",
    ]
    assert "root:" not in ran.text


def test_a_link_that_is_named_itself_is_followed(local: Run, script: Script, tree: Path) -> None:
    assert local("--file", "tree/inside:x", script(_LIST)).text == "x x 1\n"


def test_a_name_with_a_colon_is_a_name(local: Run, script: Script, tmp_path: Path) -> None:
    (tmp_path / "c:d").write_text("4")
    assert local("--file", "c:d", script(_LIST)).text == "c:d - 4\n"
    assert local("--file", "c:d:e", script(_LIST)).text == "e - 4\n"


def test_cells_find_their_files(local: Run, tree: Path) -> None:
    assert local("--file", "tree/sub/b", "-c", "open('b').read()").text == "3\n"


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("nope", "nope: no such file"),
        ("nope:x", "nope: no such file"),
        ("", "--file: the name is empty"),
        ("/dev/null", "/dev/null: neither a regular file nor a directory"),
        ("tree/fifo", "tree/fifo: neither a regular file nor a directory"),
        ("tree/loop", "tree/loop: no such file"),
        ("n" * 300, "File name too long"),
    ],
)
def test_what_cannot_be_sent_is_said_before_anything_runs(
    local: Run, script: Script, tree: Path, word: str, said: str
) -> None:
    ran = local("--file", word, script("print('ran')"))
    assert (ran.code, ran.out) == (2, b"")
    assert said in ran.err.splitlines()[0]
    assert "Traceback" not in ran.err


def test_a_place_that_cannot_be_written_is_named(local: Run, script: Script, tree: Path) -> None:
    ran = local("--file", "tree/a:/etc/x", script("print('ran')"))
    assert (ran.code, ran.out) == (125, b"")
    assert ran.err.endswith("could not be put in place: /etc/x: Read-only file system\n")


@pytest.mark.parametrize(
    ("ending", "code", "words"),
    [
        ("1/0", 1, ()),
        ("time.sleep(60)", 124, ("--timeout", "0.5")),
        ("x = bytearray(10**9)", 137, ("--memory", "64M")),
        ("os.kill(os.getpid(), 9)", 137, ()),
        ("time.sleep(60)", 124, ("--cell", "--timeout", "0.5")),
    ],
)
def test_a_file_is_fetched_however_the_run_ended(
    local: Run, script: Script, ending: str, code: int, words: tuple[str, ...]
) -> None:
    file = script(_MAKE + ending)
    ran = local(*words, "--get", "out", file)
    assert ran.code == code
    assert (file.parent / "out").read_text() == "out"
    assert "e2brun: fetched out\n" in ran.err


@pytest.mark.parametrize(
    "places",
    [
        {"out": "out", "out:new": "new", "out:a/b/new": "a/b/new", "out:a/": "a/out",
         "d/": "d", "d:here": "here", "d/sub/..:up": "up"},
        {"~/out": "out", "/home/user/out:own": "own", "d": "d"},
        {"out:.": "out"},
    ],
)  # fmt: skip
def test_what_is_fetched_goes_where_it_is_told_and_no_mode_of_the_sandbox_comes_along(
    local: Run, script: Script, tmp_path: Path, places: dict[str, str]
) -> None:
    script(_MAKE, "src/prog.py")
    ran = local(*(word for place in places for word in ("--get", place)), "src/prog.py")
    assert ran.code == 0
    here = {
        str(path.relative_to(tmp_path)): path.read_text()
        for path in tmp_path.rglob("*")
        if path.is_file() and path.name != "prog.py"
    }
    directories = [place for word, place in places.items() if word[0] == "d"]
    expected = {
        f"{place}/{name}": f"d/{name}" for place in directories for name in ("a", "sub/deep/b")
    }
    assert here == expected | dict.fromkeys({*places.values()} - {*directories}, "out")
    for name in here:
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) & 0o7111 == 0


_NOT_TO_BE_HAD = (
        ("", "nope", "--get nope: /home/user/nope: No such file or directory"),
        ("os.mkfifo('f')", "f", "--get f: /home/user/f: not a regular file"),
        ("os.symlink('/dev/zero', 'z')", "z", "--get z: /home/user/z: not a regular file"),
        ("", "/dev/zero", "--get /dev/zero: /dev/zero: not a regular file"),
        ("", "/etc/shadow", "--get /etc/shadow: /etc/shadow: No such file or directory"),
        ("os.mkdir('m', 0)", "m", "--get m: /home/user/m: "),
        ("open('n', 'w'); os.chmod('n', 0)", "n", "--get n: /home/user/n: Permission denied"),
        ("os.symlink('s', 's')", "s", "--get s: /home/user/s: Too many levels of symbolic links"),
        ("os.mkdir('h1'); open('h1/-rf', 'w')", "h1", "the sandbox has a file named '-rf'"),
        ("os.mkdir('h2'); open('h2/a\\nb', 'w')", "h2", r"named 'a\nb', which is not safe"),
        ("os.mkdir('h3'); open('h3/\\x1b[m', 'w')", "h3", r"named '\x1b[m', which is not safe"),
        ("os.mkdir('h4'); open(b'h4/\\xff', 'w')", "h4", r"named '\udcff', which is not safe"),
        ("open('out', 'w')", "out:prog.py/x", "--get out:prog.py/x: prog.py"),
)  # fmt: skip


def test_what_cannot_be_fetched_is_said_and_fails_a_run_that_went_well(
    local: Run, script: Script, tmp_path: Path
) -> None:
    makes, words, said = zip(*_NOT_TO_BE_HAD, strict=True)
    code = "\n".join(("import os", *makes, "print('ran')"))
    ran = local(*(word for name in words for word in ("--get", name)), "--get", "out", script(code))
    assert (ran.code, ran.text) == (125, "ran\n")
    *lines, fetched, last = ran.err.splitlines()
    for line, expected in zip(lines, said, strict=True):
        assert line.startswith("e2brun: --get ")
        assert expected in line
    assert fetched == "e2brun: fetched out"  # the other file comes all the same
    assert {path.name for path in tmp_path.iterdir()} <= {"prog.py", "out", "h1", "h2", "h3", "h4"}
    assert last.startswith("ok, but see above (exit code 125) · ")


def test_what_cannot_be_fetched_leaves_the_programs_own_code(local: Run, script: Script) -> None:
    ran = local("--get", "nope", script("raise SystemExit(3)"))
    assert ran.code == 3
    assert "--get nope" in ran.err


def test_an_empty_name_fetches_nothing(local: Run, script: Script) -> None:
    ran = local("--get", "", script("print('ran')"))
    assert (ran.code, ran.out, ran.err) == (2, b"", "e2brun: --get: the name is empty\n")


def test_a_link_waiting_here_is_replaced_and_not_followed(
    local: Run, script: Script, tmp_path: Path
) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "out").symlink_to("mine")
    (tmp_path / "d").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "d/sub").symlink_to(tmp_path / "elsewhere")
    ran = local("--get", "out", "--get", "d", script(_MAKE))
    assert (tmp_path / "mine").read_text() == "mine"
    assert not (tmp_path / "out").is_symlink()
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert ran.code == 125
