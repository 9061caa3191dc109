from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from e2brun.errors import UsageError
from e2brun.primitives.mock import create_test_context
from e2brun.runs.record import Verdict
from e2brun.stages.generate.cassette import Cassette, Question, Recorder, Replay
from e2brun.stages.generate.command import CommandGenerator
from e2brun.stages.work import Case, Work
from tests.stages.taking import take

pytestmark = pytest.mark.anyio


def _generator(count: Path, cassette: Cassette, prompt: str = "p {{v}}") -> CommandGenerator:
    program = f"open({str(count)!r}, 'a').write('x'); print(len(open({str(count)!r}).read()))"
    return CommandGenerator(
        command=(sys.executable, "-c", program), prompt=prompt, cassette=cassette
    )


async def _answer(step: CommandGenerator, case: str, value: int) -> Work:
    return await step.execute(Work(Case(case, {"v": value})), create_test_context())


async def test_what_was_recorded_is_replayed_and_nobody_is_asked(tmp_path: Path) -> None:
    count, file = tmp_path / "count", tmp_path / "cassette.jsonl"
    recording = _generator(count, Recorder(file))
    first = [(await _answer(recording, case, v)).code for case, v in (("a", 1), ("b", 2))]
    replaying = _generator(count, Replay(file))
    again = [(await _answer(replaying, case, v)).code for case, v in (("a", 1), ("b", 2))]
    assert first == again == ["1\n", "2\n"]
    assert count.read_text() == "xx"


async def test_equal_prompts_of_two_cases_get_each_its_own_answer(tmp_path: Path) -> None:
    count, file = tmp_path / "count", tmp_path / "cassette.jsonl"
    recording = _generator(count, Recorder(file))
    await _answer(recording, "a", 1)
    await _answer(recording, "b", 1)
    replaying = _generator(count, Replay(file))
    assert (await _answer(replaying, "b", 1)).code == "2\n"
    assert (await _answer(replaying, "c", 1)).code == "1\n"


async def test_a_prompt_that_is_not_there_is_infrastructure_and_says_so(tmp_path: Path) -> None:
    count, file = tmp_path / "count", tmp_path / "cassette.jsonl"
    await _answer(_generator(count, Recorder(file)), "a", 1)
    work = await _answer(_generator(count, Replay(file), prompt="other {{v}}"), "a", 1)
    assert work.steps[0].verdict is Verdict.INFRASTRUCTURE
    assert "no answer for case a, attempt 1: it was recorded with another prompt" in (
        work.steps[0].message
    )
    assert count.read_text() == "x"


def test_times_and_addresses_in_a_prompt_do_not_count() -> None:
    def key(prompt: str) -> str:
        return Question("g", prompt, "a", 1).key

    assert key("took 3.41 s, <f at 0x7f1234567890>") == key("took 0.9 s, <f at 0x7faaaaaaaaaa>")
    assert key("took 3.41 s") != key("took 3.41 m")


@pytest.mark.parametrize(
    "line",
    [
        "not json", "[]", '{"key": 1}', '{"key": "k", "text": "t"}', "[" * 100_000,
        '{"key": "k", "text": "t", "case": "a", "attempt": 1e999}',
        '{"key": "k", "text": "t", "case": "a", "attempt": 1, "tokens": {"input": 1e999}}',
    ],
)  # fmt: skip
async def test_a_file_that_is_no_recording_is_a_mistake_of_usage(tmp_path: Path, line: str) -> None:
    file = tmp_path / "cassette.jsonl"
    file.write_text("\n" + line)
    with pytest.raises(UsageError, match=r"cassette\.jsonl:2: this is no line of a recording"):
        Replay(file)


async def test_a_recording_holds_the_prompt_for_its_reader(tmp_path: Path) -> None:
    file = tmp_path / "cassette.jsonl"
    step = _generator(tmp_path / "count", Recorder(file))
    await take(step, variables={"v": "\udc80"})
    assert json.loads(file.read_text())["prompt"] == "p \udc80"


async def test_half_a_character_of_an_answer_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "cassette.jsonl"
    await _answer(_generator(tmp_path / "count", Recorder(file)), "a", 1)
    entry = json.loads(file.read_text())
    file.write_text(json.dumps({**entry, "text": "print('\ud800')"}))
    work = await _answer(_generator(tmp_path / "count", Replay(file)), "a", 1)
    assert work.content() == "print('\ufffd')\n".encode()
