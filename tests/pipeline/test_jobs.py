"""A pipeline prepares its runs as `exec` does, and says so in the same words."""

from __future__ import annotations

import json

from tests.pipeline.conftest import Place

TEXT = '[pipeline]\nname = "p"\n[generate]\nfiles = ["c/prog.py"]\n[execute]\n'


def test_what_a_candidate_says_of_itself_fails_it(place: Place) -> None:
    sources = "# [tool.uv.sources]\n# a = { path = 'x' }\n"
    place.write(f"# /// script\n# dependencies = ['a']\n{sources}# ///\n", "c/prog.py")
    place.write(TEXT)
    (case,) = place.document("p.toml")["cases"]
    assert case["verdict"] == "failed"
    assert "takes a from a path" in case["attempts"][-1]["steps"][-1]["message"]


def test_arguments_that_are_too_long_are_a_mistake_of_the_pipeline(place: Place) -> None:
    place.write("print(1)", "c/prog.py")
    place.write(f'{TEXT}args = ["{"x" * 200_000}"]\n')
    ran = place.pipeline("run", "p.toml")
    assert ran.code == 2
    assert "p.toml:5: the arguments and variables are too long" in ran.err


def test_cells_that_install_are_told_of_what_to_do_as_exec_tells(place: Place) -> None:
    place.write("!pip install no-such-package", "c/prog.py")
    place.write(f"{TEXT}cell = true\n")
    ran = place.pipeline("run", "p.toml")
    assert "add --auto-install, --install or --requirements, or --network" in ran.err


# What a program can find out of where it runs, less what is of one sandbox alone.
_SEES = """
import json, os, re, resource
def lines(path):
    with open(path) as file:
        return file.read().splitlines()
print(json.dumps({
    # In any order: bubblewrap binds them all at once, in that of the kernel.
    "mounts": sorted(re.sub(r"(uid|gid)=\\d+", "", line) for line in lines("/proc/self/mounts")),
    "root": sorted(os.listdir("/")),
    "code": os.path.exists("/code"),
    "filters": [line for line in lines("/proc/self/status")
                if line.startswith(("Seccomp", "Cap", "NoNewPrivs", "Uid", "Gid", "Groups"))],
    "limits": {name: resource.getrlimit(getattr(resource, name))
               for name in dir(resource) if name.startswith("RLIMIT_")},
    "environment": {k: v for k, v in os.environ.items() if k != "E2B_SANDBOX_ID"},
    "descriptors": sorted(os.listdir("/proc/self/fd")),
    "home": sorted(os.listdir()),
}))
"""


def test_a_program_sees_the_same_in_the_first_case_the_last_one_and_exec(place: Place) -> None:
    place.write(_SEES, "c/prog.py")
    # The first are started by bubblewrap, others forked as soon as that is possible.
    cases = "".join(f'[[case]]\nid = "{number}"\n' for number in range(12))
    place.write(f"{TEXT}{cases}")
    seen = [
        step["execution"]["stdout"]
        for case in place.document("p.toml")["cases"]
        for step in case["attempts"][-1]["steps"]
        if step["execution"]
    ]
    assert len(seen) == 12
    alone = place.run("exec", "-q", "--on", "local", "c/prog.py").text
    assert {json.dumps(json.loads(text), sort_keys=True) for text in (*seen, alone)} == {
        json.dumps(json.loads(alone), sort_keys=True)
    }


def test_modules_beside_a_candidate_are_sent_where_that_is_asked_for(place: Place) -> None:
    place.write("import helper; print(helper.X)", "c/prog.py")
    place.write("X = 1", "c/helper.py")
    place.write(TEXT)
    (case,) = place.document("p.toml")["cases"]
    assert case["verdict"] == "failed"
    (ran,) = [step["execution"] for step in case["attempts"][-1]["steps"] if step["execution"]]
    assert "c/helper.py, or --with-imports." in ran["hint"]
    place.write(f"{TEXT}with_imports = true\n")
    (case,) = place.document("p.toml")["cases"]
    assert case["verdict"] == "passed"


def test_five_equal_cases_have_the_working_directory_they_asked_for(place: Place) -> None:
    place.write("import os; print(os.getcwd()); open('x', 'x')", "c/prog.py")
    cases = "".join(f'[[case]]\nid = "{number}"\n' for number in range(5))
    text = TEXT.replace(
        'files = ["c/prog.py"]', f'code = "{"import os; open(chr(120), chr(120))"}"'
    )
    place.write(f'{text}cwd = "/workspace/{{{{w}}}}"\n[vars]\nw = "y"\n{cases}')
    document = place.document("p.toml")
    assert [case["verdict"] for case in document["cases"]] == ["passed"] * 5
