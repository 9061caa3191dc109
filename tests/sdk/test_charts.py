"""Charts of matplotlib figures, as the real SDK reads them."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from typing import Any

import pytest

from tests.sdk.serving import Serving

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def interpreter(service: Serving) -> Iterator[Any]:
    """One for all: matplotlib takes a second to be imported."""
    from e2b_code_interpreter import Sandbox

    made = Sandbox.create(timeout=120)
    yield made
    made.kill()


@pytest.fixture
def context(interpreter: Any) -> Iterator[Any]:
    """One in which nobody has set a thing."""
    made = interpreter.create_code_context()
    yield made
    interpreter.remove_code_context(made)


_SETUP = "import matplotlib.pyplot as plt\n"


@pytest.mark.parametrize(
    ("draw", "kind"),
    [
        ("plt.plot([1, 2, 3], [4, 5, 6], label='a')", "line"),
        ("plt.bar(['a', 'b'], [1, 2])", "bar"),
        ("plt.pie([1, 2], labels=['a', 'b'])", "pie"),
        ("plt.boxplot([[1, 2, 3], [4, 6, 9]], patch_artist=True)", "box_and_whisker"),
        ("f, (a, b) = plt.subplots(1, 2); a.plot([1]); b.bar(['x'], [1])", "superchart"),
    ],
)
def test_a_figure_is_a_picture_and_a_chart(interpreter: Any, draw: str, kind: str) -> None:
    (result,) = interpreter.run_code(f"{_SETUP}{draw}\nplt.show()").results
    assert result.png
    assert result.chart.type.value == kind
    assert result.chart.elements
    assert (result.is_main_result, result.extra) == (False, {})


def test_labels_units_and_title_are_there(interpreter: Any) -> None:
    code = "plt.plot([1, 2])\nplt.title('T')\nplt.xlabel('Time (s)')\nplt.ylabel('y')"
    (result,) = interpreter.run_code(_SETUP + code + ";").results
    chart = result.chart
    assert (chart.title, chart.x_label, chart.x_unit, chart.y_label) == ("T", "Time (s)", "s", "y")


@pytest.mark.parametrize(
    ("code", "are_main"),
    [
        ("plt.plot([1])\nplt.show()\nplt.plot([2])\nprint('x')", [False, False]),
        ("plt.plot([1])\n1/0", [False]),
        # As in Jupyter: what is open at the end of a cell is shown, be it shown already.
        ("fig, ax = plt.subplots()\nax.plot([1])\nplt.show()\nfig", [False, True]),
        ("fig, ax = plt.subplots()\nax.plot([1])\ndisplay(fig)", [False, False]),
        ("fig, ax = plt.subplots()\nax.plot([1])\nplt.close()", []),
    ],
)  # fmt: skip
def test_figures_are_shown_where_jupyter_shows_them(
    interpreter: Any, code: str, are_main: list[bool]
) -> None:
    results = interpreter.run_code(_SETUP + code).results
    assert [result.is_main_result for result in results] == are_main
    assert all(result.png and result.chart for result in results)


@pytest.mark.parametrize("after", ["", "\nplt.close()", "\nfig"])
def test_a_figure_that_is_saved_is_a_picture_as_well(interpreter: Any, after: str) -> None:
    code = f"{_SETUP}fig, ax = plt.subplots()\nax.plot([1])\nplt.savefig('/tmp/a.png'){after}"
    saved, *figures = interpreter.run_code(code).results
    assert saved.png
    assert saved.chart is None
    kinds = {"": [False], "\nplt.close()": [], "\nfig": [True, False]}
    assert [figure.is_main_result for figure in figures] == kinds[after]


def test_figures_are_shown_by_who_has_forked_and_not_by_the_fork(interpreter: Any) -> None:
    code = f"{_SETUP}import os\nplt.plot([1])\npid = os.fork()\nif pid: os.waitpid(pid, 0)"
    ran = interpreter.run_code(code)
    assert [bool(result.png) for result in ran.results] == [True]
    assert ran.logs.stdout == []


def test_a_figure_without_axes_is_a_text(interpreter: Any) -> None:
    (result,) = interpreter.run_code(f"{_SETUP}plt.figure();").results
    assert {*result.formats()} == {"text"}


def test_a_box_plot_takes_its_labels_as_in_the_template_of_e2b(interpreter: Any) -> None:
    labels = "labels=['few', 'more'], patch_artist=True"
    draw = f"plt.boxplot([[1, 2, 3, 4], [2, 3, 9]], {labels})"
    (result,) = interpreter.run_code(f"{_SETUP}{draw}\nplt.show()").results
    assert [box.label for box in result.chart.elements] == ["few", "more"]
    assert [box.median for box in result.chart.elements] == [2.5, 3]


@pytest.mark.parametrize(
    ("said", "pictures"),
    [
        ("%config InlineBackend.figure_format = 'svg'", [{"svg"}]),
        ("%config InlineBackend.figure_formats = {'png', 'jpeg'}", [{"png", "jpeg"}]),
        ("from matplotlib_inline.backend_inline import set_matplotlib_formats as only\nonly('pdf')",
         [{"pdf"}]),
        ("%pylab inline\n%config InlineBackend.figure_format = 'png'\nhist([1])", [{"png"}]),
        ("import matplotlib\nmatplotlib.use('agg')", []),
    ],
)  # fmt: skip
def test_a_figure_has_the_formats_that_a_notebook_says(
    interpreter: Any, context: Any, said: str, pictures: list[set[str]]
) -> None:
    code = f"{said}\n{_SETUP}plt.plot([1, 2], [1, 2])"
    results = interpreter.run_code(code, context=context).results
    found = [{*result.formats()} - {"text", "chart"} for result in results]
    assert found == [set(), *pictures]


def test_retina_draws_a_figure_twice_as_large(interpreter: Any) -> None:
    sizes: list[int] = []
    for form in ("retina", "png"):
        code = f"%config InlineBackend.figure_format = '{form}'\n{_SETUP}plt.plot([1])\nplt.show()"
        (result,) = interpreter.run_code(code).results
        sizes.append(int.from_bytes(b64decode(result.png)[16:20]))  # the width, in a PNG's header
    assert sizes[0] == pytest.approx(2 * sizes[1], abs=2)
