"""`e2brun exec FILE`: what `python FILE` would do, in a sandbox."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Run
from tests.contract.other_pythons import other_pythons

Script = Callable[..., Path]

_ARGV = "import sys; print(ascii(sys.argv))"


def test_a_program_has_its_arguments_its_file_and_its_name(local: Run, script: Script) -> None:
    file = script("import sys; print(sys.argv, __file__, __name__, sys.path[0])")
    ran = local(file, "one", "--two", "-c", "--json", "")
    assert ran.text == (
        "['prog.py', 'one', '--two', '-c', '--json', ''] /home/user/prog.py __main__ /home/user\n"
    )
    assert ran.code == 0


def test_arguments_of_any_bytes_arrive(local: Run, script: Script) -> None:
    file = script("import os, sys; print([os.fsencode(word) for word in sys.argv[1:]])")
    ran = local(file, "é", "a\nb", b"\xff".decode(errors="surrogateescape"), " ")
    assert ran.text == r"[b'\xc3\xa9', b'a\nb', b'\xff', b' ']" + "\n"


@pytest.mark.parametrize("size", [150_000, 1_000_000])
def test_too_long_arguments_are_refused_in_one_line(local: Run, script: Script, size: int) -> None:
    ran = local(script("print(1)"), *("x" * 10_000 for _ in range(size // 10_000)))
    assert ran.code == 2
    assert ran.err.startswith("e2brun: the arguments and variables are too long: ")
    assert "--file" in ran.err
    assert len(ran.err.splitlines()) == 2


@pytest.mark.parametrize("code", [0, 2, 255])
def test_an_exit_code_is_the_programs_own(local: Run, script: Script, code: int) -> None:
    ran = local(script(f"import sys; sys.exit({code})"))
    assert ran.code == code
    assert ran.err.startswith("ok · " if code == 0 else f"error (exit code {code}) · ")


def test_leaving_with_a_message_is_code_1_and_the_message(local: Run, script: Script) -> None:
    ran = local(script("raise SystemExit('no luck')"))
    assert ran.code == 1
    assert ran.err.splitlines()[0] == "no luck"


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        (signal.SIGINT, 130, "error (KeyboardInterrupt, SIGINT)"),
        (signal.SIGKILL, 137, "killed"),
        (signal.SIGSEGV, 139, "error (SIGSEGV, exit code 139)"),
    ],
)
def test_a_program_that_dies_of_a_signal_says_which(
    local: Run, script: Script, number: int, code: int, said: str
) -> None:
    ran = local(script(f"import os; os.kill(os.getpid(), {int(number)})"))
    assert ran.code == code
    assert ran.err.splitlines()[-1].startswith(said)


def test_a_program_has_no_input_unless_it_is_passed_on(local: Run, script: Script) -> None:
    file = script("import sys; print(repr(sys.stdin.read()))")
    assert local(file, stdin=b"secret").text == "''\n"
    assert local("-i", file, stdin=b"a\xc3\xa9\n").text == "'aé\\n'\n"


def test_a_program_without_input_is_told_of_the_option(local: Run, script: Script) -> None:
    ran = local(script("input()"))
    assert ran.code == 1
    assert "with -i" in ran.err


def test_standard_input_can_be_the_program(local: Run) -> None:
    ran = local("-", "a", "-b", stdin=b"import sys; print(sys.argv, __name__)\n")
    assert ran.text == "['-', 'a', '-b'] __main__\n"
    failed = local("-", stdin=b"\n1/0\n")
    assert failed.code == 1
    assert 'File "<stdin>", line 2' in failed.err


def test_a_traceback_is_the_programs_own(local: Run, script: Script) -> None:
    ran = local(script("def f():\n    raise RuntimeError('boom')\n\n\nf()\n"))
    lines = ran.err.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert [line for line in lines if "File" in line] == [
        '  File "/home/user/prog.py", line 5, in <module>',
        '  File "/home/user/prog.py", line 2, in f',
    ]
    assert lines[-2] == "RuntimeError: boom"
    assert lines[-1].startswith("error (RuntimeError) · i")


def test_a_syntax_error_is_shown_with_its_line(local: Run, script: Script) -> None:
    ran = local(script("def f():\nx\n"))
    assert ran.code == 1
    assert ran.err.splitlines()[0] == '  File "/home/user/prog.py", line 2'
    assert ran.err.splitlines()[-1].startswith("error (IndentationError) · ")


@pytest.mark.parametrize("name", ["ü n\nl.py", "--json.py", "\udcff.py", "U.PY"])
def test_a_file_may_have_any_name(local: Run, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(_ARGV)
    ran = local(f"./{name}", "arg")
    shown = f"./{name}" if name.startswith("-") else name
    assert ran.text == f"{[shown, 'arg']!a}\n"


def test_a_double_dash_ends_the_options(local: Run, tmp_path: Path) -> None:
    (tmp_path / "-x.py").write_text(_ARGV)
    assert local("--", "-x.py", "-y").text == "['./-x.py', '-y']\n"


@pytest.mark.parametrize(
    "name", ["random", "main", "site", "encodings", "sitecustomize", "context"]
)
def test_a_program_named_like_a_module_breaks_nothing(
    local: Run, script: Script, name: str
) -> None:
    file = script("open('out', 'w').write('1'); print('ran')", f"sub/{name}.py")
    ran = local("--get", "out", "-q", file)
    assert (ran.code, ran.out, ran.err) == (0, b"ran\n", "")


@pytest.mark.parametrize("how", [(), ("--cell",)])
def test_python_reads_the_file_as_it_is(local: Run, script: Script, how: tuple[str, ...]) -> None:
    file = script(b"# -*- coding: latin-1 -*-\r\nprint(repr('''\xe9\r\n'''))\r\n")
    assert local(*how, file).text == "'é\\n'\n"


def test_a_large_file_runs(local: Run, script: Script) -> None:
    assert local(script(b"#" * 3_000_000 + b"\nprint(1)\n")).text == "1\n"


def test_a_shell_script_runs_in_bash(local: Run, script: Script) -> None:
    file = script('echo "$0" "$@"; cat; echo err >&2; exit 3\n', "run.sh")
    ran = local("-i", file, "a", "b c", stdin=b"in\n")
    assert (ran.code, ran.out) == (3, b"run.sh a b c\nin\n")
    assert ran.err.startswith("err\n")


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
@pytest.mark.parametrize("name", ["run.cjs", "-run.js"])
def test_javascript_runs_in_node(local: Run, script: Script, name: str) -> None:
    file = script("console.log(process.argv.slice(2).join()); process.exit(4)", name)
    ran = local(f"./{file.name}", "a", "b")
    assert (ran.code, ran.out) == (4, b"a,b\n")


@pytest.mark.parametrize(
    ("first", "printed"),
    [
        ("#!/bin/sh\necho sh", "sh\n"),
        ("#!/usr/bin/env python3\nprint('py')", "py\n"),
        ("#!/usr/bin/python3.11 -u\nprint('py')", "py\n"),
    ],
)
def test_a_first_line_tells_the_kind_of_a_file_without_a_suffix(
    local: Run, script: Script, first: str, printed: str
) -> None:
    assert local(script(first, "tool")).text == printed


@pytest.mark.parametrize(("name", "content"), [("x.rb", "puts 1"), ("x", ""), ("x.txt", "print")])
def test_an_unknown_type_is_told_which_are_known(
    local: Run, script: Script, name: str, content: str
) -> None:
    ran = local(script(content, name))
    assert ran.code == 2
    assert ran.err.splitlines()[0].endswith(f"{name}: unknown type of file")
    for known in (".py", ".sh", ".js", ".ipynb"):
        assert known in ran.err.splitlines()[1]


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("nope.py", "nope.py: No such file or directory"),
        (".", ". is a directory"),
        ("", "nothing to run: the file name is empty"),
        ("f" * 300 + ".py", "File name too long"),
        ("\x1b[31m.py", "␛[31m.py: No such file or directory"),
        ("loop", "loop: Too many levels of symbolic links"),
    ],
)
def test_what_cannot_be_run_is_said_in_one_line(
    local: Run, tmp_path: Path, target: str, said: str
) -> None:
    (tmp_path / "loop").symlink_to("loop")
    ran = local(target)
    assert (ran.code, ran.out) == (2, b"")
    assert ran.err.startswith("e2brun: ")
    assert said in ran.err.splitlines()[0]
    assert "Traceback" not in ran.err


@pytest.mark.in_turn(day=0)
def test_every_python_of_this_machine_runs_programs_and_the_shells(
    local: Run, script: Script, tmp_path: Path
) -> None:
    bash = tmp_path / "prog.sh"
    bash.write_text("echo $((6 * 7)); exit 4")
    program = script("import sys; print('3.%d' % sys.version_info[1]); sys.exit(3)")
    for version in other_pythons():
        ran = local("--python", version, program)
        assert (ran.text, ran.code) == (f"{version}\n", 3), (version, ran.err)
        ran = local("--python", version, bash)
        assert (ran.text, ran.code) == ("42\n", 4), (version, ran.err)
