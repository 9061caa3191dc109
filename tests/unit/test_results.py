"""Rich results saved as files: names are ours, sizes are bounded, nothing is overwritten."""

import base64
import json
import math
import os
from pathlib import Path

import pytest

from e2brun.errors import E2brunError
from e2brun.report import results as saving
from e2brun.report.results import save_results, text_of
from e2brun.sandbox.contract import Result

PNG = b"\x89PNG\r\n\x1a\n rest"
PNG64 = base64.encodebytes(PNG).decode()  # with line ends, as matplotlib sends it


def test_every_rich_form_becomes_a_file_with_our_own_name(tmp_path: Path) -> None:
    result: Result = {
        "text": "<Figure>",
        "png": PNG64,
        "jpeg": PNG64,
        "pdf": PNG64,
        "svg": "<svg/>",
        "html": "<b>é</b>",
        "markdown": "# x",
        "latex": "$x$",
        "javascript": "x",
        "json": {"a": math.nan},
        "data": [1],
        "chart": {"type": "bar"},
        "extra": {"application/x-y": "z"},
        "is_main_result": True,
    }
    directory = tmp_path / "a" / "b"
    paths = save_results([result, {"text": "only"}, {"svg": "<svg/>"}], directory, print)
    assert [path.name for path in paths] == [
        "result-001.png",
        "result-001.jpg",
        "result-001.pdf",
        "result-001.svg",
        "result-001.html",
        "result-001.md",
        "result-001.tex",
        "result-001.js",
        "result-001.json",
        "result-001.data.json",
        "result-001.chart.json",
        "result-001.extra.json",
        "result-003.svg",
    ]
    assert (directory / "result-001.png").read_bytes() == PNG
    assert (directory / "result-001.html").read_text(encoding="utf-8") == "<b>é</b>"
    assert json.loads((directory / "result-001.json").read_text()) == {"a": None}
    assert sorted(path.name for path in directory.iterdir()) == sorted(p.name for p in paths)


def test_numbers_go_on_and_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "result-007.html").write_text("mine")
    (tmp_path / "result-x.svg").write_text("mine too")
    paths = save_results([{"svg": "<svg/>"}], tmp_path, print)
    assert [path.name for path in paths] == ["result-008.svg"]
    assert (tmp_path / "result-007.html").read_text() == "mine"


def test_no_symlink_is_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    directory = tmp_path / "out"
    directory.mkdir()
    # A dangling one does not count among the numbers by what it points to, but by its name.
    (directory / "result-001.svg").symlink_to(target)
    save_results([{"svg": "<svg/>"}], directory, print)
    assert not target.exists()
    assert (directory / "result-002.svg").read_text() == "<svg/>"


def test_a_name_taken_at_the_last_moment_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "result-001.svg").write_text("mine")
    monkeypatch.setattr(os, "listdir", lambda _: [])  # as if it came after the look
    paths = save_results([{"svg": "<svg/>"}], tmp_path, print)
    assert [path.name for path in paths] == ["result-002.svg"]


@pytest.mark.parametrize("value", ["%%%", "AAA", "é", 3, ["AAAA"], "AAAA=\x00"])
def test_a_picture_that_is_none_is_left_out_with_a_line(tmp_path: Path, value: object) -> None:
    said: list[str] = []
    paths = save_results([{"png": value, "html": "x"}], tmp_path, said.append)
    assert [path.name for path in paths] == ["result-001.html"]
    assert len(said) == 1
    assert said[0].startswith("result 1: png not saved: not ")


def test_files_are_bounded_in_size_number_and_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(saving, "MAX_FILE", 10)
    monkeypatch.setattr(saving, "MAX_TOTAL", 25)
    monkeypatch.setattr(saving, "MAX_FILES", 3)
    big: list[Result] = [{"svg": "x" * 11, "png": "A" * 16}]
    assert save_results(big, tmp_path / "a", said.append) == []
    assert len(said) == 2
    assert len(save_results([{"svg": "x" * 10}] * 4, tmp_path / "b", said.append)) == 2
    assert len(save_results([{"svg": "x"}] * 5, tmp_path / "c", said.append)) == 3
    assert said[-1].startswith("more results not saved")


def test_a_directory_that_cannot_be_made_is_our_failure_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(E2brunError, match=r"cannot save results in .*file: File exists"):
        save_results([{"svg": "x"}], tmp_path / "file", print)


def test_stdout_shows_the_main_result_and_displayed_text_but_not_a_pictures_name() -> None:
    shown: list[Result] = [
        {"text": "<Figure size 640x480 with 1 Axes>", "png": PNG64},
        {"text": "displayed", "html": "<b>displayed</b>"},
        {"html": "<b>no text</b>"},
        {"text": "4", "is_main_result": True},
    ]
    assert text_of(shown) == "displayed\n4"
    assert text_of([{"text": "<Axes>", "png": PNG64, "is_main_result": True}]) == "<Axes>"
    assert text_of([]) == ""
