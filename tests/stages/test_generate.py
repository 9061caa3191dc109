from __future__ import annotations

import asyncio
import re
import sys
import time
from pathlib import Path

import pytest

from e2brun.errors import UsageError
from e2brun.primitives.mock import create_test_context
from e2brun.runs.record import AttemptRecord, ExecutionRecord, StepRecord, Verdict
from e2brun.stages.generate.at_hand import CodeGenerator, FilesGenerator
from e2brun.stages.generate.command import CommandGenerator
from e2brun.stages.generate.prompted import extract_code, refined
from e2brun.stages.work import Case, Work
from tests.stages.taking import take

pytestmark = pytest.mark.anyio
PYTHON = sys.executable


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("Here:\n```python\nprint(1)\n```\nDone.\n```\nno\n```", "print(1)\n"),
        ("```sh\npip install x\n```\n~~~py\nprint(2)\n~~~", "print(2)\n"),
        ("```\nprint(3)\n```", "print(3)\n"),
        ("print(4)\n", "print(4)\n"),
        ("````python\n'''\n```\n'''\n````", "'''\n```\n'''\n"),
        ("```python\nprint(5)", "print(5)\n"),
        ("1. So:\n   ```python\n   if 1:\n       pass\n   ```", "if 1:\n    pass\n"),
        ("```python\r\nprint(6)\r\n```\r\n", "print(6)\n"),
        ("  \n", ""),
        ("```python\n```", ""),
    ],
)
def test_the_first_block_of_python_is_the_answer(answer: str, code: str) -> None:
    assert extract_code(answer) == code


async def test_a_file_is_read_whatever_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "x.py"
    path.write_bytes(b"\xef\xbb\xbf# \xff\0\r\n")
    work = await FilesGenerator().execute(Work(Case("x", file=path)), create_test_context())
    assert work.content() == path.read_bytes()
    assert work.file == str(path)


async def test_a_file_that_is_not_there_is_a_mistake_of_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        await FilesGenerator().execute(
            Work(Case("x", file=tmp_path / "x.py")), create_test_context()
        )


async def test_inline_code_takes_the_variables_of_the_case() -> None:
    work = await take(CodeGenerator("print({{word!r}} * {{n}})"), variables={"word": "'", "n": 2})
    assert work.code == 'print("\'" * 2)'


async def test_a_command_gets_the_prompt_and_its_block_is_the_candidate() -> None:
    program = "import sys; print('Sure!\\n```python\\nx =', repr(sys.stdin.read()), '\\n```')"
    step = CommandGenerator(command=(PYTHON, "-c", program), prompt="add {{a}}")
    work = await take(step, variables={"a": 3})
    assert work.code == "x = 'add 3' \n"
    assert work.steps[0].verdict is Verdict.PASSED


async def test_a_command_in_one_text_is_split_but_meets_no_shell(tmp_path: Path) -> None:
    words = f"'; touch {tmp_path}/x' $HOME {{{{v}}}}"
    command = f"{PYTHON} -c 'import sys; print(sys.argv[1:])' {words}"
    step = CommandGenerator(command=command, prompt="p")
    work = await take(step, variables={"v": "a b; c"})
    assert work.code == f"['; touch {tmp_path}/x', '$HOME', 'a b; c']\n"
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("program", "message", "seconds"),
    [
        ("import sys; sys.stderr.write('no key'); sys.exit(3)", "exit code 3", 60),
        ("import os; os.kill(os.getpid(), 9)", "signal 9", 60),
        ("import time; time.sleep(60)", r"longer than 0\.5 s", 0.5),
        ("while True: print('x' * 100000)", "more than 4 MiB", 60),
    ],
)
async def test_a_command_that_fails_is_infrastructure(
    program: str, message: str, seconds: float
) -> None:
    step = CommandGenerator(command=(PYTHON, "-c", program), prompt="p", timeout=seconds)
    step_record = (await take(step)).steps[0]
    assert step_record.verdict is Verdict.INFRASTRUCTURE
    assert re.search(message, step_record.message)
    assert "no key" not in program or step_record.details == "no key"


async def test_a_command_that_is_not_there_is_a_mistake_of_usage() -> None:
    with pytest.raises(UsageError, match="no-such-llm: it cannot be started"):
        await take(CommandGenerator(command="no-such-llm -m x", prompt="p"))


async def test_an_answer_without_code_fails_the_attempt() -> None:
    step = CommandGenerator(command=(PYTHON, "-c", "print('```')"), prompt="p")
    assert (await take(step)).steps[0].verdict is Verdict.FAILED


async def test_cancellation_ends_the_command_and_what_it_started(tmp_path: Path) -> None:
    mark = tmp_path / "alive"
    child = f"import time\nwhile True: open({str(mark)!r}, 'a').write('x'); time.sleep(0.02)"
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    step = CommandGenerator(command=(PYTHON, "-c", program), prompt="p")
    task = asyncio.create_task(take(step))
    while not mark.exists():
        await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    size = mark.stat().st_size
    time.sleep(0.2)  # noqa: ASYNC251 - nothing else is to run meanwhile
    assert mark.stat().st_size == size


def _attempt(number: int, code: str, message: str, stdout: str = "") -> AttemptRecord:
    ran = ExecutionRecord("i0", "local", "ok", 0, stdout, "", 0.1)
    step = StepRecord("check", "stdout", Verdict.FAILED, 0.1, message, "-4\n+5", execution=ran)
    return AttemptRecord(number, code, (step,))


def test_a_later_prompt_holds_every_earlier_code_error_and_output() -> None:
    earlier = [
        _attempt(1, "print(5)", "wrong A", "out one"),
        _attempt(2, "print('```')", "wrong B"),
    ]
    prompt = refined("Print 4.", earlier, 100_000)
    for part in ("Print 4.", "print(5)", "wrong A", "-4\n+5", "out one", "wrong B"):
        assert part in prompt
    assert "````python\nprint('```')\n````" in prompt


def test_a_later_prompt_is_bounded() -> None:
    earlier = [_attempt(n, "x" * 10**6, "m" * 10**6, "o" * 10**6) for n in range(1, 6)]
    assert len(refined("p", earlier, 20_000)) < 30_000


async def test_a_generator_that_refines_is_given_it_all() -> None:
    echo = "import sys; print('~~~\\n' + sys.stdin.read() + '\\n~~~')"
    step = CommandGenerator(command=(PYTHON, "-c", echo), prompt="Print 4.")
    work = Work(Case("x"), attempt=2, earlier=(_attempt(1, "print(5)", "wrong"),))
    answered = await step.execute(work, create_test_context())
    assert "print(5)" in (answered.code or "")
