"""`--json`: exactly one ASCII document on stdout, whatever happens."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import begin
from tests.conftest import Run

Script = Callable[..., Path]

_KEYS = [
    "schema", "outcome", "success", "exit_code", "signal", "stdout", "stderr",
    "logs", "results", "error", "execution_time", "sandbox_id",
    "backend", "template", "truncated", "run_id", "detail",
]  # fmt: skip


def document(out: bytes) -> dict[str, Any]:
    """The one document, after everything that has to be true of any."""
    text = out.decode("ascii")
    assert text.endswith("}\n")
    assert len(text.splitlines()) == 1
    found: dict[str, Any] = json.loads(text, parse_constant=pytest.fail)
    assert list(found) == _KEYS
    assert found["schema"] == 1
    assert found["success"] == (found["outcome"] == "ok" and found["error"] is None)
    assert set(found["truncated"]) == {"stdout", "stderr"}
    if found["error"] is not None:
        assert list(found["error"]) == ["name", "value", "traceback", "hint"]
    return found


def test_a_run_that_went_well(local: Run, script: Script) -> None:
    ran = local("--json", script("import sys; print('o'); print('e', file=sys.stderr)"))
    found = document(ran.out)
    assert ran.code == 0
    assert ran.err == ""
    assert (found["outcome"], found["exit_code"], found["signal"]) == ("ok", 0, None)
    assert (found["stdout"], found["stderr"]) == ("o\n", "e\n")
    assert (found["results"], found["error"], found["detail"]) == ([], None, "")
    assert (found["backend"], found["template"]) == ("local", "python")
    assert len(found["sandbox_id"]) == 20
    assert 0 < found["execution_time"] < 20


def test_the_results_of_a_cell(local: Run) -> None:
    found = document(local("--json", "-c", "print('out'); display('d'); 40 + 2").out)
    assert found["stdout"] == "out\n"
    assert [(r["text"], r["is_main_result"]) for r in found["results"]] == [
        ("d", False),
        ("42", True),
    ]


def test_a_program_that_raises(local: Run, script: Script) -> None:
    ran = local("--json", script("def f():\n    raise ValueError('a\\nb')\nf()\n"))
    found = document(ran.out)
    assert (ran.code, ran.err) == (1, "")
    assert (found["outcome"], found["exit_code"]) == ("error", 1)
    assert (found["error"]["name"], found["error"]["value"]) == ("ValueError", "a\nb")
    assert 'File "/home/user/prog.py", line 2, in f' in found["error"]["traceback"]
    assert found["error"]["traceback"] in found["stderr"]


def test_a_cell_that_raises(local: Run) -> None:
    found = document(local("--json", "-c", "import nothing_such").out)
    assert found["error"]["name"] == "ModuleNotFoundError"
    assert found["error"]["hint"] == "Add --install nothing_such, or --auto-install."
    assert found["stderr"] == ""


@pytest.mark.parametrize(
    ("words", "code", "outcome", "expected"),
    [
        (("-c", "import sys; sys.exit(7)"), 7, "error", {"exit_code": 7}),
        (("-c", "import os; os.kill(os.getpid(), 11)"), 137, "killed", {"signal": None}),
        (("--timeout", "2", "-c", "print('x'); import time; time.sleep(30)"), 124, "timeout",
         {"stdout": "x\n", "detail": "time limit 2 s", "exit_code": None}),
        (("--memory", "64M", "-c", "bytearray(10**9)"), 137, "oom",
         {"detail": "memory limit 64 MiB", "exit_code": None}),
        (("nope.py",), 2, "infrastructure", {"sandbox_id": None, "backend": None}),
        (("--bogus",), 2, "infrastructure", {"run_id": None}),
        (("--timeout",), 2, "infrastructure", {}),
        ((), 2, "infrastructure", {}),
        (("--timeout", "x", "-c", "1"), 2, "infrastructure", {}),
        (("--env-file", "no", "-c", "1"), 2, "infrastructure", {}),
        (("--file", "no", "-c", "1"), 2, "infrastructure", {}),
        (("--cwd", "/no", "-c", "1"), 0, "ok", {"backend": "local", "error": None}),
        (("--get", "no", "-c", "1"), 125, "ok", {"exit_code": 0}),
        (("--on", "e2b", "-c", "1"), 125, "infrastructure", {}),
    ],
)  # fmt: skip
def test_every_end_is_one_document(
    local: Run, words: tuple[str, ...], code: int, outcome: str, expected: dict[str, object]
) -> None:
    ran = local("--json", *words)
    found = document(ran.out)
    assert (ran.code, found["outcome"]) == (code, outcome)
    assert found["error"] is None if code == 0 else found["error"]["value"]
    assert {key: found[key] for key in expected} == expected
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_to_us_is_a_document_too(script: Script, number: int, code: int) -> None:
    file = script("import sys, time\nprint('so far'); sys.stdin.read(8_000_000); time.sleep(30)")
    words = ("exec", "--json", "--on", "local", "-i", file)
    process = begin(*words, cwd=file.parent, stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(b"x" * 8_000_000)  # more than pipes hold: gone when the program reads
    process.stdin.flush()
    process.send_signal(number)
    out, err = process.communicate(timeout=10)
    found = document(out)
    assert (process.returncode, err) == (code, b"")
    assert (found["outcome"], found["stdout"]) == ("killed", "so far\n")
    assert found["error"]["value"] == f"ended by {signal.Signals(number).name}"
    assert found["execution_time"] > 0


def test_any_bytes_become_text_that_strict_json_can_say(local: Run, script: Script) -> None:
    file = script(
        r"import os; os.write(1, b'a\xff\0\xed\xa0\x80\xe2\x80\xa8\x1b[31m##[x]\r\n::error::\xe2')"
    )
    found = document(local("--json", file).out)
    assert found["stdout"] == "a�\0���\u2028\x1b[31m##[x]\r\n::error::�"
    assert found["logs"] == ["a�\0���\u2028\x1b[31m##[x]", "::error::�"]


def test_half_surrogates_and_odd_line_ends_are_said(local: Run) -> None:
    code = r"text = '\ud800\u2028\0'; display(text); raise ValueError(text)"
    assert document(local("--json", "-c", code).out)["results"]


def test_a_json_result_is_strict_json(local: Run) -> None:
    code = "class R:\n  def __init__(self, v): self.v = v\n  def _repr_json_(self): return [self.v]"
    code += "\nfor v in (float('nan'), 10**5000, {1: {2: b'x'}}, [[]] * 3): display(R(v))"
    assert len(document(local("--json", "-c", code).out)["results"]) == 4


def test_output_past_the_limit_is_counted(local: Run, script: Script) -> None:
    file = script("import sys; print('x' * 99); print('é' * 50, file=sys.stderr)")
    found = document(local("--json", "--max-output", "5", file).out)
    assert (found["stdout"], found["stderr"]) == ("xxxxx", "éé")
    assert found["truncated"] == {"stdout": 95, "stderr": 96}
    assert found["success"]


def test_a_forged_document_stays_inside_the_strings(local: Run, script: Script) -> None:
    file = script('import os\nfor fd in range(1, 20):\n  try: os.write(fd, b\'{"schema": 1}\\n\')\n'
                  "  except OSError: pass\nraise SystemExit(4)")  # fmt: skip
    ran = local("--json", file)
    assert ran.code == document(ran.out)["exit_code"] == 4
    cell = local("--json", "--cell", file)
    found = document(cell.out)
    assert (cell.code, found["outcome"], found["error"]["name"]) == (1, "error", "ForgedResults")


def test_the_run_ids_of_two_runs_differ(local: Run, script: Script) -> None:
    first, second = (document(local("--json", script("print(1)")).out) for _ in range(2))
    assert first["run_id"] != second["run_id"]
    assert first["sandbox_id"] != second["sandbox_id"]
