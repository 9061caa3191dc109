"""Data sets as they are published: HumanEval, MBPP, EvalPlus."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest

from tests.batch.conftest import Place

HUMANEVAL = Path(__file__).parents[3] / "shared" / "data" / "HumanEval.jsonl.gz"


def _problems() -> list[dict[str, Any]]:
    """A few in HumanEval's format."""
    return [
        {
            "task_id": f"Own/{n}",
            "prompt": f'def add{n}(x):\n    """x and {n}."""\n',
            "canonical_solution": f"    return x + {n}\n",
            "test": f"def check(candidate):\n    assert candidate(1) == {n + 1}\n",
            "entry_point": f"add{n}",
        }
        for n in range(10)
    ]


def test_the_authors_own_solutions_all_pass(place: Place) -> None:
    lines = "".join(json.dumps(problem) + "\n" for problem in _problems())
    place.write("p.jsonl.gz", gzip.compress(lines.encode()))
    ran = place.batch("--format", "humaneval", "--jsonl", "p.jsonl.gz", "-o", "out.jsonl")
    assert (ran.code, "10 passed · pass@1 1 ·" in ran.err) == (0, True)
    assert all(result["completed"] for result in place.results().values())


def test_exactly_the_corrupted_ones_fail(place: Place) -> None:
    problems = _problems()
    corrupted = random.Random(1).sample(range(10), 3)
    ends = ("    return x\n", "    exit()\n", "    import os; os._exit(0)\n")
    for at, end in zip(corrupted, ends, strict=True):
        problems[at]["canonical_solution"] = end
    place.lines("p.jsonl", problems)
    ran = place.batch("--format", "humaneval", "--jsonl", "p.jsonl", "-o", "out.jsonl")
    failed = {name for name, verdict in place.verdicts().items() if verdict == "failed"}
    assert (ran.code, failed) == (1, {f"Own/{at}" for at in corrupted})
    assert "pass@1 0.7 ·" in ran.err


def test_whoever_leaves_before_the_tests_passes_only_where_that_is_asked_for(place: Place) -> None:
    problem = {**_problems()[0], "canonical_solution": "    return 0\nexit()\n"}
    place.lines("p.jsonl", [problem])
    assert place.batch("--format", "humaneval", "--jsonl", "p.jsonl").code == 1
    assert place.batch("--format", "humaneval", "--jsonl", "p.jsonl", "--no-completed").code == 0


def test_several_answers_to_a_task_give_pass_at_k(place: Place) -> None:
    place.lines("p.jsonl", _problems()[:2])
    right = [{"task_id": "Own/0", "completion": "    return x\n"} for _ in range(9)]
    right.append({"task_id": "Own/0", "completion": "    return x + 0\n"})
    wrong = [{"task_id": "Own/1", "solution": "def add1(x): return x + 1\n"} for _ in range(3)]
    wrong += [{"task_id": "Own/1", "completion": "    return 7\n"} for _ in range(7)]
    place.lines("s.jsonl", [*right, *wrong])
    words = ("--format", "humaneval", "--jsonl", "p.jsonl", "--samples", "s.jsonl")
    ran = place.batch(*words, "--json", "-o", "out.jsonl")
    document = json.loads(ran.out)
    assert document["estimates"]["pass@1"] == pytest.approx((1.0 + 0.3) / 2)
    assert document["estimates"]["pass@10"] == 1.0
    assert len(place.results()) == 20
    assert place.results()["Own/1#4"]["task_id"] == "Own/1"


def test_mbpp_has_its_assertions_in_a_list(place: Place) -> None:
    place.lines(
        "m.jsonl",
        [
            {"task_id": 1, "text": "t", "code": "def f(x): return x", "test_setup_code": "y = 3",
             "test_list": ["assert f(1) == 1", "assert f(y) == 3"]},
            {"task_id": 2, "prompt": "t", "code": "def f(x): return x",
             "test_imports": ["import math"],
             "test_list": ["assert f(1) == 1", "assert f(1) == math.pi"]},
            {"task_id": 3, "prompt": "t", "code": "def f(x): exit()", "test_list": ["f(1)"]},
        ],
    )  # fmt: skip
    place.batch("--format", "mbpp", "--jsonl", "m.jsonl", "-o", "out.jsonl")
    assert place.verdicts() == {"1": "passed", "2": "failed", "3": "failed"}


def test_evalplus_compares_with_the_authors_solution_where_there_is_no_test(place: Place) -> None:
    problem = {
        "prompt": "def f(x, y):\n",
        "canonical_solution": "    return {'s': [x / y, x], 'n': None}\n",
        "entry_point": "f",
        "base_input": [[1, 2], [3, 4]],
        "plus_input": [[1e9, 7]],
        "atol": 0,
    }
    solutions = {
        "same": "    return {'n': None, 's': (x * (1 / y), x)}\n",
        "other": "    return {'n': None, 's': [x / y + x * (x > 4), x]}\n",
        "leaves": "    raise SystemExit\n",
    }
    place.lines("e.jsonl", [{**problem, "task_id": name} for name in solutions])
    place.lines(
        "s.jsonl", [{"task_id": name, "completion": text} for name, text in solutions.items()]
    )
    words = ("--format", "evalplus", "--jsonl", "e.jsonl", "--samples", "s.jsonl")
    place.batch(*words, "-o", "out.jsonl")
    assert place.verdicts() == {"same#1": "passed", "other#1": "failed", "leaves#1": "failed"}


def test_evalplus_with_tests_is_joined_as_humaneval_or_as_a_script(place: Place) -> None:
    script = {"task_id": "Mbpp/2", "code": "def f(x): return x", "test": "assert f(1) == 1"}
    place.lines("e.jsonl", [_problems()[0], script])
    place.batch("--format", "evalplus", "--jsonl", "e.jsonl", "-o", "out.jsonl")
    assert set(place.verdicts().values()) == {"passed"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"entry_point": "x; import os"}, "no name of a function"),
        ({"test": None}, "the field 'test' is null, not text"),
        ({"prompt": 3}, "the field 'prompt' is a number, not text"),
    ],
)
def test_a_problem_that_is_none_is_told_with_its_line(
    place: Place, change: dict[str, object], said: str
) -> None:
    place.lines("p.jsonl", [_problems()[0], {**_problems()[1], **change}])
    ran = place.batch("--format", "humaneval", "--jsonl", "p.jsonl")
    assert ran.code == 2
    assert f"p.jsonl:2: {said}" in ran.err or (said in ran.err and "p.jsonl:2: " in ran.err)


def _answers(*tasks: str) -> list[dict[str, object]]:
    return [{"task_id": f"Own/{one}", "completion": f"    return x + {one}\n"} for one in tasks]


WORDS = ("--format", "humaneval", "--jsonl", "p.jsonl", "--samples", "s.jsonl")


def test_a_problem_that_comes_twice_is_told_with_its_line(place: Place) -> None:
    place.lines("p.jsonl", [*_problems()[:2], _problems()[0]])
    place.lines("s.jsonl", _answers("0"))
    ran = place.batch(*WORDS)
    assert ran.code == 2
    assert "p.jsonl:3: the id 'Own/0' stands in line 1 already" in ran.err


def test_bad_lines_among_problems_are_counted_with_those_among_answers(place: Place) -> None:
    for name, records in (("p.jsonl", _problems()[:2]), ("s.jsonl", _answers("0", "1"))):
        place.write(name, "{torn\n" + "".join(json.dumps(one) + "\n" for one in records))
    ran = place.batch(*WORDS, "--skip-bad")
    assert (ran.code, "2 passed · pass@1 1 ·" in ran.err) == (0, True)
    assert "2 lines that are no cases were left out; the first: p.jsonl:1: not JSON" in ran.err


def test_bad_lines_among_problems_are_no_answers(place: Place) -> None:
    place.write("p.jsonl", "{torn\n" + json.dumps(_problems()[0]) + "\n")
    place.write("s.jsonl", "")
    ran = place.batch(*WORDS, "--skip-bad")
    assert (ran.code, "s.jsonl: there are no cases in it" in ran.err) == (2, True)


def test_problems_without_an_answer_are_told(place: Place) -> None:
    place.lines("p.jsonl", _problems())
    place.lines("s.jsonl", _answers("0", "1", "1"))
    said = "8 of 10 problems have no answer: pass@k is of the others"
    assert said in place.batch(*WORDS).err
    place.lines("s.jsonl", _answers(*map(str, range(10))))
    assert "no answer" not in place.batch(*WORDS).err


def test_a_file_that_is_one_array_is_told_how_it_becomes_lines(place: Place) -> None:
    place.write("p.jsonl", json.dumps(_problems(), indent=2))
    ran = place.batch("--format", "humaneval", "--jsonl", "p.jsonl")
    assert (ran.code, "p.jsonl:1: an array, not a JSON object a line" in ran.err) == (2, True)
    assert "jq -c '.[]' makes lines of it" in ran.err


def test_problems_and_answers_do_not_both_come_from_standard_input(place: Place) -> None:
    words = ("--format", "humaneval", "--jsonl", "-", "--samples", "-")
    ran = place.batch(*words, stdin=b"{}\n")
    assert (ran.code, "--jsonl - and --samples -" in ran.err) == (2, True)


@pytest.mark.skipif(not HUMANEVAL.exists(), reason="HumanEval is not on this machine")
def test_humaneval_as_it_is_published_passes(place: Place) -> None:
    lines = gzip.decompress(HUMANEVAL.read_bytes()).splitlines(keepends=True)[:12]
    place.write("h.jsonl.gz", gzip.compress(b"".join(lines)))
    ran = place.batch("--format", "humaneval", "--jsonl", "h.jsonl.gz")
    assert (ran.code, "12 passed · pass@1 1 ·" in ran.err) == (0, True)
