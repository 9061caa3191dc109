"""A candidate that ends before its tests is no pass."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.pipeline.conftest import Place

EXAMPLE = Path(__file__).parents[2] / "pipelines" / "batch.toml"
EARLY = {
    "exit_in": "    exit()\n",
    "sysexit_in": "    raise SystemExit\n",
    "osexit_in": "    import os; os._exit(0)\n",
    "exit_after": "    return 0\nexit()\n",
    "atexit": "    return 0\nimport atexit, os\natexit.register(os._exit, 0)\n",
}


def _cases(place: Place, solutions: dict[str, str]) -> None:
    place.write(EXAMPLE.read_text(), "batch.toml")
    test = "def check(f):\n    assert f(2) == 4\n"
    lines = [
        {"task_id": name, "prompt": "def f(x):\n", "solution": text, "test": test,
         "entry_point": "f"}
        for name, text in solutions.items()
    ]  # fmt: skip
    place.write("".join(json.dumps(line) + "\n" for line in lines), "batch.jsonl")


def test_the_example_fails_whoever_leaves_before_the_tests(place: Place) -> None:
    _cases(place, {"good": "    return x * 2\n", **EARLY})
    document = place.document("batch.toml")
    verdicts = {case["id"]: case["verdict"] for case in document["cases"]}
    assert verdicts == {"good": "passed"} | dict.fromkeys(EARLY, "failed")
    by_id = {case["id"]: case["attempts"][0]["steps"] for case in document["cases"]}
    assert by_id["good"][2]["execution"]["completed"] is True
    assert by_id["osexit_in"][2]["execution"]["completed"] is False
    assert by_id["osexit_in"][-1]["message"] == "it ended before its last line"


@pytest.mark.parametrize(
    ("code", "cell", "passes"),
    [("x = 1", "true", True), ("exit()", "true", False), ("raise SystemExit(0)", "true", False)],
)
def test_a_cell_that_leaves_has_not_completed_either(
    place: Place, code: str, cell: str, passes: bool
) -> None:
    place.write(
        f'[pipeline]\nname = "c"\n[generate]\ncode = "{code}"\n[execute]\ncell = {cell}\n'
        "[[check]]\ncompleted = true\n"
    )
    assert place.pipeline("run", "p.toml").code == (0 if passes else 1)


def test_completed_is_not_asked_of_what_nobody_can_tell_of(place: Place) -> None:
    place.write("echo hello", "c.sh")
    place.write(
        '[pipeline]\nname = "c"\n[generate]\nfiles = ["c.sh"]\n[execute]\n'
        "[[check]]\ncompleted = true\n"
    )
    ran = place.pipeline("run", "p.toml")
    assert (ran.code, "nobody can tell" in ran.text) == (1, True)


def test_completed_false_alone_is_refused(place: Place) -> None:
    place.write(
        '[pipeline]\nname = "c"\n[generate]\ncode = ""\n[execute]\n[[check]]\ncompleted = false\n'
    )
    ran = place.pipeline("run", "p.toml")
    assert (ran.code, "completed = false checks nothing" in ran.err) == (2, True)


@pytest.mark.parametrize(
    ("code", "check", "passes"),
    [
        ("{{solution}}\\ncheck()", "exit_code = 0", False),
        ("{{solution}}\\ncheck()", "exit_code = 0\ncompleted = false", True),
        ("{{solution}}\\nraise SystemExit(check())", "exit_code = 0", True),
        ("def check(): pass\\n{{solution}}", "exit_code = 0", True),
        ("print({{solution}})", "exit_code = 0", True),
    ],
)
def test_an_exit_code_of_0_is_of_the_whole_program_where_the_pipeline_adds_the_tests(
    place: Place, code: str, check: str, *, passes: bool
) -> None:
    place.write(
        f'[pipeline]\nname = "c"\n[generate]\ncode = "{code}"\n[execute]\n[[check]]\n{check}\n'
        '[[case]]\nid = "a"\nsolution = "exit()"\n'
    )
    assert place.pipeline("run", "p.toml").code == (0 if passes else 1)
