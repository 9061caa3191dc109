"""Every pipeline in pipelines/ runs as it stands; and how long reading a large one takes."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.pipeline.conftest import Place

EXAMPLES = Path(__file__).parents[2] / "pipelines"
OFFLINE = ("hello", "batch", "benchmark")
OTHERS = {path.stem for path in EXAMPLES.glob("*.toml")} - {*OFFLINE}


@pytest.fixture
def examples(place: Place) -> Place:
    shutil.copytree(EXAMPLES, place.directory / "pipelines", ignore=lambda *_: ["output"])
    return place


@pytest.mark.parametrize("name", OFFLINE)
def test_the_example_runs_offline(examples: Place, name: str) -> None:
    ran = examples.pipeline("run", f"pipelines/{name}.toml")
    assert ran.code == 0, ran.text + ran.err
    assert all(line.startswith("PASS ") for line in ran.text.splitlines())


def test_refine_needs_its_attempts(examples: Place) -> None:
    document = examples.document("pipelines/refine.toml")
    assert document["exit_code"] == 0
    attempts = document["cases"][0]["attempts"]
    assert [attempt["verdict"] for attempt in attempts] == ["failed", "failed", "passed"]


def test_data_fetches_its_file(examples: Place) -> None:
    assert examples.pipeline("run", "pipelines/data.toml").code == 0
    found = list((examples.directory / "pipelines" / "output").rglob("output.json"))
    assert json.loads(found[0].read_text())["totals"]["Ada"] == 42


def test_validate_runs_without_its_tests_offline(examples: Place) -> None:
    file = examples.directory / "pipelines" / "validate.toml"
    file.write_text(file.read_text().replace("[[check]]\ntests", "[[check]]\nexit_code = 0 #"))
    ran = examples.pipeline("run", "pipelines/validate.toml")
    assert ran.code == 0, ran.text + ran.err


@pytest.mark.parametrize("name", sorted(OTHERS))
def test_every_other_example_is_valid(examples: Place, name: str) -> None:
    assert examples.pipeline("validate", f"pipelines/{name}.toml").code == 0


def test_a_thousand_cases_are_checked_in_a_moment(place: Place) -> None:
    cases = "".join(f'[[case]]\nid = "c{n}"\na = {n}\n' for n in range(1000))
    place.write('[pipeline]\nname = "k"\n[generate]\ncode = "print({{a}})"\n[execute]\n' + cases)
    took: list[float] = []
    for _ in range(3):
        before = os.times()
        assert place.pipeline("validate", "p.toml").text == "p.toml: ok, 1000 cases\n"
        after = os.times()
        took.append(sum(after[2:4]) - sum(before[2:4]))
    assert min(took) < 1  # of a processor; 0.3 where nothing else runs
