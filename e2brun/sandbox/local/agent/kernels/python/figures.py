"""Matplotlib as in a notebook: drawn by its inline backend, as on E2B, with E2B's charts beside."""

from __future__ import annotations

import builtins
import os
import sys

from ..jsontext import Fragment, NotJsonError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

globals()["__builtins__"] = dict(vars(builtins))  # ours work on whatever a cell does to its own


def prepare(matplotlib: Any) -> None:
    """Called when matplotlib is imported. Programs that a cell starts are in no notebook: no
    variable of the environment says it, as ipykernel's does. Nor does `use`, which would load the
    backend before it can see that it is the one."""
    # The variable was not there yet where it was imported ahead.
    named = os.environ.get("MPLBACKEND")
    matplotlib.rcParams["backend"] = named or "module://matplotlib_inline.backend_inline"
    _bring_fonts(matplotlib)


def _bring_fonts(matplotlib: Any) -> None:
    """The list of fonts that came with the layer goes where matplotlib keeps its own."""
    data: str = matplotlib.get_data_path()
    cache: str = matplotlib.get_cachedir()
    for name in os.listdir(data):
        if name.startswith("fontlist-") and not os.path.exists(f"{cache}/{name}"):
            with open(f"{data}/{name}", "rb") as kept, open(f"{cache}/{name}", "xb") as file:
                file.write(kept.read())


def is_figure(value: object) -> bool:
    """Whether it is one of matplotlib's, where that was imported."""
    figure = getattr(sys.modules.get("matplotlib.figure"), "Figure", None)
    return isinstance(figure, type) and isinstance(value, figure)


def chart_of(figure: object) -> Fragment | None:
    """The data of a figure, where e2b_charts is installed."""
    try:
        charts: Any = __import__("e2b_charts")
        return Fragment(charts.chart_figure_to_dict(figure), lenient=True)
    except NotJsonError:
        return None
    except Exception:  # not installed, or a kind of figure it does not know
        return None
