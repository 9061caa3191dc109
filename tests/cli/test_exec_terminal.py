"""`e2brun exec` on a real terminal: nothing a program prints can act on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Terminal

Script = Callable[..., Path]

_HOSTILE = (
    r"print('\x1b]0;title\x07\x1b]52;c;aGk=\x07\x1b[2J\x9b31m\u202e\u2066 é 日本 🎉\t|')"
    "\n"
    r"import os; x = os.write(1, b'split \x1b'); x = os.write(1, b'[31m end\n')"
    "\n"
    r"import sys; sys.stderr.write('\x1b[31mE\n'); raise ValueError('\x1b[31mred')"
)


@pytest.mark.parametrize("how", [(), ("--cell",)])
def test_no_escape_of_a_program_reaches_the_terminal(
    terminal: Terminal, script: Script, how: tuple[str, ...]
) -> None:
    code, shown = terminal(*how, script(_HOSTILE).name)
    assert code == 1
    ours = shown.rindex(b"\x1b[1;31merror\x1b[0m")
    assert not set(shown[:ours]) & set(b"\x00\x07\x08\x0b\x0c\x1b\x7f")
    said = shown.decode()
    assert "\x9b" not in said
    assert "\u202e" not in said
    assert "␛]52;c;aGk=␇␛[2J\\x9b31m\\u202e\\u2066 é 日本 🎉" in said
    assert "split ␛[31m end" in said
    assert "ValueError: ␛[31mred" in said


def test_a_result_and_a_name_cannot_act_either(terminal: Terminal, tmp_path: Path) -> None:
    code, shown = terminal("-c", "class R:\n  def __repr__(self): return '\\x1b[31mr'\nR()")
    assert code == 0
    assert "␛[31mr".encode() in shown
    code, shown = terminal("\x1b]0;x\x07nope.py")
    assert code == 2
    assert b"\x1b" not in shown
    (tmp_path / "\x1b[31mevil.py").write_text("1/0")
    code, shown = terminal("\x1b[31mevil.py")
    assert b"\x1b[31mevil" not in shown


def test_the_closing_line_has_colors_unless_they_are_not_wanted(
    terminal: Terminal, script: Script
) -> None:
    script("print(1)")
    assert b"\x1b[1;32mok\x1b[0m" in terminal("prog.py")[1]
    for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        code, shown = terminal("prog.py", env=env)
        assert (code, b"\x1b" in shown) == (0, False)
        assert shown.splitlines()[-1].startswith(b"ok \xc2\xb7 ")


def test_what_is_typed_goes_to_the_program_with_i(terminal: Terminal, script: Script) -> None:
    file = script("print('ask'); import sys; print([line for line in sys.stdin])")
    code, shown = terminal("-i", file.name, typed=b"typed\n\x04", after=b"ask")
    assert code == 0
    assert b"['typed\\n']" in shown


def test_a_program_can_be_typed_in(terminal: Terminal) -> None:
    code, shown = terminal("-", typed=b"print(5 * 5)\n\x04")
    assert code == 0
    assert b"25\r\n" in shown


@pytest.mark.parametrize("words", [("prog.py",), ("-i", "prog.py"), ("--cell", "prog.py")])
def test_ctrl_c_ends_it_with_130_and_a_line(
    terminal: Terminal, script: Script, words: tuple[str, ...]
) -> None:
    script("print('ready'); import time; time.sleep(30)")
    code, shown = terminal(*words, typed=b"\x03", after=b"ready", env={"NO_COLOR": "1"})
    assert code == 130
    assert shown.splitlines()[-1].startswith(b"killed: ended by SIGINT \xc2\xb7 i")
    assert b"Traceback" not in shown


def test_a_document_on_a_terminal_is_plain(terminal: Terminal, script: Script) -> None:
    code, shown = terminal("--json", script("print('\\x1b[31m')").name)
    assert code == 0
    assert shown.startswith(b'{"schema": 1')
    assert b"\x1b" not in shown
