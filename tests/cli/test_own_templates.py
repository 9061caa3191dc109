"""Templates that a service has built, in sandboxes of this machine without one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Ran, Run, clean_environment
from tests.sdk.serving import served

Script = Callable[..., Path]
_BUILD = """
from e2b import Template
def build(name, more):
    Template.build(more(Template().from_template("base").skip_cache()), name)
build("mine", lambda template: template
    .run_cmd("echo from-the-template > kept.txt; ln -s kept.txt link; chmod 600 kept.txt")
    .run_cmd("mkdir /data; cp /home/user/kept.txt /data", user="root")
    .set_envs({"COLOUR": "blue", "SHAPE": "round"})
    .set_start_cmd("python3 -m http.server 8123 --directory /home/user",
                   "curl -sf localhost:8123/kept.txt"))
build("large", lambda template: template.run_cmd("head -c 40M /dev/urandom > large"))
build("never", lambda template: template.run_cmd("true"))
"""
_ASK = """
import os, urllib.request
for path in ("link", "/data/kept.txt"):
    print(open(path).read().strip(), os.environ["COLOUR"], os.environ["SHAPE"])
print(urllib.request.urlopen("http://localhost:8123/kept.txt").read().decode().strip())
"""
_TOLD = 2 * "from-the-template blue red\n" + "from-the-template\n"


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state directory of a service that is gone."""
    directory = tmp_path_factory.mktemp("own")
    there = directory / "state"
    with served(directory, "--template", "base", "--state", str(there)) as serving:
        words = [sys.executable, "-c", _BUILD]
        subprocess.run(words, check=True, env=clean_environment(serving.environment))
    return there


@pytest.fixture
def run(e2brun: Run, state: Path) -> Run:
    """`e2brun`, which looks there for templates."""

    def run_(*words: str | Path, env: dict[str, str] | None = None) -> Ran:
        return e2brun(*words, env={"E2BRUN_SERVE_STATE": str(state), **(env or {})})

    return run_


@pytest.mark.parametrize("how", [[], ["--cell"]])
def test_exec_finds_the_files_the_environment_and_what_was_started(
    run: Run, script: Script, how: list[str]
) -> None:
    own = ("--template", "mine", "--env", "SHAPE=red")
    ran = run("exec", "--on", "local", *own, *how, script(_ASK))
    assert (ran.code, ran.text) == (0, _TOLD), ran.err


def test_a_directory_to_start_in_is_there_beside_its_files(run: Run, script: Script) -> None:
    program = script("import os; print(os.getcwd(), os.path.exists('../kept.txt'))")
    ran = run("exec", "--on", "local", "--template", "mine", "--cwd", "work", program)
    assert (ran.code, ran.text) == (0, "/home/user/work True\n"), ran.err


def test_every_case_of_a_pipeline_has_a_template_of_its_own(run: Run, tmp_path: Path) -> None:
    for number in range(3):
        more = f"open('kept.txt', 'a').write('case {number}'); print(open('kept.txt').read())"
        (tmp_path / f"case{number}.py").write_text(f"{_ASK}{more}")
    (tmp_path / "own.toml").write_text(
        '[pipeline]\nname = "own"\n[sandbox]\ntemplate = "mine:default"\nenv = { SHAPE = "red" }\n'
        '[generate]\nfiles = ["case*.py"]\n[execute]\n[[check]]\n'
        'stdout = { contains = "blue red", matches = "(?s)from-the-template\\ncase .$" }\n'
    )
    ran = run("pipeline", "run", "--on", "local", "--json", tmp_path / "own.toml")
    assert ran.code == 0, ran.text + ran.err


def test_a_sandbox_that_stays_is_made_of_one(run: Run, runtime: Path) -> None:
    env = {"XDG_RUNTIME_DIR": str(runtime)}
    made = run("sandbox", "create", "--on", "local", "--template", "mine", env=env)
    assert made.code == 0, made.err
    told = "cat link; curl -sf localhost:8123/kept.txt"
    ran = run("sandbox", "exec", made.text.strip(), "--", "sh", "-c", told, env=env)
    assert ran.text == "from-the-template\nfrom-the-template\n"
    refused = run("sandbox", "create", "--on", "local", "--template", "mime", env=env)
    assert refused.code != 0
    assert "mime" in refused.err
    assert run("sandbox", "kill", made.text.strip(), env=env).code == 0


def test_a_name_that_is_not_there_is_told_with_those_that_are(run: Run, script: Script) -> None:
    ran = run("exec", "--on", "local", "--template", "mime", "--json", script("print(1)"))
    assert ran.code == 2
    said = json.loads(ran.text)["error"]["value"]
    assert said.startswith("there is no template 'mime' here: there are base, code-interpreter-v1")
    assert "mine" in said


def test_a_pipeline_tells_it_with_its_line_before_anything_runs(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("print(1)")
    file = tmp_path / "own.toml"
    file.write_text(
        '[pipeline]\nname = "own"\n[generate]\nfiles = ["a.py"]\n[execute]\ntemplate = "mime"\n'
    )
    ran = run("pipeline", "run", "--on", "local", file)
    assert (ran.code, ran.text) == (2, "")
    assert ran.err.startswith(f"{file}:6: there is no template 'mime' here: there are base, ")


def test_files_larger_than_the_disk_are_told_as_that(run: Run, script: Script) -> None:
    words = ("exec", "--on", "local", "--template", "large", script("print(1)"))
    small = run(*words[:-1], "--disk", "20M", words[-1])
    assert small.code == 125
    assert "template large: its files do not get into the sandbox: No space left" in small.err
    assert run(*words).text == "1\n"


@pytest.mark.parametrize(
    "damage", [b"", (20).to_bytes(4, "big") + b'{"kind": "unheard"}!', os.urandom(5000)]
)
def test_a_damaged_file_of_files_ends_in_one_line(
    run: Run, script: Script, state: Path, damage: bytes
) -> None:
    index = json.loads((state / "templates" / "index.json").read_text())
    (never,) = (one for one in index.values() if one["name"] == "never")
    (built,) = never["builds"].values()
    (state / "templates" / built["made"]["tree"]).write_bytes(damage)
    ran = run("exec", "--on", "local", "--template", "never", script("print(1)"))
    assert ran.code == 125
    assert "template never: its files do not get into the sandbox" in ran.err
    assert "Traceback" not in ran.err
