"""What this machine reads of a stranger's work takes time by its length, and not by its square.

A moment is allowed for anything; what takes longer is tried at a quarter of its size as well.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

import pytest

from e2brun.errors import E2brunError
from e2brun.jobs import requirements
from e2brun.jobs.needs import missing_imports
from e2brun.jobs.notebook import read_notebook
from e2brun.jobs.source import Kind, Source
from e2brun.jobs.wanted import wanted
from e2brun.stages import template
from e2brun.stages.check.difference import difference
from e2brun.stages.check.junit import read_report
from e2brun.stages.check.numbers import numbers_in
from e2brun.stages.check.values import find_problems, problems
from e2brun.stages.child import python_main
from e2brun.stages.generate.prompted import extract_code, fence_for
from e2brun.stages.validate import compiling
from e2brun.stages.validate.compiling import is_simple, problem
from e2brun.stages.validate.inspection import Policy, inspect
from tests.parity.notebooks import document
from tests.waiting import until

_MOMENT = 1.0  # seconds of a processor; what was found here took 5 to 60
_Read = Callable[[str], object]


def _seconds(read: _Read, text: str) -> float:
    """Of a processor, in this process and in those it starts."""
    began = _spent()
    with suppress(E2brunError, ValueError, SyntaxError):  # an answer as well
        read(text)
    return _spent() - began


def _spent() -> float:
    return sum(os.times()[:4])


def _grows_with_its_length(read: _Read, make: Callable[[int], str], size: int) -> None:
    longer = make(4 * size)
    large = _seconds(read, longer)
    if large >= _MOMENT:
        once = make(size)
        small = min(_seconds(read, once) for _ in range(2))
        large = min(large, _seconds(read, longer))
        assert large < max(_MOMENT, 8 * small), (small, large)


def _metadata(lines: str) -> str:
    commented = "".join(f"# {line}\n" for line in lines.split("\n"))
    return f"# /// script\n{commented}# ///\n"


_METADATA: dict[str, Callable[[int], str]] = {
    "openings": lambda n: "# /// script\n" * n,
    "openings and closings": lambda n: "# /// script\n# ///\n" * n,
    "openings and comments": lambda n: "# /// script\n#\n" * n,
    "runs of comments": lambda n: "# /// script\n# x\n\n" * n,
    "dots in a key": lambda n: _metadata("a." * n + "b = 1"),
    "keys of a deep table": lambda n: _metadata(f"[{'a.' * (n // 40)}b]\n" + "c = 1\n" * (n // 2)),
    "requirements": lambda n: _metadata("dependencies = [\n" + '"a",\n' * n + "]"),
    "wrong requirements": lambda n: _metadata("dependencies = [\n" + '"-a",\n' * n + "]"),
    "brackets": lambda n: _metadata("x = " + "[" * n),
    "digits": lambda n: _metadata("x = " + "9" * n),
    "one long requirement": lambda n: _metadata(f'dependencies = ["{"a://" * n}"]'),
}


_IMPORTS: dict[str, Callable[[int], str]] = {
    "many": lambda n: "\n".join(f"import a{i}" for i in range(n // 10)),
    "one long name": lambda n: "import azure." + ".".join("a" * (n // 2)),
    "braces in a string": lambda n: 'x = f"' + "{a}" * n + '"',
    "brackets": lambda n: "(" * n,
    "operators": lambda n: "-" * n + "1",
    "magics": lambda n: " \n" * n + "%x\n!",
    "blanks": lambda n: "!\n" + " " * n,
}


@pytest.mark.parametrize("construct", _IMPORTS)
def test_imports_are_found_in_bounded_time(construct: str) -> None:
    source = _IMPORTS[construct](20_000)
    took = _seconds(lambda text: missing_imports(text, python_version=(3, 12)), source)
    assert took < 40  # a process of its own is given 5 seconds of a processor


@pytest.mark.in_turn(day=1)
def test_a_long_source_is_not_parsed_in_this_process() -> None:
    names = "\n".join(f"import p{number}  # {'x' * 60}" for number in range(3000))
    found = missing_imports(names, python_version=(3, 12))
    assert len(found) == 3000
    # A hundred bytes of memory for each of the source: more than that process may have.
    assert missing_imports("import a\n" + "[]," * 8_000_000, python_version=(3, 12)) == ()


@pytest.mark.parametrize(("encoding", "mark"), [("punycode", "-"), ("idna", ".xn--")])
def test_an_encoding_is_not_read_by_the_square_of_its_length(encoding: str, mark: str) -> None:
    code = f"# coding: {encoding}\n{'a' * 100_000}{mark}{'b' * 100_000}".encode()
    source = Source("x.py", code, Kind.PYTHON, Path("x.py"))
    assert _seconds(lambda _: source.text(), "") < _MOMENT  # or 3


_JOB = b'{"allow": null, "deny": [], "file": ""}\n'


@pytest.mark.parametrize(
    ("words", "job", "seconds"),
    [
        (python_main("e2brun.jobs.parsing"), b"imported text\n", 5),
        (python_main("e2brun.stages.check.values"), b'["1", null, {}]', 15),
        (python_main("e2brun.stages.validate.inspection"), _JOB, 15),
        ((sys.executable, "-I", "-S", compiling.__file__), b"", 15),
    ],
    ids=["imports", "values", "inspection", "compiling"],
)
def test_who_reads_a_stranger_s_work_has_limits_of_its_own(
    words: tuple[str, ...], job: bytes, seconds: int
) -> None:
    """Each of them would do, and none is to be missed for it."""
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        limits = Path(f"/proc/{process.pid}/limits")
        both = re.compile(rf"cpu time +{seconds} +{seconds} .*address space +1073741824 ", re.S)
        until(lambda: both.search(limits.read_text()))
        process.communicate(job)


_CELLS: dict[str, Callable[[int], str]] = {
    "installations": lambda n: "%pip install a\n" * n,
    "one word": lambda n: "%pip install " + "a" * n,
    "quotes": lambda n: "%pip install " + "'a'" * n,
    "flags": lambda n: "%pip install " + "-q " * n,
    "blanks": lambda n: " " * n + "!pip",
    "lines": lambda n: "%config x\n" + "\n" * n,
    "a name": lambda n: "%config x\nimport " + ".".join("a" * n),
}

_WANTS: dict[str, Callable[[int], str]] = {
    "commands": lambda n: "-m " * n + "pip",
    "an open command": lambda n: "-m" + " " * n,
    "programs": lambda n: "!" + "a/" * n + "python -m pip install x",
    "imports": lambda n: "import numpy, " + "import " * n,
    "calls": lambda n: "__import__(" * n,
    "shells": lambda n: "%%bash\n" + "pip install x\n" * n,
}


_ANSWERS: dict[str, Callable[[int], str]] = {
    "fences": lambda n: "```\n" * n,
    "ticks": lambda n: "`" * n,
    "ticks and tildes": lambda n: "```" + "~`" * n,
    "indented ticks": lambda n: (" " * 12 + "``") * n,
    "blanks": lambda n: "```\n" + " " * n,
    "words": lambda n: "```" + "a " * n,
    "open fence": lambda n: "```python\n" + "x\n" * n,
}


_SOURCES: dict[str, Callable[[int], str]] = {
    "a chain of names": lambda n: "".join(f"a{i} = a{i + 1}\n" for i in range(n)),
    "a chain backwards": lambda n: "import os\na0 = os\n" + "".join(
        f"a{i + 1} = a{i} or a{i}.x\n" for i in range(n)
    ),
    "many meanings": lambda n: "import os\n" + "".join(f"a = os.p{i}\na\n" for i in range(n)),
    "names of itself": lambda n: "import os\na = os\n" + "a = a.b\n" * n + "a.system\n" * n,
    "formats": lambda n: "'{" + "_" * n + "'\n" + "'" + "{_" * n + "'\n",
    "sums of texts": lambda n: ("getattr(a, " + "'b' + " * 80 + "'c')\n") * (n // 80),
    "brackets": lambda n: "(" * n,
}  # fmt: skip


_REPORTS: dict[str, Callable[[int], str]] = {
    "cases": lambda n: f"<a>{'<testcase/>' * (n // 10)}</a>",
    "attributes": lambda n: "<a " + " ".join(f"a{i}=''" for i in range(n)) + "/>",
    "failures": lambda n: f"<a>{'<testcase><failure/></testcase>' * (n // 10)}</a>",
    "text in pieces": lambda n: f"<a><testcase><failure>{'x<b/>' * n}</failure></testcase></a>",
    "entities": lambda n: f"<a><testcase><failure>{'&lt;' * n}</failure></testcase></a>",
    "one message": lambda n: f'<a><testcase><failure message="{"x" * n}"/></testcase></a>',
    "an open comment": lambda n: f"<a><!--{'x' * n}",
    "instructions": lambda n: "<?a " * n,
    "depth": lambda n: "<a>" * n,
}  # fmt: skip


_OUTPUTS: dict[str, Callable[[int], str]] = {
    "lines": lambda n: "a\n" * n,
    "other lines": lambda n: "\n".join(map(str, range(n))),
    "two kinds of lines": lambda n: "a\nb\n" * n + "x",
    "one line": lambda n: "x" * n,
    "digits": lambda n: "1" * n,
    "numbers with dots": lambda n: "1." * n,
    "long numbers": lambda n: f" {'1' * 400}.{'1' * 400}x" * (n // 800),
    "signs": lambda n: "-" * n,
}


def _nested(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


@pytest.mark.anyio
async def test_a_path_into_deep_json_ends() -> None:
    began = time.perf_counter()
    found = await problems(_nested(90), None, {"$..a..a..a..a": 1}, seconds=1.0)
    assert found == ["checking it took longer than 1 s"]
    assert time.perf_counter() - began < 30


@pytest.mark.parametrize("number", ["1" + "0" * 400, "1e999", "-1e999", "1" + "0" * 4299])
@pytest.mark.parametrize("schema", [{"multipleOf": 0.5}, {"multipleOf": 3}, {"maximum": 1.5}])
def test_a_number_that_is_too_large_is_a_finding(number: str, schema: dict[str, object]) -> None:
    assert find_problems(number, schema, {"$": 1.0})


_PLACES: dict[str, Callable[[int], str]] = {
    "blanks": lambda n: "{{a" + " " * n + "x",
    "braces": lambda n: "{{" * n,
    "a name": lambda n: "{{" + "a" * n,
}


def _inspected(text: str) -> object:
    source = text.encode()
    if not is_simple(source):
        return None  # a process of its own has limits
    return problem(source, True), inspect(source, Policy(), "candidate.py")


def _compared(text: str) -> object:
    difference(text, text[::-1])
    difference(text + "a", text + "b")
    return numbers_in(text)


def _notebook(source: str) -> object:
    return read_notebook(document([source]).encode(), "n.ipynb")


def _requirements(text: str) -> object:
    with NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(text)
        file.flush()
        return requirements.requirements_from_file(Path(file.name))


_COMMENT = {"a comment": lambda n: "a" + " " * n + "b"}
_READ: dict[str, tuple[_Read, dict[str, Callable[[int], str]], int]] = {
    "metadata": (requirements.inline_metadata, _METADATA, 4000),
    "a requirements file": (_requirements, _COMMENT, 20_000),
    "a notebook": (_notebook, _CELLS, 10_000),
    "what a cell wants": (lambda text: wanted([text], cells=True), _CELLS | _WANTS, 5000),
    "code in an answer": (extract_code, _ANSWERS, 50_000),
    "fences": (fence_for, _ANSWERS, 50_000),
    "a candidate": (_inspected, _SOURCES, 700),
    "a report of tests": (lambda text: read_report(text.encode()), _REPORTS, 50_000),
    "output": (_compared, _OUTPUTS, 100_000),
    "variables": (template.placeholders, _PLACES, 20_000),
}


@pytest.mark.parametrize(
    ("what", "construct"), [(what, name) for what, (_, table, _) in _READ.items() for name in table]
)
def test_it_is_read_in_linear_time(what: str, construct: str) -> None:
    read, table, size = _READ[what]
    _grows_with_its_length(read, table[construct], size)


def test_of_a_failure_no_more_is_kept_than_anybody_reads() -> None:
    lines = "<a/>why it failed " * 100_000
    report = f'<testsuite><testcase name="x"><failure>{lines}</failure></testcase></testsuite>'
    (case,) = read_report(report.encode())
    assert len(case.text) <= 40_000
