"""The options of `e2brun exec` that say how it runs, and mistakes in them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from e2brun.cli.options import ExecRequest
from tests.conftest import Run, clean_environment

Script = Callable[..., Path]

_LETTERS = "import os; print({k: v for k, v in sorted(os.environ.items()) if k in 'ABC'})"


def test_a_run_past_its_time_ends_with_124(local: Run, script: Script) -> None:
    ran = local("--timeout", "1400ms", script("print('before')\nimport time; time.sleep(30)"))
    assert (ran.code, ran.text) == (124, "before\n")
    assert ran.err.splitlines()[0] == "e2brun: The time limit was reached: raise it with --timeout."
    assert ran.err.splitlines()[1].startswith("timeout after 1.4 s · i")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--timeout", "abc"), "--timeout: 'abc' is not a duration: write 30, 30s, 5m"),
        (("--timeout", "0"), "--timeout: '0' is out of range"),
        (("--max-output", "x"), "--max-output: 'x' is not a size: write 100, 64k"),
        (("--on", "nowhere"), "--on: 'nowhere' is no backend: write e2b, local or auto"),
        (("--env", "A"), '--env: an environment variable is written NAME=VALUE; there is no "="'),
        (("--env", "1A=x"), "--env: '1A' is not a variable name"),
        (("--env-file", "no.env"), "no.env: No such file or directory"),
        (("--cwd", ""), "--cwd: the name is empty"),
        (("--python", "3.99"), "no Python 3.99 was found"),
        (("--python", "/bin/ls"), "/bin/ls: not a Python that can be used"),
        (("--install", "x y z"), "'x y z' is not a requirement"),
        (("--requirements", "no.txt"), "no.txt: this requirements file cannot be read"),
        (("--bogus",), "No such option: --bogus"),
    ],
)
def test_a_mistake_is_one_line_and_code_2(
    local: Run, script: Script, words: tuple[str, ...], said: str
) -> None:
    ran = local(*words, script("print('ran')"))
    assert (ran.code, ran.out) == (2, b"")
    assert ran.err.startswith(f"e2brun: {said}")
    assert len([line for line in ran.err.splitlines() if line.startswith("e2brun:")]) == 1
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("words", [("--timeout",), ("-c",), ("--env",)])
def test_an_option_without_its_value_says_so(local: Run, words: tuple[str, ...]) -> None:
    ran = local(*words)
    assert ran.code == 2
    assert ran.err.startswith(f"e2brun: Option '{words[0]}' requires an argument.")
    assert "--help" in ran.err


def test_an_option_after_the_file_went_to_the_program(local: Run, script: Script) -> None:
    ran = local(script("raise SystemExit(1)"), "--json")
    assert "--json came after the file, so it went to the program" in ran.err


def test_a_cell_that_is_none_since_it_was_said_too_late_is_told_so(local: Run) -> None:
    ran = local("-", "--cell", stdin=b"6 * 7")
    assert (ran.code, ran.out) == (0, b"")
    assert "--cell came after the file, so it went to the program" in ran.err


def test_variables_reach_the_program(local: Run, script: Script) -> None:
    file = script(_LETTERS)
    ran = local("--env", "A=1", "--env", "B=x y=z", "--env", "C=", file)
    assert ran.text == "{'A': '1', 'B': 'x y=z', 'C': ''}\n"
    assert local("--env", "A=1", "--cell", file).text == "{'A': '1'}\n"


def test_variables_come_from_files_and_options_win(local: Run, script: Script) -> None:
    (script("x").parent / "one.env").write_text('export A="q\\n1" # c\nB=2\n\n# c\nC=3\n')
    (script("x").parent / "two.env").write_text("\ufeffB='$A'\r\n")
    words = ("--env-file", "one.env", "--env-file", "two.env", "--env", "C=z")
    assert local(*words, script(_LETTERS)).text == "{'A': 'q\\n1', 'B': '$A', 'C': 'z'}\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('A=1\nB="secret\n', 'bad.env:2: the quote " is never closed'),
        ("A=1\nsecret\n", "bad.env:2: not of the form NAME=VALUE"),
        ("A='secret' x\n", "bad.env:1: there is text after the closing quote"),
    ],
)
def test_a_malformed_file_of_variables_is_an_error_that_shows_no_value(
    local: Run, script: Script, content: str, said: str
) -> None:
    (script("print(1)").parent / "bad.env").write_text(content)
    ran = local("--env-file", "bad.env", "prog.py")
    assert (ran.code, ran.out, ran.err) == (2, b"", f"e2brun: {said}\n")


def test_the_callers_environment_stays_outside(e2brun: Run, script: Script) -> None:
    script("import os; print('E2BRUN_TEST_SECRET' in os.environ, os.environ['HOME'])")
    ran = e2brun("exec", "--on", "local", "prog.py", env={"E2BRUN_TEST_SECRET": "x"})
    assert ran.text == "False /home/user\n"


@pytest.mark.parametrize(
    ("name", "directory", "content"),
    [
        ("prog.py", "~/w", "import os; print(os.getcwd(), open('f').read())"),
        ("prog.sh", "w", 'echo "$PWD" $(cat f)'),
        pytest.param(
            "prog.js",
            "/home/user/w",
            "console.log(process.cwd(), require('fs').readFileSync('f', 'utf8'))",
            marks=pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed"),
        ),
    ],
)
def test_a_program_starts_in_the_directory_asked_for(
    local: Run, script: Script, name: str, content: str, directory: str
) -> None:
    script("x", "f")
    ran = local("--file", "f:w/f", "--cwd", directory, script(content, name))
    assert (ran.code, ran.text) == (0, "/home/user/w x\n")


def test_a_cell_starts_in_the_directory_asked_for(local: Run) -> None:
    assert local("--cwd", "/tmp", "-c", "import os; os.getcwd()").text == "/tmp\n"


@pytest.mark.parametrize("words", [("prog.py",), ("--cell", "prog.py")])
def test_a_directory_that_cannot_be_made_is_named(
    local: Run, script: Script, words: tuple[str, ...]
) -> None:
    script("print('ran')")
    ran = local("--cwd", "/usr/nowhere", *words)
    assert (ran.code, ran.out) == (125, b"")
    assert "/usr/nowhere" in ran.err
    assert "no such directory" in ran.err.lower() or "No such file or directory" in ran.err
    assert len(ran.err.splitlines()) == 1


def test_quiet_says_only_what_the_program_says(local: Run, script: Script) -> None:
    ran = local("-q", script("import sys; print('out'); print('err', file=sys.stderr)"))
    assert (ran.out, ran.err) == (b"out\n", "err\n")
    assert local("--quiet", "nope.py").err == "e2brun: nope.py: No such file or directory\n"
    assert "ZeroDivisionError" in local("-q", script("1/0")).err


def test_memory_past_the_limit_is_137_and_says_which_limit(local: Run, script: Script) -> None:
    ran = local("--memory", "64M", script("print('before', flush=True); x = bytearray(10**9)"))
    assert (ran.code, ran.text) == (137, "before\n")
    assert (
        ran.err.splitlines()[0] == "e2brun: The memory limit was reached: raise it with --memory."
    )
    assert ran.err.splitlines()[1].startswith("oom: memory limit 64 MiB · ")


def test_settings_come_from_the_environment_a_file_or_the_project(
    e2brun: Run, script: Script
) -> None:
    file = script("import time; print(1, flush=True); time.sleep(0.7)")

    def code(*words: str, **env: str) -> int:
        return e2brun("exec", *words, file.name, env=env).code

    script('[tool.e2brun]\non = "local"\ntimeout = "10s"\n', "pyproject.toml")
    assert code() == 0
    script("E2BRUN_TIMEOUT=0.3\n", ".env")
    assert code() == 124
    assert code(E2BRUN_TIMEOUT="10s") == 0
    assert code("--timeout", "0.3", E2BRUN_TIMEOUT="10s") == 124


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("pyproject.toml", '[tool.e2brun]\ntimout = "1s"\n', ":2: [tool.e2brun] has no key 'timo"),
        (".env", "X=1\nE2BRUN_TIMEOUT=soon\n", ".env:2: 'soon' is not a duration"),
    ],
)
def test_a_mistake_in_a_settings_file_has_its_line(
    local: Run, script: Script, name: str, content: str, said: str
) -> None:
    script(content, name)
    ran = local("-c", "print('ran')")
    assert (ran.code, ran.out) == (2, b"")
    assert said in ran.err
    assert len(ran.err.splitlines()) == 1


def test_a_wrong_environment_variable_is_named(e2brun: Run) -> None:
    ran = e2brun("exec", "-c", "1", env={"E2BRUN_ON": "moon"})
    assert (ran.code, ran.err) == (
        2,
        "e2brun: E2BRUN_ON: 'moon' is no backend: write e2b, local or auto\n",
    )


def test_without_a_key_auto_runs_here_and_says_so(e2brun: Run, script: Script) -> None:
    ran = e2brun("exec", script("print(1)"))
    assert (ran.code, ran.out) == (0, b"1\n")
    assert ran.err.startswith("e2brun: no E2B key: running in the embedded sandbox")
    assert len(ran.err.splitlines()) == 2


def test_with_a_key_local_is_still_local(local: Run, script: Script) -> None:
    ran = local(script("print(1)"), env={"E2B_API_KEY": "e2b_" + "0" * 40})
    assert (ran.code, ran.out) == (0, b"1\n")
    assert " · local · " in ran.err


def test_e2b_without_a_key_says_what_to_do(e2brun: Run) -> None:
    ran = e2brun("exec", "--on", "e2b", "-c", "1")
    assert (ran.code, ran.out) == (125, b"")
    assert ran.err == (
        "e2brun: there is no E2B key\n  Set E2B_API_KEY to a valid key, or run with --on local.\n"
    )


def test_a_key_that_cannot_be_one_is_refused_and_not_shown(e2brun: Run) -> None:
    ran = e2brun("exec", "-c", "1", env={"E2B_API_KEY": "very\nsecret"})
    assert ran.code == 2
    assert "E2B_API_KEY" in ran.err
    assert "secret" not in ran.err


def test_no_driver_is_infrastructure_and_names_the_install_line(local: Run) -> None:
    ran = local("-c", "1", env={"PATH": "/nowhere"})
    assert (ran.code, ran.out) == (125, b"")
    assert ran.err == (
        "e2brun: bubblewrap (bwrap) is not installed\n"
        "  Install it: apt-get update && apt-get install -y bubblewrap\n"
    )


@pytest.mark.parametrize("command", [(), ("exec",)])
def test_the_help_fits_a_screen_and_shows_examples(e2brun: Run, command: tuple[str, ...]) -> None:
    for columns in ("80", "100"):
        shown = e2brun(*command, "--help", env={"COLUMNS": columns}).text
        assert len(shown.splitlines()) <= 55
        assert max(map(len, shown.splitlines())) <= 100
        assert "e2brun exec -c '1 + 1'" in shown


def test_every_option_is_explained_in_the_help(e2brun: Run) -> None:
    shown = e2brun("exec", "--help").text
    for option in ExecRequest.options:
        assert all(name in shown for name in option.names)
        assert option.help in shown


def test_the_version_is_one_line(e2brun: Run) -> None:
    from e2brun import __version__

    assert e2brun("--version").text == f"e2brun {__version__}\n"


def test_no_command_shows_the_help_and_a_wrong_one_is_named(e2brun: Run) -> None:
    nothing = e2brun()
    assert (nothing.code, nothing.out) == (2, b"")
    assert "Usage: " in nothing.err
    wrong = e2brun("frob")
    assert wrong.code == 2
    assert wrong.err.startswith("e2brun: No such command 'frob'.")


def _completion(installed: Path, words: str = "", **variables: str) -> str:
    """What the command prints, which a shell has started with these variables."""
    return subprocess.run(
        ["bash", "-c", f"'{installed}' {words}; true"],
        capture_output=True,
        check=True,
        text=True,
        env=clean_environment(variables),
    ).stdout


def test_the_shell_can_complete_commands_and_options(installed: Path) -> None:
    def complete(words: str, at: int) -> list[str]:
        asked = {"_E2BRUN_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(at)}
        return _completion(installed, **asked).split()

    assert complete("e2brun ex", 1) == ["exec"]
    assert complete("e2brun exec --time", 2) == ["--timeout"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_a_completion_script_can_be_shown(installed: Path, shell: str) -> None:
    shown = _completion(installed, _E2BRUN_COMPLETE=f"source_{shell}")
    assert "_E2BRUN_COMPLETE=complete_" in shown


def test_a_shell_that_asks_is_shown_its_completion(installed: Path) -> None:
    assert "complete_bash" in _completion(installed, "--show-completion")


def test_installing_packages_has_a_time_limit_of_its_own(
    local: Run, script: Script, tmp_path: Path
) -> None:
    own = {"UV_FIND_LINKS": str(tmp_path), "UV_NO_INDEX": "1", "E2BRUN_CACHE_DIR": str(tmp_path)}
    patient = ("--timeout", "1h", "--install-timeout", "1ms", "--install", "tiny")
    ran = local(*patient, script("1"), env=own)
    assert ran.code == 125
    assert "packages could not be installed within 0.001 s" in ran.err
    assert "--install-timeout" in ran.err
