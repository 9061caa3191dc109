"""A program that left before its last line is told from one that came to its end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from e2brun.sandbox.contract import Backend, Execution, Sandbox, SandboxSpec
from tests.contract.backends import BACKENDS
from tests.contract.hearing import Heard, python, run


@pytest.fixture(params=sorted(BACKENDS), scope="module")
def sandbox(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sandbox]:
    with BACKENDS[request.param](tmp_path_factory.mktemp("backend")) as backend:
        kept: Backend = backend
        yield kept.create(SandboxSpec(lifetime=120))


def _watched(sandbox: Sandbox, code: str, *arguments: str) -> tuple[Execution, Heard]:
    return run(sandbox, python(code, *arguments).but(tells_end=True))


def test_a_program_that_came_to_its_last_line_has_completed(sandbox: Sandbox) -> None:
    execution, heard = _watched(sandbox, "def f(): return 1\nprint(f())\n")
    assert (execution.exit_code, execution.completed, heard.stdout) == (0, True, b"1\n")


def test_nothing_is_told_where_nobody_asked(sandbox: Sandbox) -> None:
    execution, _ = run(sandbox, python("pass"))
    assert (execution.exit_code, execution.completed) == (0, None)


EARLY = {
    "exit": "exit()",
    "SystemExit": "raise SystemExit",
    "SystemExit of a thread's making": "import threading, os\nt = threading.Thread("
    "target=os._exit, args=(0,)); t.start(); t.join()",
    "_exit": "import os; os._exit(0)",
    "atexit": "import atexit, os\natexit.register(os._exit, 0)\nraise AssertionError",
    "excepthook": "import os, sys\nsys.excepthook = lambda *_: os._exit(0)\nraise AssertionError",
    "exec": "import os; os.execvp('true', ['true'])",
    "junk at every descriptor": "import os\nfor n in range(3, 256):\n"
    "    try: os.write(n, b'1' * 32)\n    except OSError: pass\nos._exit(0)",
    "a child that goes on": "import os\nif os.fork(): os._exit(0)",
}


@pytest.mark.parametrize("name", EARLY)
def test_one_that_left_before_has_not_whatever_its_exit_code_says(
    sandbox: Sandbox, name: str
) -> None:
    execution, _ = _watched(sandbox, EARLY[name] + "\nprint('the end')\n")
    assert (execution.exit_code, execution.completed) == (0, False)


LOOKING = """
import sys, os
def described(frame):
    return {k: v for k, v in frame.f_globals.items() if k != "__builtins__"}
print(sys.argv, __name__, __file__, __doc__, __package__, __spec__, type(__loader__).__name__)
print(sorted(described(sys._getframe())), sys.path[0], sys.flags, os.getcwd())
print(sorted(name for name in sys.modules if name.startswith("e2brun")), os.get_inheritable(0))
"""


def test_the_program_sees_what_it_sees_otherwise(sandbox: Sandbox) -> None:
    _, watched = _watched(sandbox, LOOKING, "a", "b c")
    _, plain = run(sandbox, python(LOOKING, "a", "b c"))
    assert watched.stdout == plain.stdout
    assert watched.stdout.count(b"\n") == 3


@pytest.mark.parametrize(
    "code",
    [
        "def f():\n    1 / 0\nf()",
        "def",
        "try:\n    1 / 0\nexcept ArithmeticError as error:\n    raise ValueError(2) from error",
        "import sys; sys.exit('words')",
        "import sys; sys.exit(3)",
        "raise ExceptionGroup('many', [ValueError(1), TypeError(2)])",
    ],
)
def test_a_failure_is_told_as_python_tells_it(sandbox: Sandbox, code: str) -> None:
    watched, told = _watched(sandbox, code)
    plain, said = run(sandbox, python(code))
    assert (watched.exit_code, told.stderr) == (plain.exit_code, said.stderr)
    assert watched.completed is False


def test_the_secret_is_not_where_a_program_looks(sandbox: Sandbox) -> None:
    code = """
import gc, os, re, sys
found = set()
def look(text):
    found.update(re.findall(r"[0-9a-f]{32}", repr(text)))
frame = sys._getframe()
while frame:
    look(frame.f_locals); look(frame.f_code.co_consts); frame = frame.f_back
for thing in gc.get_objects():
    if type(thing) in (tuple, list, dict, set) or "iterator" in type(thing).__name__:
        look(gc.get_referents(thing))
look(sys.argv); look(dict(os.environ)); look(open("/proc/self/cmdline", "rb").read())
print(len(found))
"""
    execution, heard = _watched(sandbox, code)
    _, plain = run(sandbox, python(code))  # the environment may hold such numbers of its own
    assert (execution.completed, heard.stderr) == (True, b"")
    assert heard.stdout == plain.stdout != b""
