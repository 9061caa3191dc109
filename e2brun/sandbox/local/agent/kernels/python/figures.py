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


class Figures:
    """Looks at matplotlib only where the user's code has imported it."""

    def __init__(self, channel: Channel, outlets: Any) -> None:
        self._channel, self._outlets = channel, outlets
        # The figures themselves, not their ids: an id is used again once its figure is gone.
        self._shown: list[object] = []

    def prepare(self, matplotlib: Any) -> None:
        """No window system here. Called when matplotlib is imported."""
        matplotlib.use("agg")
        _bring_fonts(matplotlib)

    def take_over_show(self, pyplot: Any) -> None:
        """Agg's own `show` does nothing. Called when pyplot is imported."""

        def show(*_args: object, **_options: object) -> None:
            self.show_open()

        pyplot.show = show

    def is_figure(self, value: object) -> bool:
        figure = getattr(sys.modules.get("matplotlib.figure"), "Figure", None)
        return isinstance(figure, type) and isinstance(value, figure)

    def already_shown(self, value: object) -> bool:
        """Whether this very figure was shown in this cell."""
        return any(value is figure for figure in self._shown)

    def fields_of(self, figure: Any) -> dict[str, str | Fragment]:
        """Its picture, and its chart if asked for and e2b_charts is there; marks it as shown."""
        self._shown.append(figure)
        fields: dict[str, str | Fragment] = {}
        try:
            picture = _png(figure)
        except Exception as error:  # a drawing of theirs, such as bad mathtext
            complain(f"figure not drawn: {type(error).__name__}: {_safe_str(error)}")
            return fields
        if picture is not None:
            fields["png"] = picture
            chart = _chart(figure) if self._outlets.charts else None
            if chart is not None:
                fields["chart"] = chart
        return fields

    def show_open(self) -> None:
        """Send every open figure not shown yet, in order, and close all."""
        pyplot: Any = sys.modules.get("matplotlib.pyplot")
        if pyplot is None or self._channel.in_child:
            return
        try:
            numbers = pyplot.get_fignums()
            for number in numbers:
                figure = pyplot.figure(number)
                if not self.already_shown(figure):
                    self._send(figure)
            if numbers:
                pyplot.close("all")
        except Exception as error:  # half-imported or patched pyplot
            complain(f"figures not shown: {type(error).__name__}: {_safe_str(error)}")

    def _send(self, figure: object) -> None:
        fields = self.fields_of(figure)
        if fields:  # an empty figure is not worth a result
            self._channel.result({"text": text_of(figure), **fields}, main=False)

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


def _png(figure: Any) -> str | None:
    """The picture in base64, cut to its contents; None for an empty figure."""
    from binascii import b2a_base64
    from io import BytesIO

    if not (figure.axes or figure.lines or figure.texts or figure.images or figure.patches):
        return None
    file = BytesIO()
    figure.canvas.print_figure(
        file,
        format="png",
        dpi="figure",
        bbox_inches="tight",
        facecolor=figure.get_facecolor(),
        edgecolor=figure.get_edgecolor(),
    )
    return b2a_base64(file.getvalue(), newline=False).decode("ascii")


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
