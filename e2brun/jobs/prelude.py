"""What makes a Python context ready for a job, inside the sandbox: never imported here. It is no
cell of the user's: neither counted nor kept.

E2B's protocol tells of results and no more. What else a notebook document holds (which display
an update is of, that the output was cleared, metadata, the quotes of a string) is told beside
the results under a MIME type of our own, which the host takes out again. The same code runs in
ipykernel at E2B and in the embedded sandbox's shell. It leaves no name behind.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

MIME = "application/vnd.e2brun+json"
QUOTES = ("'", '"')
# What is told beside the results: all, for a notebook; only what is cleared; nothing.
TELLS: str = globals().get("TELLS", "all")
CHARTS: bool = globals().get("CHARTS", True)
DIRECTORY: str | None = globals().get("DIRECTORY")
PATHS: list[str] = globals().get("PATHS", [])
FIRST = 1  # number of a cell
SHORTEN_AFTER = 1000  # IPython's own default, which E2B switches off


class Connection:
    """Our wrappers around what a shell publishes, until `end`."""

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self.publisher, self.hook = shell.display_pub, shell.displayhook
        self.formatter = shell.display_formatter
        self.plain = self.formatter.formatters["text/plain"]
        self.publish = self.publisher.publish
        self.write = self.hook.write_format_data
        self.format = self.formatter.format
        self.length = self.plain.max_seq_length
        self.undo: list[tuple[Any, str, Any]] = []

    def begin(self) -> None:
        self.shell.e2brun_connection = self
        self.replace(self.publisher, "clear_output", self.cleared)
        if TELLS == "all":
            self.tell_all()

    def tell_all(self) -> None:
        """A notebook is made of it."""
        self.replace(self.publisher, "publish", self.published)
        self.replace(self.hook, "write_format_data", self.written)
        self.replace(self.formatter, "format", self.formatted)
        self.replace(self.shell, "ask_exit", ask_exit)  # a kernel would end behind our back
        self.plain.max_seq_length = SHORTEN_AFTER
        when_imported("ipywidgets.widgets.widget_output", self.catch)
        if hasattr(self.shell, "outlets"):  # of an embedded sandbox: nobody looks at charts
            self.replace(self.shell.outlets, "charts", CHARTS)

    def end(self) -> None:
        """Leave the shell as it was: somebody else may go on with it."""
        while self.undo:
            owner, name, before = self.undo.pop()
            if before is None:
                delattr(owner, name)
            else:
                setattr(owner, name, before)
        self.plain.max_seq_length = self.length

    def replace(self, owner: Any, name: str, ours: Any) -> None:
        """Set a method of an instance or a class."""
        self.undo.append((owner, name, owner.__dict__.get(name)))
        setattr(owner, name, ours)

    def published(
        self, data: Any, metadata: Any = None, *more: Any, transient: Any = None,
        update: Any = False, **options: Any,
    ) -> None:  # fmt: skip
        """A display, or one more state of it: E2B would drop an update."""
        __tracebackhide__ = True
        note: dict[str, Any] = {"op": "update"} if update else {}
        transient = transient or {}
        if transient.get("display_id"):
            note["id"] = str(transient["display_id"])
        bundle = noted(data, metadata, note)
        self.publish(bundle, metadata, *more, transient=transient, update=False, **options)

    def cleared(self, wait: Any = False) -> None:
        """The output so far goes, or goes when there is more."""
        self.publish({MIME: {"op": "clear", "wait": bool(wait)}}, {})

    def written(self, data: Any, metadata: Any = None) -> None:
        __tracebackhide__ = True
        self.write(noted(data, metadata, {}), metadata)

    def formatted(self, value: Any, include: Any = None, exclude: Any = None) -> Any:
        """E2B adds the JSON of lists and dictionaries; a notebook has none beside their text."""
        __tracebackhide__ = True
        bundle, metadata = self.format(value, include=include, exclude=exclude)
        own = hasattr(value, "_repr_json_") or hasattr(value, "_repr_mimebundle_")
        is_plain = isinstance(value, (list, dict)) and not own
        if is_plain and "application/json" in bundle:
            bundle = {**bundle, MIME: {"hide": "application/json"}}
        return bundle, metadata

    def catch(self, module: Any) -> None:
        """What is put out inside `with Output():` belongs to that widget, errors too: it shows
        them, and the cell goes on."""

        def enter(widget: Any) -> None:
            self.publish({MIME: {"op": "enter", "id": widget.model_id}}, {})

        def leave(_widget: Any, kind: Any, error: Any, traceback: Any) -> bool:
            if kind is not None:
                lines = self.shell.InteractiveTB.structured_traceback(kind, error, traceback)
                note = {"op": "error", "ename": kind.__name__, "evalue": str(error)}
                self.publish({MIME: {**note, "traceback": "\n".join(lines)}}, {})
            self.publish({MIME: {"op": "leave"}}, {})
            return kind is not None

        self.replace(module.Output, "__enter__", enter)
        self.replace(module.Output, "__exit__", leave)

    def tell_widgets(self) -> None:
        """What all widgets are like now, for a notebook that is looked at without a kernel."""
        widgets: Any = sys.modules.get("ipywidgets")
        if widgets is not None:
            state = widgets.Widget.get_manager_state(drop_defaults=False)["state"]
            self.publish({MIME: {"op": "widgets", "state": state}}, {})


def when_imported(name: str, action: Callable[[Any], None]) -> None:
    """Call `action` with the module of that name, now or when it is imported."""
    module = sys.modules.get(name)
    if module is not None:
        action(module)
        return

    class Finder:
        """Finds one module as the others would, once."""

        def find_spec(self, wanted: str, *_arguments: Any) -> Any:
            if wanted != name:
                return None
            sys.meta_path.remove(self)
            spec: Any = importlib.util.find_spec(name)
            if spec is not None:
                execute = spec.loader.exec_module

                def exec_module(module: Any) -> None:
                    execute(module)
                    action(module)

                spec.loader.exec_module = exec_module
            return spec

    sys.meta_path.insert(0, Finder())


def noted(data: Any, metadata: Any, note: dict[str, Any]) -> Any:
    """The bundle with what is to be told beside it."""
    before: Any = data.get(MIME)
    if isinstance(before, dict):
        note = {**note, **before}
    text = data.get("text/plain")
    if isinstance(text, str) and text[:1] == text[-1:] and text[:1] in QUOTES:
        note["text"] = text  # E2B takes the quotes away
    if metadata:
        with suppress(TypeError, ValueError, RecursionError):
            note["metadata"] = json.loads(json.dumps(metadata))
    return {**data, MIME: note} if note else data


def ask_exit(*_arguments: object) -> None:
    """`exit` and `quit`."""
    raise SystemExit


def enter() -> None:
    """Go where cells are to run, and import from there: this interpreter has started before it
    knew of a PYTHONPATH."""
    if DIRECTORY is not None:
        os.chdir(Path(DIRECTORY).expanduser())
    sys.path[sys.path[:1] == [""] : 0] = [path for path in PATHS if path not in sys.path]


def forget_after_this(shell: Any) -> None:
    """Begin to count anew once this cell is over: in a new context, and for every notebook."""

    def forget(*_result: object) -> None:
        shell.events.unregister("post_run_cell", forget)
        if TELLS != "all" and shell.execution_count != FIRST + 1:
            return
        history = shell.history_manager
        history.reset(new_session=True)  # else the history file has two first lines
        history._i00 = history._i = history._ii = history._iii = ""
        shell.user_ns.update(_i="", _ii="", _iii="")
        for number in range(FIRST, shell.execution_count + 1):
            shell.user_ns.pop(f"_i{number}", None)
        shell.execution_count = FIRST

    shell.events.register("post_run_cell", forget)


def connect(shell: Any) -> None:
    """Connect the shell that runs this; once, however many notebooks it runs."""
    import warnings

    forget_after_this(shell)
    earlier: Any = getattr(shell, "e2brun_connection", None)
    if earlier is not None:
        earlier.end()
    warnings.filterwarnings("ignore", message="To exit: use 'exit'")
    if TELLS:
        Connection(shell).begin()


if __name__ == "e2brun_prelude":
    enter()
    with suppress(Exception):  # another IPython than we know: a little is lost
        connect(__import__("IPython").get_ipython())
