"""`e2brun pipeline run` with real sandboxes: exit codes, streams, which cases run."""

from __future__ import annotations

import json
import subprocess
import tomllib
from pathlib import Path

from tests.cli.conftest import on_a_terminal
from tests.conftest import COMMAND, clean_environment
from tests.parity.notebooks import document
from tests.pipeline.conftest import Place

THREE = """\
[pipeline]
name = "three"
[generate]
code = "print({{n}} // {{d}})"
[[validate]]
use = "syntax"
[execute]
timeout = 10
[[check]]
stdout = { contains = "{{expected}}" }
[[case]]
id = "good"
n = 4
d = 2
expected = "2"
[[case]]
id = "wrong"
n = 4
d = 2
expected = "3"
[[case]]
id = "raises"
n = 4
d = 0
expected = "0"
"""
GOOD = """\
[pipeline]
name = "good"
[generate]
code = "print('hi')"
[execute]
[[check]]
stdout = "hi\\n"
"""


def test_a_line_for_each_case_goes_to_stdout_and_all_else_to_stderr(place: Place) -> None:
    place.write(THREE)
    ran = place.pipeline("run", "p.toml", "--concurrency", "1")
    lines = ran.text.splitlines()
    assert ran.code == 1
    assert lines[0].startswith("PASS good ")
    assert lines[0].split()[-1].startswith("i")
    assert lines[1].startswith("FAIL wrong check stdout: ")
    assert lines[2].startswith("FAIL raises execute program: ZeroDivisionError")
    assert len(lines) == 3
    assert "three: 1 passed, 2 failed" in ran.err


def test_all_passed_is_0_wherever_the_options_stand(place: Place) -> None:
    place.write(GOOD)
    assert place.pipeline("run", "--concurrency", "2", "p.toml", "-q").code == 0
    ran = place.pipeline("run", "p.toml", "--quiet")
    assert (ran.code, ran.err) == (0, "")


def test_options_are_read_the_same_by_typer_and_quickly(place: Place) -> None:
    place.write(THREE)
    quick = place.pipeline("run", "p.toml", "--only", "good", "--json")
    typers = place.pipeline("run", "p.toml", "--only=good", "--json", "--")
    one, other = json.loads(quick.out), json.loads(typers.out)
    assert [case["id"] for case in one["cases"]] == [case["id"] for case in other["cases"]]
    assert quick.code == typers.code == 0


def test_json_is_one_document_with_everything(place: Place) -> None:
    place.write(THREE)
    document = place.document("p.toml")
    assert document["counts"] == {
        "passed": 1, "failed": 2, "infrastructure": 0, "skipped": 0,
    }  # fmt: skip
    good = next(case for case in document["cases"] if case["id"] == "good")
    execution = next(s["execution"] for s in good["attempts"][0]["steps"] if s["execution"])
    assert execution["stdout"] == "2\n"
    assert execution["sandbox_id"].startswith("i")
    assert [step["stage"] for step in good["attempts"][0]["steps"]] == [
        "generate", "validate", "execute", "check",
    ]  # fmt: skip


def test_only_names_cases_and_set_and_var_change_them(place: Place) -> None:
    place.write(THREE)
    ran = place.pipeline("run", "p.toml", "--only", "wrong", "--var", "expected=2")
    assert (ran.code, ran.text.split()[:2]) == (0, ["PASS", "wrong"])
    slow = GOOD.replace("print('hi')", "import time; time.sleep(9); print('hi')")
    place.write(slow, "slow.toml")
    ran = place.pipeline("run", "slow.toml", "--set", "execute.timeout=0.3")
    assert ran.code == 1
    assert "0.3" in ran.text


def test_max_fail_begins_no_other_case(place: Place) -> None:
    place.write(THREE)
    document = place.document("p.toml", "--max-fail", "1", "--concurrency", "1")
    verdicts = {case["id"]: case["verdict"] for case in document["cases"]}
    assert verdicts == {"good": "passed", "wrong": "failed", "raises": "skipped"}
    assert document["exit_code"] == 1


def test_a_pass_rate_is_enough(place: Place) -> None:
    place.write(THREE)
    assert place.pipeline("run", "p.toml", "--pass-rate", "0.3").code == 0
    assert place.pipeline("run", "p.toml", "--pass-rate", "0.34").code == 1


def test_infrastructure_is_125_whatever_the_pass_rate(place: Place) -> None:
    text = '[pipeline]\nname = "x"\n[generate]\ncommand = "false"\nprompt = "p"\n[execute]\n'
    place.write(text)
    ran = place.pipeline("run", "p.toml", "--pass-rate", "0")
    assert (ran.code, ran.text.split()[0]) == (125, "ERROR")


def test_a_missing_key_is_told_once_and_nothing_runs(place: Place) -> None:
    place.write(THREE)
    ran = place.pipeline("run", "p.toml", "--on", "e2b")
    assert ran.code == 125
    assert ran.out == b""
    assert ran.err.count("E2B key") == 1


def test_a_matrix_makes_a_case_of_every_combination(place: Place) -> None:
    place.write(
        '[pipeline]\nname = "m"\n[generate]\ncode = "print({{a}} * {{b}})"\n[execute]\n'
        "[[check]]\nexit_code = 0\n[matrix]\na = [1, 2]\nb = [3, 4]\n"
    )
    ids = [case["id"] for case in place.document("p.toml")["cases"]]
    assert ids == ["a=1,b=3", "a=1,b=4", "a=2,b=3", "a=2,b=4"]


def test_candidates_are_files_and_their_names_are_the_cases(place: Place) -> None:
    place.write("print(1)", "c/one.py")
    place.write("print(", "c/two.py")
    place.write(
        '[pipeline]\nname = "f"\n[generate]\nfiles = ["c/*.py"]\n[[validate]]\nuse = "syntax"\n'
        "[execute]\n"
    )
    document = place.document("p.toml")
    assert [(c["id"], c["file"], c["verdict"]) for c in document["cases"]] == [
        ("c/one.py", "c/one.py", "passed"), ("c/two.py", "c/two.py", "failed"),
    ]  # fmt: skip


def test_a_recording_is_replayed_without_the_generator(place: Place) -> None:
    text = '[pipeline]\nname = "r"\n[generate]\ncommand = "CMD"\nprompt = "p"\n[execute]\n'
    place.write(text.replace("CMD", "echo print(1)"))
    assert place.pipeline("run", "p.toml", "--record", "cassette").code == 0
    ran = place.pipeline("run", "p.toml", "--replay", "cassette")
    assert ran.code == 0
    ran = place.pipeline("run", "p.toml", "--replay", "cassette", "--set", "generate.prompt=other")
    assert ran.code == 125
    assert "recorded with another prompt" in ran.text


def test_hostile_names_and_output_are_inert(place: Place) -> None:
    place.write(
        '[pipeline]\nname = "h"\n[generate]\ncode = "raise Exception({{say!r}})"\n[execute]\n'
        '[[case]]\nid = "::error::x"\nsay = "a\\u001b[2J\\n::error::forged"\n'
    )
    ran = place.pipeline("run", "p.toml", env={"GITHUB_ACTIONS": "true"})
    assert b"\x1b" not in ran.out
    commands = [
        line for line in (ran.text + ran.err).splitlines() if line.lstrip().startswith("::")
    ]
    assert len(commands) == 1  # our own annotation
    assert "%0A::error" in commands[0] or "forged" not in commands[0].split("::")[1]


def test_on_a_terminal_there_is_a_tree_and_a_table(place: Place) -> None:
    place.write(THREE)
    run = ("pipeline", "run", "p.toml")
    code, shown = on_a_terminal(*run, cwd=place.directory, env=place.environment)
    assert code == 1
    for words in ("✓ good", "✗ raises", "ZeroDivisionError", "validate syntax", "passed", "failed"):
        assert words in shown


def test_validate_and_show_run_nothing(place: Place) -> None:
    place.write(THREE)
    ran = place.pipeline("validate", "p.toml")
    assert (ran.code, ran.text) == (0, "p.toml: ok, 3 cases\n")
    ran = place.pipeline("show", "p.toml")
    assert ran.code == 0
    assert "syntax" in ran.text
    assert "raises" in ran.text
    assert not (place.directory / "state").exists()


def test_init_writes_pipelines_that_run_and_overwrites_nothing(place: Place) -> None:
    assert place.pipeline("init", "hello").code == 0
    assert place.pipeline("run", "hello.toml").code == 0
    ran = place.pipeline("init", "hello")
    assert (ran.code, "not overwritten" in ran.err) == (2, True)
    assert 'did you mean "hello"?' in place.pipeline("init", "helo").err
    listed = place.pipeline("list").text
    assert "hello.toml" in listed
    assert "1 passed" in listed


def test_what_init_writes_needs_nothing_that_a_plain_install_has_not(place: Place) -> None:
    for name in ("jsonschema", "jsonpath", "ruff", "mypy"):
        place.directory.joinpath(f"{name}.py").write_text("raise ImportError")
    for name in ("hello", "validate", "refine", "batch"):
        place.pipeline("init", name)
        ended = subprocess.run(
            [*COMMAND, "pipeline", "run", f"{name}.toml"],
            cwd=place.directory,
            env=clean_environment({**place.environment, "PYTHONPATH": str(place.directory)}),
            capture_output=True,
            check=False,
        )
        assert (ended.returncode, name) == (0, name), ended.stderr


def test_the_schema_is_json_and_knows_every_table(place: Place) -> None:
    schema = json.loads(place.pipeline("schema").out)
    assert {"pipeline", "generate", "validate", "execute", "check"} <= set(schema["properties"])
    assert schema["additionalProperties"] is False


def test_a_run_finds_its_files_from_any_directory(place: Place, tmp_path: Path) -> None:
    place.write("print(1)", "deep/one.py")
    place.write('[pipeline]\nname="d"\n[generate]\nfiles=["one.py"]\n[execute]\n', "deep/p.toml")
    for file in (tmp_path / "deep" / "p.toml", "deep/p.toml"):
        case = place.document(file)["cases"][0]
        assert (case["id"], case["file"], case["verdict"]) == ("one.py", "deep/one.py", "passed")


def test_the_memory_that_a_program_used_can_be_checked(place: Place) -> None:
    program = "x = bytearray({{size}} << 20)"
    place.write(
        f'[pipeline]\nname = "m"\n[generate]\ncode = "{program}"\n'
        '[execute]\n[[check]]\nmax_memory = "60M"\n'
        '[[case]]\nid = "small"\nsize = 1\n[[case]]\nid = "large"\nsize = 100\n'
    )
    ran = place.pipeline("run", "p.toml", "--concurrency", "1")
    lines = ran.text.splitlines()
    assert ran.code == 1, lines
    assert lines[0].startswith("PASS small ")
    assert lines[1].startswith("FAIL large check max_memory: used 1")


def test_a_pipeline_is_written_with_what_the_command_line_said_over_it(place: Place) -> None:
    place.write(
        '[pipeline]\nname = "p"\n[vars]\nwho = "you"\n[generate]\n'
        "code = '''\nprint(\"{{who}} 1\")\n'''\n[execute]\ntimeout = \"9s\"\n"
        '[[check]]\nstdout = { contains = "Ada" }\n'
    )
    assert place.pipeline("run", "--on", "local", "p.toml").code == 1
    written = place.pipeline(
        "show", "--toml", "p.toml", "--var", "who=Ada", "--set", "execute.timeout=8"
    )
    assert written.code == 0
    table = tomllib.loads(written.text)
    assert (table["execute"], table["vars"]) == ({"timeout": 8}, {"who": "Ada"})
    place.write(written.text, "new.toml")
    assert place.pipeline("run", "--on", "local", "new.toml").code == 0
    assert place.pipeline("show", "--toml", "p.toml", "--set", "execute.timeot=8").code == 2


def test_a_notebook_has_the_parameters_of_each_case(place: Place) -> None:
    cells = (("n, words = 1, ()", "parameters"), "print(n + 1, *words)")
    place.write(document(cells), "n.ipynb")
    place.write("print(2)", "p.py")
    place.write(
        '[pipeline]\nname = "p"\n[generate]\nfiles = ["n.ipynb"]\n[matrix]\nn = [1, 20]\n'
        '[execute]\nparameters = { n = "{{n}}", words = ["a"] }\n'
        '[[check]]\nstdout = { matches = "^(2|21) a" }\n'
    )
    assert place.pipeline("run", "p.toml").code == 0
    ran = place.pipeline("run", "p.toml", "--set", "execute.parameters.m=3")
    assert (ran.code, ran.text.count("the notebook has no parameter 'm'")) == (1, 2)
    ran = place.pipeline("run", "p.toml", "--set", "generate.files.0=p.py")
    assert (ran.code, ran.text.count("p.py is no notebook: it has no parameters")) == (1, 2)
