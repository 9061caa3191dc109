"""A session of cells in IPython's shell: what it shows and raises, told in our frames."""

from __future__ import annotations

import builtins
import os
import sys

from ...descriptors import ready
from ...finder import reach
from ..jsontext import Fragment, NotJsonError, is_a
from .channel import Channel, complain, flush
from .display import KEYS, add_bundle, attempt, columns_of, is_frame
from .failure import MAX_TRACEBACK, clipped, describe, exit_code
from .figures import chart_of, is_figure, prepare
from .imports import when_imported
from .interrupts import Interrupts
from .shell import CELL_FILES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    Told = tuple[str, str, str]

globals()["__builtins__"] = dict(vars(builtins))  # ours work on whatever a cell does to its own

_environ = os.environ
_DEPTH = 20


def serve(shell: Any, cells_fd: int, frames_fd: int) -> None:
    """Run cells from one descriptor and tell what became of them on the other."""
    frame: Any = vars(sys)["_getframe"]()
    depth = 0
    while frame is not None:
        frame, depth = frame.f_back, depth + 1
    _deeper(_DEPTH - depth, lambda: _serve(shell, cells_fd, frames_fd))


def _deeper(frames: int, call: Callable[[], None]) -> None:
    """Call with so many frames more: a forked sandbox has some below that another has not, and
    a recursion without end is told with the number of its frames."""
    if frames > 0:
        _deeper(frames - 1, call)
    else:
        call()


def _serve(shell: Any, cells_fd: int, frames_fd: int) -> None:
    interrupts = Interrupts()
    channel = Channel(cells_fd, frames_fd, interrupts)
    session = NotebookSession(shell, channel, interrupts)
    while not channel.broken:
        session.idle(cells_fd)
        cell = channel.read_cell()
        if cell is None:
            break
        session.run(*cell)
    flush()


class NotebookSession:
    """What lasts from cell to cell."""

    def __init__(self, shell: Any, channel: Channel, interrupts: Interrupts) -> None:
        self._shell, self._channel, self._interrupts = shell, channel, interrupts
        self._loop = Loop()
        self._told: Told | None = None
        self._connect()
        when_imported(
            {
                "matplotlib": prepare,
                "PIL.Image": self._take_over_pictures,
                "getpass": lambda module: setattr(module, "getpass", _no_password),
            }
        )

    def _connect(self) -> None:
        outlets = self._shell.outlets
        outlets.result = self._result
        outlets.enrich = self._enrich
        outlets.error = self._error
        outlets.on_loop = self._loop
        self._shell.home_dir = _environ.get("HOME", self._shell.home_dir)  # that of this sandbox
        sys.modules["__main__"] = self._shell.user_module
        builtins.input = _no_input

    def idle(self, cells_fd: int) -> None:
        """Until the next cell comes, let run what earlier ones left on the event loop."""
        self._loop.run_until_readable(cells_fd)

    def run(self, code: str, env: dict[str, str], paths: Sequence[str] = ()) -> None:
        """Run one cell and send its frames; in a child that the cell forked, leave at its end."""
        for path in paths:
            if path not in sys.path:
                reach(path)
        self._told = None
        self._channel.start(self._shell.execution_count)
        error = self._outcome(code, env)
        if self._channel.in_child:
            self._leave_child(error)
        if self._told is None and error is not None:
            self._error(type(error), error, "")
        self._tell()
        self._channel.end()

    def _tell(self) -> None:
        if self._told is not None:
            self._channel.error(*self._told)

    def _outcome(self, code: str, env: dict[str, str]) -> BaseException | None:
        previous = {name: _environ.get(name) for name in env}
        try:
            _set_environment(env)
            self._interrupts.arm()
            ended: Any = self._execute(code)
            self._interrupts.disarm()
        except BaseException as error:  # all of it is the user's, and data
            return error
        finally:
            self._interrupts.disarm()
            _set_environment(previous)
        raised: object = ended.error_before_exec or ended.error_in_exec
        return raised if isinstance(raised, BaseException) else None

    def _execute(self, code: str) -> object:
        if not code or code.isspace():  # counted here as well
            self._shell.execution_count += 1
        return self._shell.run_cell(code, store_history=True)

    def _result(self, bundle: Mapping[str, Any], main: bool) -> None:
        fields: dict[str, str | Fragment] = {}
        ready = {KEYS[m]: data for m, data in bundle.items() if is_a(data, Fragment) and m in KEYS}
        add_bundle(fields, {m: data for m, data in bundle.items() if not is_a(data, Fragment)})
        fields.update(ready)
        text = fields.get("text")
        if isinstance(text, str) and len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
            fields["text"] = text[1:-1]
        if fields and not self._channel.result(fields, main) and "text" in fields:
            print(fields["text"])  # noqa: T201 - nobody to send it to: a forked child

    def _enrich(self, value: object, bundle: dict[str, Any]) -> None:
        """Add what E2B shows beyond IPython: a frame's data, a figure's chart, the JSON of lists
        and dictionaries."""
        if is_a(value, list, dict):
            try:
                bundle.setdefault("application/json", Fragment(value))
            except NotJsonError:
                return
        elif is_frame(value):
            data = attempt(value, "to_dict", lambda: columns_of(value))
            if data is not None:
                bundle.setdefault("e2b/data", data)
        elif is_figure(value) and self._channel.in_child:
            bundle.clear()  # of what was open at the fork, and is shown by who has forked
        elif len(bundle) > 1 and self._shell.outlets.charts and is_figure(value):
            chart = chart_of(value)
            if chart is not None:
                bundle["e2b/chart"] = chart

    def _error(self, kind: type[BaseException], error: BaseException, traceback: str) -> None:
        """The first of them is the cell's: E2B tells no other."""
        if self._channel.in_child:
            complain(traceback or describe(error, CELL_FILES)[2])
            return
        if self._told is not None:
            return
        name, value, plain = describe(error, CELL_FILES)
        if name == "UsageError":  # IPython prints it and says no more
            plain = f"UsageError: {value}"
        if self._loop.interrupted:
            name, value = "KeyboardInterrupt", ""
        elif not isinstance(error, kind):
            name = kind.__name__
        self._told = name, value, clipped(traceback or plain, MAX_TRACEBACK)

    def _leave_child(self, error: BaseException | None) -> None:
        """End a fork that ran past the cell's end as a script's would: its own exit code."""
        if isinstance(error, SystemExit):
            raise SystemExit(exit_code(error))
        raise SystemExit(0 if error is None else 1)

    def _take_over_pictures(self, module: Any) -> None:
        """No viewer is started: the picture is displayed. Saving one displays it, too."""
        display_function: Any = sys.modules["IPython.core.display_functions"]
        display, save = display_function.display, module.Image.save

        def show(self: object, *_arguments: object, **_options: object) -> None:
            display(self)

        def show_and_save(image: Any, fp: Any, *arguments: Any, **options: Any) -> None:
            """As E2B has it: matplotlib saves its PNGs by this, too."""
            if isinstance(fp, str):
                display(image)
            save(image, fp, *arguments, **options)

        module.Image.show, module.Image.save = show, show_and_save


class Loop:
    """One event loop for all cells that await, made by the first of them."""

    def __init__(self) -> None:
        self._loop: AbstractEventLoop | None = None
        self.interrupted = False

    def __str__(self) -> str:
        return "asyncio"  # in what %autoawait says

    def __call__(self, coroutine: Any) -> Any:
        """Run a cell. One that is interrupted while it waits is cancelled where it stands."""
        import asyncio

        __tracebackhide__ = True
        if self._loop is None or self._loop.is_closed():
            self._loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self._loop)
        task = self._loop.create_task(coroutine)
        self.interrupted = False
        try:
            return self._loop.run_until_complete(task)
        except KeyboardInterrupt:
            if task.done():
                task.exception()  # else asyncio complains that nobody asked
                raise
            self.interrupted = True
            task.cancel()
            try:
                return self._loop.run_until_complete(task)
            except asyncio.CancelledError:  # it had not begun
                raise KeyboardInterrupt from None
        finally:
            self.interrupted = False

    def run_until_readable(self, descriptor: int) -> None:
        """Let tasks and servers of earlier cells go on until there is something to read."""
        loop = self._loop
        if loop is None or loop.is_closed():
            return
        try:
            if not ready(descriptor, 0):
                loop.add_reader(descriptor, loop.stop)
                loop.run_forever()
        except BaseException as error:  # of a callback of theirs
            complain(describe(error, ())[2])
        finally:
            loop.remove_reader(descriptor)


def _set_environment(values: Mapping[str, str] | Mapping[str, str | None]) -> None:
    """Set variables, or take away those of no value."""
    for name, value in values.items():
        try:
            if value is None:
                _environ.pop(name, None)
            else:
                _environ[name] = value
        except Exception:  # `=` in the name, or builtins taken from under it
            continue


def _no_input(_prompt: object = "") -> str:
    """`input()`, as ipykernel has it where nobody could answer: E2B's lets nobody."""
    raise _not_here("raw_input")


def _no_password(_prompt: object = "", _stream: object = None) -> str:
    """`getpass.getpass()`"""
    raise _not_here("getpass")


def _not_here(what: str) -> Exception:
    errors: Any = sys.modules["IPython.core.error"]
    text = f"{what} was called, but this frontend does not support input requests."
    error: Exception = errors.StdinNotImplementedError(text)
    return error
