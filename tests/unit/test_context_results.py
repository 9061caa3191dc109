"""Rich results: display, mime types, limits, the packages that have them."""

from __future__ import annotations

import time

import pytest

from tests.unit.context_program import Context, lasting_context

__all__ = ["lasting_context"]  # the fixture `lasting`


# Rich results


def test_display_sends_results_in_order_before_the_main_one(lasting: Context) -> None:
    cell = lasting.run(
        "class H:\n    def _repr_html_(self): return '<b>h</b>'\n"
        "    def __repr__(self): return 'H!'\n"
        "print('hello')\ndisplay(H(), 'two')\nH()"
    )
    assert cell.outcome.results == [
        {"text": "H!", "html": "<b>h</b>", "extra": {}, "is_main_result": False},
        {"text": "two", "extra": {}, "is_main_result": False},
        {"text": "H!", "html": "<b>h</b>", "extra": {}, "is_main_result": True},
    ]


def test_every_mime_type_has_its_key(lasting: Context) -> None:
    cell = lasting.run(
        "class All:\n"
        "    def __repr__(self): return 'all'\n"
        "    def _repr_mimebundle_(self, include=None, exclude=None):\n"
        "        own = {'x/own': {'a': [1, None]}, 'x/raw': b'raw'}\n"
        "        return {'text/html': '<i>', **own}, {'meta': 1}\n"
        "    def _repr_markdown_(self): return '# m'\n"
        "    def _repr_svg_(self): return '<svg/>'\n"
        "    def _repr_png_(self): return b'png', {'width': 1}\n"
        "    def _repr_jpeg_(self): return b'jpeg'\n"
        "    def _repr_pdf_(self): return b'pdf'\n"
        "    def _repr_latex_(self): return '$x$'\n"
        "    def _repr_json_(self): return {'k': [1.5, True]}\n"
        "    def _repr_javascript_(self): return 'alert()'\n"
        "All()"
    )
    assert cell.main == {
        "text": "all",
        "html": "<i>",
        "markdown": "# m",
        "svg": "<svg/>",
        "png": "cG5n",
        "jpeg": "anBlZw==",
        "pdf": "cGRm",
        "latex": "$x$",
        "json": {"k": [1.5, True]},
        "javascript": "alert()",
        "extra": {"x/own": {"a": [1, None]}, "x/raw": "cmF3"},
        "is_main_result": True,
    }


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("class B:\n  def _repr_html_(self): 1/0\n  def __repr__(self): return 'b'\nB()", "b"),
        ("class B:\n  def _repr_html_(self): return 7\n  def __repr__(self): return 'b'\nB()", "b"),
        ("class B:\n  def __getattr__(self, n): 1/0\n  def __repr__(self): return 'b'\nB()", "b"),
        ("class B:\n  def _repr_html_(self): return 'x'\nB", "__main__.B"),
        ("x = []\nx.append(x)\nx", "[[...]]"),
        ("{1: 2}", "{1: 2}"),
        ("[object]", "[object]"),
        ("[2**64]", "[18446744073709551616]"),
    ],
)  # fmt: skip
def test_a_format_that_fails_leaves_the_text(lasting: Context, code: str, text: str) -> None:
    cell = lasting.run(code)
    assert cell.main == {"text": text, "extra": {}, "is_main_result": True}


def test_a_repr_that_raises_is_the_error_of_its_cell(lasting: Context) -> None:
    cell = lasting.run("class B:\n  def __repr__(self): raise ValueError(1)\nB()")
    assert (cell.error.name, cell.outcome.results) == ("ValueError", [])
    mock = lasting.run("from unittest.mock import MagicMock\nMagicMock()").main
    assert set(mock) == {"text", "extra", "is_main_result"}


def test_an_object_that_displays_itself_does_so_once(lasting: Context) -> None:
    cell = lasting.run("class S:\n    def _ipython_display_(self): print('myself')\nS()")
    assert (cell.stdout, cell.outcome.results) == ("myself\n", [])


def test_lists_and_dicts_come_as_json_too(lasting: Context) -> None:
    value = lasting.run(
        "{'a': [1, 2.5, None, True, 'é\\u2028\\U0001f600', (1,)], 'n': float('nan')}"
    )
    assert value.main["json"] == {"a": [1, 2.5, None, True, "é\u2028\U0001f600", [1]], "n": None}


# A list of as many would take a second to be printed.
_MANY = """
class Many:
    def __init__(self, values): self.values = values
    def _repr_json_(self): return [0] * self.values
"""


@pytest.mark.slow
def test_a_result_past_the_limit_becomes_a_note(lasting: Context) -> None:
    cell = lasting.run("'x' * 40_000_000")
    assert cell.main["text"] == "<result too large: 38.1 MiB; the limit for a result is 32 MiB>"
    lasting.run(_MANY)
    assert "json" not in lasting.run("Many(300_000)").main


@pytest.mark.slow
def test_what_many_large_results_hold_is_bounded_without_losing_the_cell(lasting: Context) -> None:
    cell = lasting.run("for _ in range(3): display('x' * 30_000_000)")
    assert cell.forged == ""
    sizes = [len(str(result["text"])) > 1000 for result in cell.shown]
    assert sizes == [True, True, False]


@pytest.mark.slow
def test_the_host_accepts_all_that_an_honest_cell_may_show(lasting: Context) -> None:
    lasting.run(_MANY)
    cell = lasting.run("for _ in range(4): display(Many(200_000))\n'é\U0001f600' * 1_000_000")
    assert cell.forged == ""
    assert ["json" in result for result in cell.shown] == [True] * 3 + [False]


def test_a_thousand_results_are_sent_and_the_main_one_is_among_them(lasting: Context) -> None:
    cell = lasting.run("for n in range(2000): display(n)\n'main'")
    assert len(cell.outcome.results) == 1000
    assert cell.main["text"] == "main"
    assert cell.stderr.count("more than 1000 results") == 1


def test_a_thread_that_displays_after_its_cell_breaks_nothing(lasting: Context) -> None:
    cell = lasting.run(
        "import threading, time\n"
        "def late():\n    time.sleep(0.2)\n    display('late')\n"
        "threading.Thread(target=late).start()"
    )
    assert cell.outcome.ended
    time.sleep(0.4)
    assert lasting.run("1").main["text"] == "1"
