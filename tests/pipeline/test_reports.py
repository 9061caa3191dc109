"""Reports as their readers read them."""

from __future__ import annotations

import json
import os
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from tests.pipeline.conftest import Place

TEXT = """\
[pipeline]
name = "reports"
[generate]
files = ["c/*.py"]
[[validate]]
use = "security"
bandit = false
[execute]
timeout = 10
"""
FILES = {
    "c/bad.py": "import os\n\nos.system('true')\n",
    "c/good.py": "print('fine')\n",
    "c/raises.py": "print('\\0\\x1b]]>&<x>')\nraise ValueError('::error::x')\n",
}


@pytest.fixture
def reported(place: Place) -> Place:
    for name, text in FILES.items():
        place.write(text, name)
    place.write(TEXT)
    names = ("r.xml", "r.sarif", "r.json", "r.md", "github:r.txt")
    words = [word for name in names for word in ("--report", name)]
    summary = str(place.directory / "summary")
    ran = place.pipeline("run", "p.toml", *words, env={"GITHUB_STEP_SUMMARY": summary})
    assert ran.code == 1
    assert not (place.directory / "summary").exists()  # no GITHUB_ACTIONS, no summary
    return place


def _read(place: Place, name: str) -> str:
    return (place.directory / name).read_text()


def test_junit_has_a_testcase_for_each_case(reported: Place) -> None:
    root = ET.fromstring(_read(reported, "r.xml"))
    suite = root.find("testsuite")
    assert root.tag == "testsuites"
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "2", "0")
    cases = {case.get("name"): case for case in suite.iter("testcase")}
    assert set(cases) == set(FILES)
    failure = cases["c/raises.py"].find("failure")
    assert failure is not None
    assert "ValueError" in (failure.get("message") or "")
    assert "<x>" in "".join(cases["c/raises.py"].itertext())
    assert cases["c/good.py"].find("failure") is None


def test_sarif_has_what_code_scanning_needs(reported: Place) -> None:
    document: dict[str, Any] = json.loads(_read(reported, "r.sarif"))
    assert document["version"] == "2.1.0"
    run = document["runs"][0]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert run["tool"]["driver"]["name"] == "e2brun"
    assert run["results"]
    for result in run["results"]:
        assert result["ruleId"] in rules
        assert result["level"] in {"none", "note", "warning", "error"}
        assert result["message"]["text"]
        place = result["locations"][0]["physicalLocation"]
        assert place["artifactLocation"]["uri"] == "c/bad.py"
        assert place["region"]["startLine"] >= 1


def test_annotations_stand_at_the_users_file_and_line(reported: Place) -> None:
    lines = _read(reported, "r.txt").splitlines()
    assert any("file=c/bad.py,line=3" in line.split("::")[1] for line in lines)
    assert any("file=c/raises.py,line=2" in line.split("::")[1] for line in lines)
    assert all(line.startswith(("::error ", "::warning ", "::notice ")) for line in lines)


def test_json_and_markdown_tell_of_every_case(reported: Place) -> None:
    document = json.loads(_read(reported, "r.json"))
    assert document["exit_code"] == 1
    assert [case["id"] for case in document["cases"]] == list(FILES)
    text = _read(reported, "r.md")
    assert "raises" in text
    assert "\x1b" not in text


def test_under_github_annotations_and_the_summary_come_by_themselves(place: Place) -> None:
    place.write("print(", "c/bad.py")
    place.write(TEXT.replace("security", "syntax").replace("bandit = false\n", ""))
    summary = place.write("# before\n", "summary.md")
    ran = place.pipeline(
        "run", "p.toml", env={"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    )
    assert ran.code == 1
    assert "file=c/bad.py,line=1" in ran.err
    assert summary.read_text().startswith("# before\n")
    assert "bad.py" in summary.read_text()


def test_a_name_that_is_no_utf_8_is_told_in_every_report(place: Place) -> None:
    (place.directory / "c").mkdir()
    (place.directory / os.fsdecode(b"c/\xff.py")).write_text("import os\nos.system('x')\n")
    place.write(TEXT)
    reports = [
        part for kind in ("json", "xml", "sarif", "md") for part in ("--report", f"r.{kind}")
    ]
    ran = place.pipeline("run", "p.toml", *reports, env={"GITHUB_ACTIONS": "true"})
    assert ran.code == 1
    assert r"file=c/\udcff.py,line=2" in ran.err
    findings = json.loads(_read(place, "r.sarif"))["runs"][0]["results"]
    locations = [found["locations"][0]["physicalLocation"] for found in findings]
    assert {place["artifactLocation"]["uri"] for place in locations} == {"c/%5Cudcff.py"}


def test_a_report_that_cannot_be_written_is_125_and_names_the_file(place: Place) -> None:
    place.write("print(1)", "c/good.py")
    place.write(TEXT)
    (place.directory / "r.xml").symlink_to("/dev/full")
    ran = place.pipeline("run", "p.toml", "--report", "r.xml", "--report", "r.md")
    assert ran.code == 125
    assert "r.xml" in ran.err
    assert (place.directory / "r.md").exists()
