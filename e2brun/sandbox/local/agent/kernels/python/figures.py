"""Matplotlib as in a notebook: what is open when a cell ends is shown once and closed."""

from __future__ import annotations

import builtins
import os
import sys

from ..jsontext import Fragment, NotJsonError
from .channel import complain
from .display import text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .channel import Channel

globals()["__builtins__"] = dict(vars(builtins))  # ours work on whatever a cell does to its own
_PICTURES = {"image/png", "image/jpeg", "image/svg+xml", "application/pdf"}


class Figures:
    """Looks at matplotlib only where the user's code has imported it."""

    def __init__(self, channel: Channel, shell: Any) -> None:
        self._channel, self._shell = channel, shell
        # The figures themselves, not their ids: an id is used again once its figure is gone.
        self._shown: list[object] = []

    def prepare(self, matplotlib: Any) -> None:
        """No window system here. Called when matplotlib is imported."""
        matplotlib.use("agg")
        _bring_fonts(matplotlib)

    def let_draw(self, _module: object) -> None:
        """Figures are drawn by IPython, in the formats that `%config InlineBackend` or
        matplotlib_inline says. Called when matplotlib.figure is imported."""
        told: Any = __import__("matplotlib_inline.config", fromlist=["*"]).InlineBackend.instance()
        told.parent = told.shell = self._shell
        told.update_config(self._shell.config)
        self._shell.configurables.append(told)
        tools: Any = __import__("IPython.core.pylabtools", fromlist=["*"])
        tools.select_figure_formats(self._shell, told.figure_formats, **told.print_figure_kwargs)

    def take_over_show(self, pyplot: Any) -> None:
        """Agg's own `show` does nothing. Called when pyplot is imported."""

        def show(*_args: object, **_options: object) -> None:
            self.show_open()

        pyplot.show = show

    def is_figure(self, value: object) -> bool:
        figure = getattr(sys.modules.get("matplotlib.figure"), "Figure", None)
        return isinstance(figure, type) and isinstance(value, figure)

    def _already_shown(self, value: object) -> bool:
        """Whether this very figure was shown in this cell."""
        return any(value is figure for figure in self._shown)

    def enrich(self, figure: object, bundle: dict[str, Any]) -> None:
        """Add the chart of a figure that a cell shows, where that is asked for and e2b_charts is
        installed. One that it has shown before is not shown again."""
        if self._already_shown(figure):
            for mime in _PICTURES:
                bundle.pop(mime, None)
            return
        self._shown.append(figure)
        chart = _chart(figure) if self._shell.outlets.charts else None
        if chart is not None and not _PICTURES.isdisjoint(bundle):
            bundle["e2b/chart"] = chart

    def show_open(self) -> None:
        """Send every open figure not shown yet, in order, and close all."""
        pyplot: Any = sys.modules.get("matplotlib.pyplot")
        if pyplot is None or self._channel.in_child:
            return
        try:
            numbers = pyplot.get_fignums()
            for number in numbers:
                figure = pyplot.figure(number)
                if not self._already_shown(figure):
                    self._send(figure)
            if numbers:
                pyplot.close("all")
        except Exception as error:  # half-imported or patched pyplot
            complain(f"figures not shown: {type(error).__name__}: {_safe_str(error)}")

    def _send(self, figure: object) -> None:
        try:
            bundle = self._drawn(figure)
        except Exception as error:  # a drawing of theirs, such as bad mathtext
            complain(f"figure not drawn: {type(error).__name__}: {_safe_str(error)}")
            return
        if bundle:  # an empty figure is not worth a result
            bundle["text/plain"] = text_of(figure)
            self.enrich(figure, bundle)
            self._shell.outlets.result(bundle, False)

    def _drawn(self, figure: object) -> dict[str, Any]:
        """Its pictures, by type. Raises what the drawing does."""
        bundle: dict[str, Any] = {}
        for mime in _PICTURES:
            formatter = self._shell.display_formatter.formatters[mime]
            try:
                draw = formatter.lookup(figure)
            except KeyError:  # not in this format
                continue
            found: Any = draw(figure)
            picture = found[0] if isinstance(found, tuple) else found  # with its size: "retina"
            if picture:
                bundle[mime] = picture
        return bundle

    def forget(self) -> None:
        """A new cell begins: every figure may be shown again."""
        self._shown.clear()


def _bring_fonts(matplotlib: Any) -> None:
    """The list of fonts that came with the layer goes where matplotlib keeps its own."""
    data: str = matplotlib.get_data_path()
    cache: str = matplotlib.get_cachedir()
    for name in os.listdir(data):
        if name.startswith("fontlist-") and not os.path.exists(f"{cache}/{name}"):
            with open(f"{data}/{name}", "rb") as kept, open(f"{cache}/{name}", "xb") as file:
                file.write(kept.read())


def _chart(figure: object) -> Fragment | None:
    try:
        charts: Any = __import__("e2b_charts")
        return Fragment(charts.chart_figure_to_dict(figure), lenient=True)
    except NotJsonError:
        return None
    except Exception:  # not installed, or a kind of figure it does not know
        return None


def _safe_str(error: Exception) -> str:
    try:
        return str(error)
    except Exception:  # their __str__
        return ""
