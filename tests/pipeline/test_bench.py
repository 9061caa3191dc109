"""`e2brun bench`: which program is quicker, by how much, and whether both do the same."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

from tests.pipeline.conftest import Place

WORDS = ("--on", "local", "--repeats", "3", "--warm-up", "0")


def test_two_programs_are_compared_in_a_table_with_bars(place: Place) -> None:
    place.write("print(1)", "quick.py")
    place.write("import time\ntime.sleep(0.4)\nprint(1)", "slow.py")
    ran = place.run("bench", *WORDS, "quick.py", "slow.py")
    assert ran.code == 0
    assert "quick.py" in ran.text
    assert "█" in ran.text
    document = json.loads(place.run("bench", *WORDS, "--json", "quick.py", "slow.py").out)
    quick, slow = document["measurements"]
    assert (quick["ratio"], slow["output"]) == (1.0, "1\n")
    assert slow["ratio"] > 1.5


def test_what_a_project_file_loosens_is_said_once(place: Place) -> None:
    place.write("print(1)", "a.py")
    place.write('[tool.e2brun]\nmemory = "1G"\n', "pyproject.toml")
    said = [
        line for line in place.run("bench", *WORDS, "a.py").err.splitlines() if "raised" in line
    ]
    assert len(said) == 1
    assert said[0].endswith("pyproject.toml:2: memory raised to 1G")


def test_the_cases_of_a_pipeline_are_compared_and_a_failure_is_1(place: Place) -> None:
    place.write(
        '[pipeline]\nname = "b"\n[generate]\ncode = "print(1 / {{n}})"\n'
        '[[case]]\nid = "one"\nn = 1\n[[case]]\nid = "none"\nn = 0\n'
    )
    ran = place.run("bench", *WORDS, "p.toml")
    assert ran.code == 1
    assert "failed" in ran.text


def test_what_cannot_be_compared_is_a_mistake_of_usage(place: Place) -> None:
    place.write("", "a.txt")
    assert place.run("bench", "a.txt").code == 2
    assert place.run("bench", "none.py").code == 2


def test_a_comparison_is_written_as_every_report_asked_for(place: Place) -> None:
    place.write("print(1)", "a.py")
    place.write("print(2)", "b.py")
    reports = ("--report", "out.json", "--report", "junit:out.xml", "--report", "out.md")
    assert place.run("bench", *WORDS, *reports, "a.py", "b.py").code == 0
    document = json.loads((place.directory / "out.json").read_text())
    assert [case["id"] for case in document["cases"]] == ["a.py", "b.py"]
    assert "median" in document["cases"][0]["attempts"][0]["steps"][0]["message"]
    names = [case.get("name") for case in ET.parse(place.directory / "out.xml").iter("testcase")]
    assert names == ["a.py", "b.py"]
    assert "a.py" in (place.directory / "out.md").read_text().replace("\\", "")
    assert place.run("bench", "--report", "out.what", "a.py").code == 2


def test_a_comparison_that_cannot_be_is_one_json_document_too(place: Place) -> None:
    ran = place.run("bench", "--json", "nowhere.py")
    document = json.loads(ran.out)
    assert (ran.code, document["exit_code"], document["success"]) == (2, 2, False)
    assert document["error"]["value"].startswith("nowhere.py: ")
    place.write("1", "a.py")
    ran = place.run("bench", "--json", *WORDS, "--report", "markdown:/dev/full", "a.py")
    assert (ran.code, ran.out.count(b"\n")) == (125, 1)
    assert "/dev/full: it cannot be written" in ran.err
