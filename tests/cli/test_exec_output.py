"""What a program writes: live, apart, byte for byte; limits, closed and full outputs."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import begin
from tests.conftest import COMMAND, Run, clean_environment

Script = Callable[..., Path]
Shell = Callable[[str], tuple[int, bytes]]


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """Run a line of bash in which $E is `e2brun exec --on local`: (exit code, stdout)."""

    def run(line: str) -> tuple[int, bytes]:
        environment = clean_environment({"E": " ".join([*COMMAND, "exec", "--on", "local"])})
        ended = subprocess.run(
            ["bash", "-c", line],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd=tmp_path,
            env=environment,
            timeout=30,
            check=False,
        )
        return ended.returncode, ended.stdout

    return run


@pytest.mark.parametrize("how", [(), ("--cell",), ("-i",)])
def test_the_first_line_arrives_while_the_program_sleeps(
    script: Script, tmp_path: Path, how: tuple[str, ...]
) -> None:
    script("import time; print('first'); time.sleep(30)")
    words = ("exec", "--on", "local", *how, "prog.py")
    process = begin(*words, cwd=tmp_path, stdin=subprocess.PIPE)
    assert process.stdout is not None
    start = time.monotonic()
    assert process.stdout.readline() == b"first\n"
    assert time.monotonic() - start < 25
    process.terminate()
    _, err = process.communicate(timeout=10)
    assert process.returncode == 143
    assert err.startswith(b"killed: ended by SIGTERM \xc2\xb7 i")


def test_input_and_output_can_alternate(script: Script, tmp_path: Path) -> None:
    script("for line in __import__('sys').stdin: print('got', line.strip())")
    words = ("exec", "--on", "local", "-i", "prog.py")
    process = begin(*words, cwd=tmp_path, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdin is not None
    assert process.stdout is not None
    for word in (b"one", b"two"):
        process.stdin.write(word + b"\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"got " + word + b"\n"
    process.stdin.close()
    assert process.wait(10) == 0
    process.stdout.close()


@pytest.mark.parametrize("how", [(), ("--cell",)])
def test_both_streams_are_exact_to_the_byte(local: Run, script: Script, how: tuple[str]) -> None:
    every = bytes(range(256)) + b"\r\n\x1b[31m::error::x\n##[x]\n\xe2\x80\xa8 no end"
    file = script(f"import os\nn = os.write(1, {every!r})\nn = os.write(2, {b'E' + every!r})")
    ended = subprocess.run(
        [*COMMAND, "exec", "--on", "local", "-q", *how, file],
        capture_output=True,
        env=clean_environment(),
        check=True,
    )
    assert ended.stdout == every
    assert ended.stderr == b"E" + every


def test_the_closing_line_begins_a_line_of_its_own(shell: Shell, script: Script) -> None:
    script(
        "import sys; print('out', end=sys.argv[1]); print('e', end=sys.argv[2], file=sys.stderr)"
    )
    for out, err in (("", ""), ("\n", ""), ("", "\n")):
        _, said = shell(f"$E prog.py '{out}' '{err}' 2>&1")
        assert said.splitlines()[-1].startswith(b"ok \xc2\xb7 ")
    assert shell("$E prog.py '' '' 2>/dev/null") == (0, b"out")


def test_output_past_the_limit_is_dropped_and_counted(local: Run, script: Script) -> None:
    file = script("import sys; print('x' * 99); print('y' * 9, file=sys.stderr)")
    ran = local("--max-output", "5", file)
    assert (ran.code, ran.out) == (0, b"xxxxx")
    assert ran.err.startswith("yyyyy\nok · ")
    assert "stdout cut: 95 bytes dropped (--max-output)" in ran.err
    assert "stderr cut: 5 bytes dropped (--max-output)" in ran.err


def test_no_limit_lets_everything_through(local: Run, script: Script) -> None:
    file = script("import sys; sys.stdout.write('x' * 12_000_000)")
    ran = local("--max-output", "0", file)
    assert len(ran.out) == 12_000_000
    assert "cut" not in ran.err
    assert len(local(file).out) == 10 * 1024 * 1024


def test_a_reader_that_leaves_ends_the_program_quietly(shell: Shell, script: Script) -> None:
    script("import sys\nwhile True: print('line')")
    assert shell("$E -q prog.py 2>/dev/null | head -1") == (0, b"line\n")
    code, said = shell("set -o pipefail; { $E prog.py | head -1 >/dev/null; } 2>&1")
    assert code == 1  # Python's own, as without a sandbox
    assert b"BrokenPipeError" in said
    assert b"e2brun/" not in said


def test_workflow_commands_are_made_inert_in_ci(e2brun: Run, script: Script) -> None:
    script("import sys; print('a ##[error]x\\n ::stop::y'); print('::set-env::', file=sys.stderr)")
    ran = e2brun("exec", "--on", "local", "prog.py", env={"GITHUB_ACTIONS": "true"})
    assert ran.text == "a ##\u200b[error]x\n :\u200b:stop::y\n"
    assert ran.err.startswith(":\u200b:set-env::\n")


_OTHERS = {
    "TF_BUILD": (b"x ##vs", b"o[task.setvariable variable=A]b\n"),
    "GITHUB_ACTIONS": (b"##vso", b"[task.complete]\n"),
    "TEAMCITY_VERSION": (b"x ##team", b"city[buildStop comment='x']\n"),
    "GITLAB_CI": (b"\x1b[0Ksection_start:", b"1560896352:a\r\x1b[0Kheading\n"),
}


@pytest.mark.parametrize("variable", _OTHERS)
def test_no_ci_system_finds_its_commands_in_a_log_though_they_come_in_two_pieces(
    local: Run, shell: Shell, script: Script, variable: str, tmp_path: Path
) -> None:
    first, second = _OTHERS[variable]
    script(
        "import sys, time\nout, err = sys.stdout.buffer, sys.stderr.buffer\n"
        f"for stream in (out, err):\n    stream.write({first!r}); stream.flush(); time.sleep(0.2)\n"
        f"    stream.write({second!r}); stream.flush()\n"
    )
    whole = (first + second).decode()
    in_ci = {variable: "True"}
    logged = local("-q", "prog.py", env=in_ci)
    for got in (logged.text, logged.err):
        assert whole not in got
        assert got.replace("\u200b", "") == whole
    if variable != "TF_BUILD":
        return
    for words, env in ((("--raw",), in_ci), ((), None)):
        ran = local("-q", *words, "prog.py", env=env)
        assert ran.text == ran.err == whole
    shell(f"{variable}=True $E -q prog.py > out 2> err")
    assert (tmp_path / "out").read_bytes() == (tmp_path / "err").read_bytes() == first + second


@pytest.mark.parametrize("name", ["##vso[a.b]x.py", "##teamcity[x]x.py", "section_end:1:x.py"])
def test_no_line_of_ours_holds_a_command_of_the_programs(
    local: Run, tmp_path: Path, name: str
) -> None:
    opening = name[: name.index("[") + 1] if "[" in name else "section_end:1"
    (tmp_path / name).write_text(f"import sys; sys.exit({name!r})")
    assert opening not in local("missing-" + name).err
    found = json.loads((said := local("--json", name)).out)
    assert found["stderr"] == f"{name}\n"
    if "[" in name:  # of GitLab's, the end is the escape sequence, which JSON writes out
        assert opening.encode() not in said.out


@pytest.mark.parametrize(
    ("line", "code", "out"),
    [
        ("$E prog.py >&-", 125, b""),
        ("$E prog.py 2>&-", 0, b"out\n"),
        ("$E nope.py 2>/dev/full", 2, b""),
        ("$E prog.py <&-", 0, b"out\n"),
        ("$E prog.py <&- >&- 2>&-", 125, b""),
        ("$E -i in.py <&-", 0, b"b''\n"),
        ("$E -i in.py <prog.py", 0, b"b'print(\"out\")'\n"),
        ("$E -i in.py < <(echo x)", 0, b"b'x\\n'\n"),
        ("$E - <&-", 2, b""),
        ("$E --json --nope >&-", 2, b""),
        ("echo x | $E -i by_name.py | cat", 0, b"x\n"),
    ],
)
def test_standard_streams_may_be_closed_full_or_anything(
    shell: Shell, script: Script, line: str, code: int, out: bytes
) -> None:
    script('print("out")')
    script("import sys; print(sys.stdin.buffer.read())", "in.py")
    script("open('/dev/stdout', 'w').write(open('/dev/stdin').read())", "by_name.py")
    assert shell(line) == (code, out)


@pytest.mark.parametrize(
    "words", ["--version", "exec --help", "exec --on local p.py", "exec --on local --json p.py"]
)
def test_what_cannot_be_written_is_one_line(script: Script, tmp_path: Path, words: str) -> None:
    script("for _ in range(99): print('x' * 1000)", "p.py")
    with Path("/dev/full").open("wb") as full:
        process = begin(*words.split(), cwd=tmp_path, stdout=full)
        err = process.communicate(timeout=30)[1]
    assert process.returncode == 125
    assert err == b"e2brun: cannot write to standard output: No space left on device\n"


def test_an_output_that_does_not_block_loses_nothing(script: Script, tmp_path: Path) -> None:
    script("import sys; sys.stdout.write('x' * 1_000_000)")
    read, write = os.pipe()
    os.set_blocking(write, False)
    words = ("exec", "--on", "local", "prog.py")
    process = begin(*words, cwd=tmp_path, stdout=write, stderr=subprocess.DEVNULL)
    os.close(write)
    time.sleep(1)
    size = 0
    while piece := os.read(read, 65536):
        size += len(piece)
    os.close(read)
    assert (process.wait(10), size) == (0, 1_000_000)
