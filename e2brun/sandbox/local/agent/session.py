"""The user's session: one namespace and its cells, one after the other, until the host hangs up."""

# ruff: noqa: TID252 - inside the sandbox this package has another name
from __future__ import annotations

import builtins
import os
import sys

from .cell import Compiler, Runner, dedented
from .channel import Channel, complain, flush
from .display import Display
from .failure import describe, exit_code
from .figures import Figures
from .imports import when_imported
from .interrupts import Interrupts
from .jsontext import is_a

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

globals()["__builtins__"] = dict(vars(builtins))  # ours work on whatever a cell does to its own

_environ = os.environ
_MISSING = object()


def serve(cells_fd: int, frames_fd: int) -> None:
    """Run cells from one descriptor and tell what became of them on the other."""
    interrupts = Interrupts()
    channel = Channel(cells_fd, frames_fd, interrupts)
    _stream_by_line()
    session = Session(channel, interrupts)
    while not channel.broken:
        cell = channel.read_cell()
        if cell is None:
            break
        session.run(*cell)
    flush()
    session.close()


def _stream_by_line() -> None:
    # A pipe is block-buffered; the host wants each line when it is printed.
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(line_buffering=True)


class Session:
    """What lasts from cell to cell."""

    def __init__(self, channel: Channel, interrupts: Interrupts) -> None:
        self._channel = channel
        self._interrupts = interrupts
        self._count = 0
        self._sources: dict[str, tuple[int, None, list[str], str]] = {}
        self._figures = Figures(channel)
        self._display = Display(channel, self._figures)
        self._underscore: object = _MISSING
        main = _new_main()
        self._namespace: dict[str, Any] = main.__dict__
        self._namespace["display"] = self._display.display
        self._compiler = Compiler()
        self._runner = Runner(self._namespace)
        when_imported(
            {
                "linecache": self._fill_linecache,
                "matplotlib": self._figures.prepare,
                "matplotlib.pyplot": self._figures.take_over_show,
                "PIL.Image": self._take_over_pictures,
                "IPython.core.display_functions": self._take_over_display,
            }
        )

    def run(self, code: str, env: dict[str, str]) -> None:
        """Run one cell and send its frames; in a child that the cell forked, leave at its end."""
        self._count += 1
        self._channel.start(self._count)
        error = self._outcome(dedented(code), env)
        if self._channel.in_child:
            self._leave_child(error)
        if isinstance(error, SystemExit):
            self._channel.exit(exit_code(error))
        elif error is not None:
            self._fill_linecache(sys.modules.get("linecache"))
            self._channel.error(*describe(error, self._sources))
        self._channel.end()

    def _outcome(self, code: str, env: dict[str, str]) -> BaseException | None:
        previous: dict[str, str | None] = {}
        try:
            previous = {name: _environ.get(name) for name in env}
            set_environment(env)
            self._interrupts.arm()
            self._execute(code, f"<cell {self._count}>")
            self._interrupts.disarm()
        except BaseException as error:  # noqa: BLE001 - all of it is the user's, and data
            return error
        finally:
            self._interrupts.disarm()
            set_environment(previous)
        return None

    def _execute(self, code: str, name: str) -> None:
        self._figures.forget()
        lines = [line + "\n" for line in code.split("\n")]
        self._sources[name] = (len(code), None, lines, name)
        self._fill_linecache(sys.modules.get("linecache"), name)
        try:
            value = self._runner.run(self._compiler.compile(code, name))
            if value is not None and not self._channel.in_child:
                self._remember(value)
                self._display.main_result(value)
        finally:
            self._figures.show_open()

    def _remember(self, value: object) -> None:
        # A `_` that the user assigned (gettext, a loop variable) stays theirs.
        if self._namespace.get("_", self._underscore) is self._underscore:
            self._underscore = self._namespace["_"] = value

    def _fill_linecache(self, linecache: Any, name: str | None = None) -> None:
        cache: Any = getattr(linecache, "cache", None)
        if is_a(cache, dict):
            cache.update(self._sources if name is None else {name: self._sources[name]})

    def _take_over_pictures(self, module: Any) -> None:
        display = self._display.display

        def show(self: object, *_args: object, **_options: object) -> None:
            """Display this image."""
            display(self)

        module.Image.show = show

    def _take_over_display(self, module: Any) -> None:
        module.display = self._display.display

    def _leave_child(self, error: BaseException | None) -> None:
        """End a fork that ran past the cell's end as a script's would: its own exit code."""
        if isinstance(error, SystemExit):
            code = exit_code(error)
        elif error is not None:
            code = 1
            complain(describe(error, self._sources)[2].rstrip("\n"))
        else:
            code = 0
        raise SystemExit(code)

    def close(self) -> None:
        """Let go of what cells left running on the event loop."""
        self._runner.close()


def _new_main() -> ModuleType:
    main = type(sys)("__main__")
    main.__dict__["__builtins__"] = builtins
    # Pickle, multiprocessing and typing look names up in what sys.modules calls __main__.
    sys.modules["__main__"] = main
    return main


def set_environment(values: dict[str, str] | dict[str, str | None]) -> None:
    """Set variables, or take away those of no value."""
    for name, value in values.items():
        try:
            if value is None:
                _environ.pop(name, None)
            else:
                _environ[name] = value
        except Exception:  # noqa: BLE001, S112 - `=` in the name, or builtins taken from under it
            continue
