"""The bash kernel: one shell that lasts, whatever a cell does to it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.kernels import BASH, RunningKernel


@pytest.fixture
def bash(tmp_path: Path) -> Iterator[RunningKernel]:
    argv = (sys.executable, "-I", "-S", "-c", BASH)
    with RunningKernel(argv, tmp_path) as kernel:
        yield kernel


def test_variables_functions_aliases_and_the_directory_last(bash: RunningKernel) -> None:
    bash.run('x=5; f() { echo "f $1"; }; alias ll="echo long"; declare -A m=([k]="a b"); cd /')
    assert bash.run('echo $x; f 1; ll; pwd; echo "${m[k]}"').stdout == "5\nf 1\nlong\n/\na b\n"


def test_output_goes_where_it_was_sent(bash: RunningKernel) -> None:
    cell = bash.run("echo out\necho err >&2")
    assert (cell.stdout, cell.stderr, cell.error) == ("out\n", "err\n", None)
    assert cell.outcome.execution_count == 1


@pytest.mark.parametrize(
    ("code", "status"),
    [("false", "1"), ("if; then", "2"), ('echo "unclosed', "2"), ("exit 3", "3"), ("nope", "127")],
)
def test_a_status_other_than_0_is_an_error_and_the_state_stays(
    bash: RunningKernel, code: str, status: str
) -> None:
    bash.run("x=1")
    assert bash.run(code).error == ("", status)
    assert bash.run("echo $x").stdout == "1\n"


@pytest.mark.parametrize("code", ["set -e; false; echo no", "break", "echo ${nope:?}", "exit 0"])
def test_what_ends_the_shell_does_not_end_the_session(bash: RunningKernel, code: str) -> None:
    bash.run("x=$'a\\nb \"c\" `d`'; export y=2; f() { echo f; }; cd /usr")
    assert "no" not in bash.run(code).stdout.split()
    expected = 'a\nb "c" `d`\n2\nf\n/usr\n'
    assert bash.run('echo "$x"; bash -c "echo \\$y"; f; pwd').stdout == expected


def test_a_killed_shell_starts_anew_and_nothing_old_comes_back(bash: RunningKernel) -> None:
    bash.run("x=1; exit 0")
    assert bash.run("echo $x; exec true").stdout == "1\n"
    assert bash.run("echo ${x-gone}; kill -9 $$").stdout == "gone\n"
    assert bash.run("echo ${x-gone}").stdout == "gone\n"


def test_messages_count_the_lines_of_the_cell(bash: RunningKernel) -> None:
    bash.run("true\ntrue\ntrue")
    assert bash.run("true\nnope").stderr == "bash: line 2: nope: command not found\n"


def test_the_environment_of_a_cell_is_its_own(bash: RunningKernel) -> None:
    bash.run("export A=1; B=2")
    odd = 'it\'s $x `y` "z"\nü'
    cell = bash.run('echo "$A$B$C"; env | grep -c "^[ABC]="', {"A": "x", "B": "y", "C": odd})
    assert cell.stdout == f"xy{odd}\n3\n"
    assert bash.run('echo "$A$B${C-unset}"; env | grep -c "^[ABC]="').stdout == "12unset\n1\n"


def test_standard_input_is_empty(bash: RunningKernel) -> None:
    assert bash.run("cat; read x; echo $?").stdout == "1\n"


@pytest.mark.parametrize(
    "code",
    [
        "sleep 100",
        "while :; do :; done",
        "(trap '' INT; sleep 100)",
        f"{sys.executable} -c 'while 1: pass'",
    ],
)
def test_an_interrupt_ends_the_cell_and_keeps_the_state(bash: RunningKernel, code: str) -> None:
    bash.run("x=7")
    assert bash.run(code, interrupt_after=0.1).error == ("KeyboardInterrupt", "")
    assert bash.run("echo $x").stdout == "7\n"


def test_a_shell_that_ignores_interrupts_is_replaced(bash: RunningKernel) -> None:
    cell = bash.run('trap "" INT; while :; do :; done', interrupt_after=0.1)
    assert cell.error == ("KeyboardInterrupt", "")
    assert bash.run("echo on").stdout == "on\n"


def test_programs_of_a_cell_inherit_no_descriptor_of_ours(bash: RunningKernel) -> None:
    listed = bash.run(
        f"{sys.executable} -c 'import os; print(sorted(os.listdir(\"/proc/self/fd\")))'"
    )
    assert listed.stdout == "['0', '1', '2', '3']\n"  # 3: the directory that it lists


def test_what_is_displayed_is_a_result(bash: RunningKernel) -> None:
    (result,) = bash.run('echo "<b>hi</b>" | displayHTML').outcome.results
    assert result == {"html": "<b>hi</b>\n", "extra": {}, "is_main_result": False}


def test_it_leaves_when_the_host_hangs_up(bash: RunningKernel) -> None:
    bash.run("true")
    assert bash.hang_up() == 0
