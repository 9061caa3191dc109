"""A program that is forked from a warm interpreter is what `python3 FILE` would have made of it."""

from __future__ import annotations

import gzip
import json
import re
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from e2brun.sandbox.contract import Program, SandboxSpec, Upload
from e2brun.sandbox.local.agent.programs import observing
from e2brun.sandbox.local.backend import LocalBackend
from e2brun.sandbox.local.blocking.sandbox import LocalSandbox
from e2brun.sandbox.local.isolation.forkserver import Forkserver
from tests.contract import looks_around, looks_at_start_and_end

_HUMANEVAL = Path(__file__).parents[3] / "shared" / "data" / "HumanEval.jsonl.gz"
# `env` becomes Python with the very environment it has: that is a start.
_FORKED, _STARTED = ("python3",), ("env", "python3")
_ARGUMENTS = ("p.py", "a", "b c")
_CHANCE = re.compile(rb"0x[0-9a-f]+|in [0-9.]+s")  # addresses; how long tests took
_PARTS = f"{looks_at_start_and_end.TEXT}{looks_around.TEXT}".split("\n## ")[1:]
LOOKS = {name: f"{code}\n" for name, _, code in (part.partition("\n") for part in _PARTS)}
Ended = tuple[str, int | None, int | None, bytes, bytes]


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBackend]:
    """One whose sandboxes are all forked."""
    if sys.version_info[:2] > (3, 13):
        pytest.skip("from this Python on, programs are started")
    cache = tmp_path_factory.mktemp("cache")
    forkserver = Forkserver()
    backend = LocalBackend(cache_directory=str(cache), driver=forkserver)
    yield backend
    backend.close()
    forkserver.close()


def _sandbox(backend: LocalBackend) -> LocalSandbox:
    return backend.create(SandboxSpec(cells=False))


def _run(
    sandbox: LocalSandbox,
    code: str,
    *argv: str,
    files: tuple[Upload, ...] = (),
    env: Mapping[str, str] = {},
) -> Ended:
    """How `argv` ended, where p.py has the code."""
    out, err = bytearray(), bytearray()
    own = Upload("p.py", code.encode("utf-8", "surrogateescape"))
    program = Program(argv or ("python3", "p.py"), (own, *files), env=env)
    ended = sandbox.run_program(program, timeout=60, stdout=out.extend, stderr=err.extend)
    return ended.outcome.value, ended.exit_code, ended.signal, bytes(out), bytes(err)


def _printed(backend: LocalBackend, code: str) -> str:
    """In a sandbox of its own."""
    sandbox = _sandbox(backend)
    outcome, _, _, out, err = _run(sandbox, code)
    sandbox.kill()
    assert outcome == "ok", err
    return out.decode().strip()


def _both(backend: LocalBackend, programs: dict[str, str]) -> Iterator[tuple[str, Ended, Ended]]:
    """How each ended, forked and started; each way one after the other in one sandbox."""

    def all_of(words: tuple[str, ...]) -> list[Ended]:
        sandbox = _sandbox(backend)
        more = (Upload("p.txt", b"x = 1\n"),)
        found = [_run(sandbox, c, *words, *_ARGUMENTS, files=more) for c in programs.values()]
        sandbox.kill()
        return found

    with ThreadPoolExecutor(2) as pool:
        forked, started = pool.map(all_of, (_FORKED, _STARTED))
    yield from zip(programs, forked, started, strict=True)


def _differences(backend: LocalBackend, programs: dict[str, str]) -> dict[str, tuple[Ended, Ended]]:
    def plain(ended: Ended) -> Ended:
        return *ended[:3], _CHANCE.sub(b"", ended[3]), _CHANCE.sub(b"", ended[4])

    found = _both(backend, programs)
    return {name: (one, two) for name, one, two in found if plain(one) != plain(two)}


def _seen(code: str) -> int:
    return observing.seen(compile(code, "p.py", "exec", dont_inherit=True))


@pytest.mark.in_turn(day=1)
@pytest.mark.filterwarnings("ignore")
def test_programs_that_look_see_what_they_see_after_a_start(backend: LocalBackend) -> None:
    assert len(LOOKS) == len(_PARTS) > 130
    started = [name for name, code in LOOKS.items() if _compiles(code) and _is_started(code)]
    left = started[1::8]  # of those that are started in both ways
    looks = {name: code for name, code in LOOKS.items() if name in left or name not in started}
    assert _differences(backend, looks) == {}


@pytest.mark.filterwarnings("ignore")
def test_most_of_them_are_not_started_for_it() -> None:
    compiled = [code for code in LOOKS.values() if _compiles(code)]
    forked = [code for code in compiled if not _is_started(code)]
    assert len(forked) >= 90


def _is_started(code: str) -> bool:
    return _seen(code) == observing.Seen.START


def _compiles(code: str) -> bool:
    try:
        compile(code, "p.py", "exec", dont_inherit=True)
    except SyntaxError:
        return False
    return True


@pytest.mark.skipif(not _HUMANEVAL.exists(), reason=f"no {_HUMANEVAL.name} in {_HUMANEVAL.parent}")
@pytest.mark.parametrize("step", [4, pytest.param(1, marks=pytest.mark.campaign)])
def test_humaneval_ends_as_after_a_start(backend: LocalBackend, step: int) -> None:
    programs: dict[str, str] = {}
    with gzip.open(_HUMANEVAL, "rt") as lines:
        for case in map(json.loads, lines):
            body = f"{case['prompt']}{case['canonical_solution']}\n{case['test']}\n"
            programs[case["task_id"]] = f"{body}check({case['entry_point']})\nprint('passed')\n"
    assert sum(_seen(code) == observing.Seen.NOTHING for code in programs.values()) > 140
    assert _differences(backend, dict([*programs.items()][::step])) == {}


# Each prints what depends on the hash seed.
_HASHES = (
    "print(hash('a'))",
    "print('a'.__hash__())",
    "print({'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'})",
    "print({str(i) for i in range(9)})",
    "print(set('abcdefghij'))",
    "print(frozenset('abcdefghij'))",
    "print([x for x in {'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'}])",
    "print({**dict.fromkeys('abcdefghij')}.keys() | dict.fromkeys('klmn').keys())",
    "print(dict.fromkeys('abcdefghij').keys() - 'a')",
    "print(getattr('a', '__ha' + 'sh__')())",
    "print(eval('ha' + 'sh(\"a\")'))",
    "exec('print(ha' + 'sh(\"a\"))')",
    "import builtins; print(vars(builtins)['ha' + 'sh']('a'))",
    "import operator; print(operator.methodcaller('__hash__')('a'))",
    "import sys; print(list(sys.stdlib_module_names))",
    "print('{0.stdlib_module_names}'.format(__import__('sys')))",
    "import os; print(os.environ and os.sys.modules['builtins'].hash('a'))",
    "import ctypes; print(ctypes.string_at(id('a') + 24, 8), hash('a'))",
    "import pickle; print(pickle.dumps(set('abcdefghij')))",
    "import other; print(other.seen)",
    "import functools; print(functools._make_key(('a', 'b'), {}, False).hashvalue)",
    "import typing; r = typing.ForwardRef('has' 'h(\"a\")'); "
    "print(r._evaluate({}, {}, recursive_guard=frozenset()))",
    "import hashlib; print(list(hashlib.algorithms_available))",
    "import random; random.seed('x'); print(hash('b'))",
)


@pytest.mark.parametrize("code", _HASHES)
def test_no_hash_of_one_run_is_another_s(backend: LocalBackend, code: str) -> None:
    other = (Upload("other.py", b"seen = hash('a')\n"),)
    seen: set[bytes] = set()
    for _ in range(2):
        sandbox = _sandbox(backend)
        outcome, _, _, out, err = _run(sandbox, code, files=other)
        sandbox.kill()
        assert outcome == "ok", err
        seen.add(out)
    assert len(seen) == 2


def test_the_seed_is_shared_by_those_alone_that_hide_that_they_look(backend: LocalBackend) -> None:
    """It shows that they are forked as well."""
    hidden = "def f(): pass\nprint('{0._H_}'.replace('H', '_hash_').format(f).partition(' at ')[2])"
    assert _seen(hidden) != observing.Seen.START
    assert _printed(backend, hidden) == _printed(backend, hidden)


def test_nothing_of_one_run_is_there_in_the_next(backend: LocalBackend) -> None:
    leave = """
import math, random, re, sys, typing
math.pi = 4; typing.List = int; re.compile("left"); random.seed(1)
sys.setrecursionlimit(77); sys.argv.append("left"); sys.path.append("left")
open("left", "w").close()
print("left")
"""
    look = """
import math, os, re, sys, typing
print(math.pi, typing.List, sys.getrecursionlimit(), sys.argv)
print("left" in sys.path, sorted(os.listdir()))
"""
    before = _printed(backend, look)
    assert _printed(backend, leave) == "left"
    assert _printed(backend, look) == before
    assert before == "3.141592653589793 typing.List 1000 ['p.py']\nFalse ['.local', 'p.py']"


def test_each_run_has_random_numbers_of_its_own(backend: LocalBackend) -> None:
    code = "import random, statistics; print(random.random())"
    assert _seen(code) == observing.Seen.NOTHING
    assert len({_printed(backend, code) for _ in range(4)}) == 4


@pytest.mark.parametrize(
    ("argv", "env", "printed"),
    [
        (("python3", "-O", "p.py"), {}, "1 False"),
        (("python3", "-X", "dev", "p.py"), {}, "0 True"),
        (("python3", "p.py"), {"PYTHONOPTIMIZE": "2"}, "2 False"),
        (("python3", "p.py"), {"PYTHONDEVMODE": "1"}, "0 True"),
        (("python", "p.py"), {}, "0 False"),
        (("python3", "./p.py"), {}, "0 False"),
        (("python3", "-c", "import p"), {}, "0 False"),
        (("python3", "-m", "p"), {}, "0 False"),
        (("python3", "-"), {}, ""),
    ],
)
def test_what_asks_for_another_interpreter_gets_it(
    backend: LocalBackend, argv: tuple[str, ...], env: dict[str, str], printed: str
) -> None:
    sandbox = _sandbox(backend)
    code = "import sys; print(sys.flags.optimize, sys.flags.dev_mode)"
    outcome, _, _, out, _ = _run(sandbox, code, *argv, env=env)
    sandbox.kill()
    assert (outcome, out.decode().strip()) == ("ok", printed)


def test_what_the_user_has_put_in_the_way_of_a_start_is_found(backend: LocalBackend) -> None:
    site = f".local/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    cases = {
        "a module beside it": (Upload("string.py", b"digits = 'mine'\n"), "mine"),
        "a usercustomize": (
            Upload(f"{site}/usercustomize.py", b"import string; string.digits = 'own'\n"),
            "own",
        ),
        "a .pth file": (Upload(f"{site}/x.pth", b"import string; string.digits = 'pth'\n"), "pth"),
        "a python3": (
            Upload(".local/bin/python3", b"#!/bin/sh\necho another\n", executable=True),
            "another",
        ),
    }
    for name, (upload, printed) in cases.items():
        sandbox = _sandbox(backend)
        ended = _run(sandbox, "import string; print(string.digits)", files=(upload,))
        sandbox.kill()
        assert (name, ended[3].decode().strip()) == (name, printed)


def test_a_file_that_is_no_plain_source_is_run_as_python_runs_it(backend: LocalBackend) -> None:
    import io
    import zipfile

    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("__main__.py", "print('zipped')\n")
    cases = {
        "p.zip": archive.getvalue(),
        "latin.py": b"# coding: latin-1\nprint(ascii('\xe4'))\n",
        "mark.py": b"\xef\xbb\xbfprint(1)\n",
        "nul.py": b"print(1)\0\n",
        "cr.py": b"print(1)\rprint(2)\r\n",
        "\xe4.py": b"print(__file__)\n",
        f"{'n' * 200}.py": b"print(__file__[-9:])\n",
        "no newline.py": b"print(__file__)",
        "sub/p.py": b"import sys; print(sys.path[0], __file__)\n",
        "../user/p.py": b"import sys; print(sys.path[0], __file__)\n",
    }
    sandbox = _sandbox(backend)
    for name, content in cases.items():
        more = (Upload(name, content),)
        forked = _run(sandbox, "", *_FORKED, name, files=more)
        assert (name, forked) == (name, _run(sandbox, "", *_STARTED, name, files=more))
    sandbox.kill()
