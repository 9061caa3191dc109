from __future__ import annotations

import pytest

from e2brun.errors import UsageError
from e2brun.runs.record import Severity, Verdict
from e2brun.stages.validate.security import SecurityCheck
from tests.stages.taking import findings, judged

pytestmark = pytest.mark.anyio
OWN = SecurityCheck(bandit=False)


@pytest.mark.parametrize(
    ("code", "rule"),
    [
        ("import os\nos.system('x')", "shell"),
        ("import os as o\no.system('x')", "shell"),
        ("from os import system as s\ns('x')", "shell"),
        ("import os\nm = os\nn = m\nn.popen('x')", "shell"),
        ("from os import *\nsystem('x')", "shell"),
        ("import os\nlist(map(os.system, ['x']))", "shell"),
        ("import os\n(os if 1 else 2).system('x')", "shell"),
        ("import os\ngetattr(os, 'sys' + 'tem')('x')", "shell"),
        ("import os\ngetattr(os, 'metsys'[::-1])('x')", "shell"),
        ("import os\nvars(os)['system']('x')", "shell"),
        ("import os\nos.__dict__['system']('x')", "shell"),
        ("import sys\nsys.modules['os'].system('x')", "shell"),
        ("import random\nrandom._os.system('x')", "shell"),
        ("__import__('os').system('x')", "shell"),
        ("import importlib as i\ni.import_module('os').system('x')", "shell"),
        ("import subprocess\nsubprocess.run('x', shell=True)", "shell"),
        ("from subprocess import run as r\nr('x', shell=flag)", "shell"),
        ("import asyncio\nasyncio.create_subprocess_shell('x')", "shell"),
        ("import subprocess\nsubprocess.Popen(['x'])", "process"),
        ("__import__(name)", "dynamic-import"),
        ("import importlib\nimportlib.import_module(name)", "dynamic-import"),
        ("eval('1')", "dynamic-code"),
        ("e = eval\ne('1')", "dynamic-code"),
        ("import builtins\nbuiltins.exec('1')", "dynamic-code"),
        ("compile('1', '', 'eval')", "dynamic-code"),
        ("__builtins__['eval']('1')", "dynamic-code"),
        ("globals()['__builtins__']", "dunder"),
        ("().__class__.__base__.__subclasses__()", "dunder"),
        ("f.__globals__['os']", "dunder"),
        ("getattr(f, '__glo' + 'bals__')", "dunder"),
        ("getattr(f, '__anything__')", "dunder"),
        ("import operator\noperator.attrgetter('__class__.__base__')", "dunder"),
        ("'{0.__globals__}'.format(f)", "dunder"),
        ("def f(e): return e.__traceback__.tb_frame.f_globals", "dunder"),
        ("import ctypes", "denied-import"),
        ("from ctypes import CDLL", "denied-import"),
        ("__import__('ctypes')", "denied-import"),
        ("import pickle\npickle.loads(b'')", "unpickling"),
        ("import sys\nsys._getframe()", "frames"),
    ],
)
async def test_every_way_around_is_found(code: str, rule: str) -> None:
    record = await judged(OWN, code)
    assert record.verdict is Verdict.FAILED
    assert rule in {finding.rule for finding in record.findings}


@pytest.mark.parametrize(
    "code",
    [
        "print('os.system eval( __import__ subprocess')  # exec(",
        "import re\nre.compile('x')",
        "from re import compile\ncompile('x')",
        "class A:\n    def __init__(self):\n        super().__init__()\n        type(self).x",
        "import os\nos.path.join('a', os.environ['HOME'])",
        "import json\njson.loads('{}')",
        "def system(x): return x\nsystem(1)",
        "model.eval()\nq.exec()",
        "import subprocess as s\nprint(s.PIPE)",
        "if __name__ == '__main__':\n    print(__file__)",
        "getattr(x, 'name')",
        "print('{} {name}'.format(1, name=2))",
    ],
)
async def test_ordinary_code_passes(code: str) -> None:
    assert (await judged(OWN, code)).verdict is Verdict.PASSED


async def test_a_finding_tells_where_and_how_bad() -> None:
    (finding,) = await findings(OWN, "import os\n\nx = os.system('x')\n")
    assert (finding.line, finding.column, finding.severity) == (3, 5, Severity.HIGH)


async def test_findings_below_the_threshold_are_told_and_fail_nothing() -> None:
    record = await judged(SecurityCheck(Severity.HIGH, bandit=False), "eval('1')")
    assert record.verdict is Verdict.PASSED
    assert [f.severity for f in record.findings] == [Severity.MEDIUM]


async def test_a_rule_can_be_ignored_and_an_unknown_one_is_a_mistake() -> None:
    step = SecurityCheck(ignore=("dynamic-code",), bandit=False)
    assert (await judged(step, "eval('1')")).findings == ()
    with pytest.raises(UsageError, match=r"no rule 'dynamic-cod'.*dynamic-code"):
        SecurityCheck(ignore=("dynamic-cod",))


async def test_modules_can_be_denied_or_the_only_ones_allowed() -> None:
    deny = SecurityCheck(deny=("numpy",), bandit=False)
    assert (await judged(deny, "import numpy.linalg as n")).verdict is Verdict.FAILED
    assert (await judged(deny, "import numpyx")).verdict is Verdict.PASSED
    allow = SecurityCheck(allow=("math", "os.path"), bandit=False)
    assert (await judged(allow, "import math, os.path\nfrom os.path import join")).findings == ()
    assert (await judged(allow, "import json")).verdict is Verdict.FAILED


@pytest.mark.parametrize("code", ["def f(:", "a" + ".a" * 900, "-" * 900_000 + "1", "x\0"])
async def test_a_source_nobody_can_read_is_not_vouched_for(code: str) -> None:
    (finding,) = await findings(OWN, code)
    assert finding.rule == "unreadable"


async def test_a_deep_source_is_inspected_in_a_process_of_its_own() -> None:
    record = await judged(OWN, "x = " + "[" * 60 + "eval('1')" + "]" * 60)
    assert {f.rule for f in record.findings} == {"dynamic-code"}


@pytest.mark.parametrize("padding", ["", "x = " + "[" * 60 + "]" * 60 + "\n"])
async def test_bandit_is_asked_and_nosec_does_not_silence_it(padding: str) -> None:
    pytest.importorskip("bandit")
    code = padding + "import hashlib\nhashlib.md5(b'x')  # nosec\n"
    found = await findings(SecurityCheck(bandit=True), code)
    assert ("B324", Severity.HIGH) in {(f.rule, f.severity) for f in found}
