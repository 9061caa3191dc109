"""IPython's shell without a terminal: results, displays and errors go to whoever listens.

Made before anyone listens (`new_shell`, in a process that others are forked from), connected
later (`Outlets`). No history file, no profile directory, no thread, no colours. Its classes are
made at run time: e2brun itself is not installed with IPython.

It goes by the names of Jupyter's kernel (ipykernel 6), by which libraries tell that they are in a
notebook, as they are on E2B.
"""

from __future__ import annotations

import builtins
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    Bundle = Mapping[str, Any]

# Words of a cell that schedule something on the event loop a notebook always has; and those of
# a cell that starts a loop of its own, and so gets none from us.
_NEED_LOOP = frozenset({"create_task", "ensure_future", "get_event_loop", "get_running_loop"})
_START_LOOP = frozenset({"run", "run_until_complete"})
CELL_FILES = "/tmp/ipykernel_"  # followed by a process's id, as ipykernel has it
_WORD = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"


class Outlets:
    """Where a shell's output goes; nowhere, until a session sets them."""

    def __init__(self) -> None:
        self.result: Callable[[Bundle, bool], None] = lambda _bundle, _main: None
        self.enrich: Callable[[object, dict[str, Any]], None] = lambda _value, _bundle: None
        self.error: Callable[[type[BaseException], BaseException, str], None] = (
            lambda _kind, _error, _traceback: None
        )
        self.charts = True  # whether anybody looks at the data of a figure, beside its picture
        self.on_loop: Callable[[Any], Any] = lambda coroutine: coroutine.close()


class Kernel:
    """As much of a notebook's kernel as libraries ask for; there are no messages."""

    def __init__(self, shell: Any) -> None:
        self.shell = shell

    def get_parent(self, _channel: object = None) -> dict[str, Any]:
        """The message that asked for this cell (what ipywidgets' Output looks for)."""
        return {}


def new_shell() -> Any:
    """A shell with its `outlets`. Raises ImportError where there is no IPython."""
    base = _import_shell()
    hook = _module("IPython.core.displayhook").DisplayHook
    publisher = _module("IPython.core.displaypub").DisplayPublisher
    config: Any = _module("traitlets.config").Config()
    config.HistoryManager.enabled = False
    config.HistoryManager.hist_file = ":memory:"
    config.InteractiveShell.colors = "nocolor"
    config.IPKernelApp.connection_file = "kernel.json"  # whose being there is what is looked at
    config.MagicsManager.lazy_magics = {"store": "IPython.extensions.storemagic"}  # as ipykernel's
    config.PlainTextFormatter.max_seq_length = 0  # E2B cuts no list short
    leaving = _derived(_module("IPython.core.autocall").ExitAutocall, "Exit", {"__call__": _leave})
    own: dict[str, Any] = {"outlets": Outlets(), "db": _store()}
    there: Any = sys.modules["IPython.core.interactiveshell"]
    if hasattr(there, "PickleShareDB"):  # IPython 8, for Python 3.10 and before, makes its own
        own["profile_dir"] = type(sys)("profile")
        own["profile_dir"].location = "/nonexistent"
        there.PickleShareDB = _store
    kind = _derived(base, "ZMQInteractiveShell", {**_QUIET_START, **_BEHAVIOUR, **own})
    kind.__module__ = "ipykernel.zmqshell"
    compiler = _module("IPython.core.compilerop").CachingCompiler
    shell = kind.instance(
        config=config,
        compiler_class=_derived(compiler, "Compiler", {"get_code_name": _cell_file}),
        exiter=leaving(),
        displayhook_class=_derived(hook, "Hook", _HOOK),
        display_pub_class=_derived(publisher, "Publisher", _PUBLISHER),
    )
    shell.kernel = Kernel(shell)
    _extend_formatter(shell)
    import warnings

    warnings.filterwarnings("ignore", message="To exit: use 'exit'")  # there is no way out
    return shell


def _module(name: str) -> Any:
    return __import__(name, fromlist=["*"])


def _import_shell() -> Any:
    """IPython's shell, without what only an application of its own has: how it logs (sockets,
    queues, pickles) is 7 of 70 ms."""
    name = "logging.config"
    stand_in: Any = type(sys)(name)

    def dict_config(config: object) -> None:
        _module(name).dictConfig(config)

    stand_in.dictConfig = dict_config
    there = sys.modules.setdefault(name, stand_in)
    try:
        return _module("IPython.core.interactiveshell").InteractiveShell
    finally:
        if there is stand_in:
            del sys.modules[name]


def _derived(base: Any, name: str, namespace: dict[str, Any]) -> Any:
    return type(base)(name, (base,), {"__module__": __name__, **namespace})


def _nothing(_self: object, *_arguments: object, **_options: object) -> None:
    """Not here."""


def _system(self: Any, command: str) -> None:
    """`!command`: its output goes where the context's own goes, as it comes."""
    import subprocess

    sys.stdout.flush()
    sys.stderr.flush()
    shell = os.environ.get("SHELL") or "/bin/sh"
    line = self.var_expand(command, depth=1)
    self.user_ns["_exit_code"] = subprocess.run([shell, "-c", line], check=False).returncode


def _cell_file(_self: object, source: str, _transformed: str, _number: int) -> str:
    """What the file of a cell is called. There is none: tracebacks have its lines elsewhere."""
    return f"{CELL_FILES}{os.getpid()}/{_murmur(source.encode(errors='replace'))}.py"


def _murmur(data: bytes) -> int:
    """MurmurHash2 (Appleby, 32 bits), with ipykernel's seed: a SyntaxError tells this number."""
    factor, mask = 0x5BD1E995, 0xFFFFFFFF
    value = 0xC70F6907 ^ len(data)
    whole = len(data) & ~3
    for at in range(0, whole, 4):
        word = int.from_bytes(data[at : at + 4], "little") * factor & mask
        value = value * factor & mask ^ (word ^ word >> 24) * factor & mask
    if data[whole:]:
        value = (value ^ int.from_bytes(data[whole:], "little")) * factor & mask
    value = (value ^ value >> 13) * factor & mask
    return value ^ value >> 15


def _leave(_self: object, code: object = None) -> None:
    """`exit`, `quit()`, `exit(3)`: as anywhere else."""
    raise SystemExit if code is None else SystemExit(code)


def _store(_path: str = "") -> Any:
    """Of `%cd`, `%bookmark` and `%store`: IPython's own is kept in a profile directory."""
    return _derived(dict, "Store", {"keys": _matching})()


def _matching(self: Any, pattern: str = "*") -> Any:
    """The keys of a pattern, as IPython's own store has them."""
    import fnmatch

    return fnmatch.filter(iter(self), pattern)


def _should_run_async(
    self: Any, raw_cell: str, *, transformed_cell: Any = None, preprocessing_exc_tuple: Any = None
) -> bool:
    """Awaits, or schedules something on the loop that a notebook always has running."""
    if preprocessing_exc_tuple is not None or not self.autoawait:
        return False
    text = raw_cell if transformed_cell is None else transformed_cell
    if _mentions(text, _NEED_LOOP):
        return True
    if "await" not in text and "async" not in text:
        return False
    return bool(sys.modules["IPython.core.async_helpers"]._should_be_async(text))


def _mentions(source: str, names: frozenset[str]) -> bool:
    if not any(name in source for name in names):
        return False
    words = set("".join(c if c in _WORD else " " for c in source).split())
    return not names.isdisjoint(words) and _START_LOOP.isdisjoint(words)


def _show_traceback(self: Any, exc_tuple: Any = None, *arguments: Any, **options: Any) -> None:
    """IPython's own prints a group of exceptions instead of showing it."""
    error: Any = (exc_tuple or sys.exc_info())[1]
    if _holds_group(error):
        self.outlets.error(type(error), error, "")
    else:
        base = sys.modules["IPython.core.interactiveshell"].InteractiveShell
        base.showtraceback(self, exc_tuple, *arguments, **options)


def _holds_group(error: BaseException | None) -> bool:
    group: Any = getattr(builtins, "BaseExceptionGroup", ())
    for _ in range(100):
        if error is None or isinstance(error, group):
            break
        error = error.__context__
    return isinstance(error, group)


def _tell_error(self: Any, kind: Any, error: Any, lines: list[str]) -> None:
    """What a terminal would print; of an error whose text raises another, that other."""
    try:
        str(error)
    except BaseException as raised:  # all of it is the user's, and data
        self.outlets.error(type(raised), raised, "")
    else:
        self.outlets.error(kind, error, "\n".join(lines))


def _quiet(self: Any) -> bool:
    """Whether a `;` ends the cell; most cells have none, and need not be tokenized."""
    try:
        cell = self.shell.history_manager.input_hist_parsed[-1]
    except IndexError:
        return False
    return ";" in cell and bool(self.semicolon_at_end_of_expression(cell))


def _main_result(self: Any, bundle: Bundle, _metadata: object = None) -> None:
    """The value of the cell's last expression."""
    self.shell.outlets.result(bundle, True)


def _finish(self: Any) -> None:
    """Nothing more is printed."""
    self._is_active = False


def _publish(self: Any, data: Bundle, *_arguments: object, **_options: object) -> None:
    """One display; an update of an earlier one is one more."""
    self.shell.outlets.result(data, False)


# What a shell does at its start that would write files or look at a user's environment.
_QUIET_START = dict.fromkeys(
    ("init_ipython_dir", "init_profile_dir", "init_virtualenv", "init_logstart"), _nothing
)
_BEHAVIOUR: dict[str, Any] = {
    "atexit_operations": _nothing,
    "system": _system,
    "system_piped": _system,
    "system_raw": _system,
    "ask_exit": _leave,
    "enable_gui": _nothing,
    "should_run_async": _should_run_async,
    "showtraceback": _show_traceback,
    "_showtraceback": _tell_error,
    "loop_runner": property(lambda self: self.outlets.on_loop, _nothing),
}
_HOOK = {
    "quiet": _quiet,
    "write_format_data": _main_result,
    "write_output_prompt": _nothing,
    "log_output": _nothing,
    "finish_displayhook": _finish,
}
_PUBLISHER = {"publish": _publish, "clear_output": _nothing}


def _extend_formatter(shell: Any) -> None:
    formatter, outlets = shell.display_formatter, shell.outlets
    plain: Callable[..., tuple[dict[str, Any], Any]] = formatter.format

    def format_with_data(
        value: object, include: Any = None, exclude: Any = None
    ) -> tuple[dict[str, Any], Any]:
        """IPython's formats, and those that E2B adds for frames, figures and containers."""
        __tracebackhide__ = True
        bundle, metadata = plain(value, include=include, exclude=exclude)
        if bundle and include is None and exclude is None:
            outlets.enrich(value, bundle)
        return bundle, metadata

    object.__setattr__(formatter, "format", format_with_data)


def rehearse(shell: Any) -> None:
    """Run a cell as any other, remembered and shown, and forget it. What is made lazily is made
    now, and in a fork what every cell writes to is copied now, before anyone waits for it."""
    of_module = {name: value for name, value in shell.user_ns.items() if name[:2] == "__"}
    shell.run_cell("1+1", store_history=True)
    shell.reset(new_session=True)  # takes away what any module has: __spec__, __doc__
    shell.user_ns.update({**of_module, **dict.fromkeys(("_", "__", "___"), "")})


def warm_up(shell: Any) -> None:
    """Import what a first cell, a first result and a first error need: forks share it."""
    rehearse(shell)
    shell.display_formatter.format(1)
    try:
        exec(compile("1/0", "<warm>", "exec"), {})  # noqa: S102
    except ZeroDivisionError as error:
        shell.InteractiveTB.structured_traceback(type(error), error, error.__traceback__)
