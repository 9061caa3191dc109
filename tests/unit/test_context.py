"""A session of cells: values, state, awaiting, streams, interrupts."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.context_program import AGENT, DEADLINE, Context, lasting_context, running_context

__all__ = ["lasting_context", "running_context"]  # the fixtures


# The value of a cell, and what lasts


def test_state_lasts_and_the_last_expression_is_the_main_result(context: Context) -> None:
    first = context.run("x = 20\ndef double(n):\n    return 2 * n")
    assert first.outcome.results == []
    assert first.fine
    second = context.run("y = 1\ndouble(x) + 2 * y")
    assert second.main == {"text": "42", "extra": {}, "is_main_result": True}
    assert second.outcome.execution_count == 2
    assert context.run("_ + 1").main["text"] == "43"


@pytest.mark.parametrize(
    "code",
    ["None", "1;", "1 ;  # quiet", "(1\n);", "'é';", "x = 1", "", "# nothing", "(yes := 1);"],
)
def test_there_is_no_result_where_there_is_nothing_to_show(lasting: Context, code: str) -> None:
    cell = lasting.run(code)
    assert cell.outcome.results == []
    assert cell.fine


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("'abc'", "abc"),
        ('"it\'s"', "it's"),
        ("1 # ;", "1"),
        ("'a;'", "a;"),
        ("(1,\n 2)", "(1, 2)"),
        ("x = 1; x", "1"),
        ("    x = 3\n    x + 1", "4"),
        ("\n\n  7", "7"),
        ("b'raw'", "b'raw'"),
        ("'\\u2028'", "\\u2028"),
    ],
)
def test_the_text_of_a_result(lasting: Context, code: str, text: str) -> None:
    assert lasting.run(code).main["text"] == text


def test_the_underscore_of_the_user_stays_theirs(context: Context) -> None:
    context.run("_ = 'mine'")
    context.run("42")
    assert context.run("_ + '!'").main["text"] == "mine!"


def test_a_future_import_holds_for_later_cells(context: Context) -> None:
    context.run("from __future__ import annotations\n1")
    context.run("def f(x: nowhere): pass")
    assert context.run("f.__annotations__['x']").main["text"] == "nowhere"


def test_the_namespace_is_main_and_looks_like_a_notebook(context: Context) -> None:
    code = (
        "import sys\nmain = sys.modules['__main__']\n"
        "[__name__, main.__dict__ is globals(), sys.path[0], sys.argv]"
    )
    assert context.run(code).main["json"] == ["__main__", True, "", [""]]
    hidden = "[n for n, m in sys.modules.items() if 'agent' in str(getattr(m, '__file__', ''))]"
    assert context.run(hidden).main["text"] == "[]"


def test_a_module_of_the_user_may_have_the_name_of_one_of_ours(context: Context) -> None:
    for name in ("display", "channel", "session", "context"):
        (context.cwd / f"{name}.py").write_text(f"who = 'my {name}'")
    code = (
        "import display, channel, session, context\n"
        "[m.who for m in (display, channel, session, context)]"
    )
    assert context.run(code).main["json"] == [
        "my display",
        "my channel",
        "my session",
        "my context",
    ]


# Awaiting


def test_a_cell_may_start_its_own_loop_before_and_after_awaiting(context: Context) -> None:
    code = (
        "import asyncio\nasync def f():\n"
        "    return asyncio.get_running_loop() is not None\nasyncio.run(f())"
    )
    assert context.run(code).main["text"] == "True"
    assert context.run("await f()").main["text"] == "True"
    assert context.run("asyncio.run(f())").main["text"] == "True"
    assert context.run("await f()").main["text"] == "True"


def test_one_cell_is_one_task(context: Context) -> None:
    code = (
        "import asyncio, contextvars\nv = contextvars.ContextVar('v')\nv.set(5)\n"
        "await asyncio.sleep(0)\nv.get()"
    )
    assert context.run(code).main["text"] == "5"


def test_an_error_in_an_awaited_cell_shows_only_the_users_frames(context: Context) -> None:
    error = context.run(
        "import asyncio\nasync def f():\n    await asyncio.sleep(0)\n    1/0\nawait f()"
    ).error
    assert error.name == "ZeroDivisionError"
    assert "Cell In[1], line 5\n" in error.traceback
    assert "----> 5 await f()" in error.traceback
    assert str(AGENT) not in error.traceback
    assert "base_events.py" not in error.traceback


def test_tasks_left_behind_do_not_complain_at_the_end(context: Context) -> None:
    context.run(
        "import asyncio\nt = asyncio.create_task(asyncio.sleep(100))\nawait asyncio.sleep(0)"
    )
    assert context.leave() == (0, "", "")


# Streams


def test_output_is_complete_and_in_order_at_the_end_of_a_cell(context: Context) -> None:
    code = (
        "import os, sys\nprint('one')\nos.system('echo two')\nprint('three', end='')\n"
        "print('wrong', file=sys.stderr, end='')"
    )
    cell = context.run(code)
    assert cell.stdout == "one\ntwo\nthree"
    assert cell.stderr == "wrong"


def test_at_the_end_exit_handlers_run(context: Context) -> None:
    context.run("import atexit\natexit.register(print, 'bye')\nprint('partial', end='')")
    assert context.leave() == (0, "bye\n", "")


def test_a_stream_that_the_user_replaced_is_theirs(context: Context) -> None:
    cell = context.run("import io, sys\nsys.stdout = io.StringIO()\nprint('caught')")
    assert cell.stdout == ""
    assert context.run("sys.stdout.getvalue()").main["text"] == "caught\\n"
    context.run("sys.stdout = sys.__stdout__")
    assert context.run("print('back')").stdout == "back\n"


# Interrupts


def interrupt_after(
    context: Context, seconds: float, begun: Path | None = None
) -> Callable[[], None]:
    """In so many seconds; after the cell has made the file `begun`."""

    def meanwhile() -> None:
        end = time.monotonic() + DEADLINE
        while begun is not None and not begun.exists() and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(seconds)
        context.process.send_signal(signal.SIGINT)

    return meanwhile


@pytest.mark.parametrize(
    "code",
    [
        "import time\ntime.sleep(60)",
        "while True: pass",
        "import asyncio\nawait asyncio.sleep(60)",
        "import time\nclass R:\n  def __repr__(self):\n    time.sleep(60)\ndisplay(R())",
    ],
)
def test_an_interrupted_cell_raises_and_the_next_one_runs(context: Context, code: str) -> None:
    context.run("kept = 1")
    interrupt = interrupt_after(context, 0.1, begun=context.cwd / "begun")
    error = context.run("open('begun', 'w').close()\n" + code, meanwhile=interrupt).error
    assert error.name == "KeyboardInterrupt"
    assert "Cell In[2], line" in error.traceback
    assert f"{AGENT}/" not in error.traceback
    assert context.run("kept").main["text"] == "1"


def test_an_interrupt_between_cells_is_nothing(context: Context) -> None:
    context.run("1")
    time.sleep(0.1)
    context.process.send_signal(signal.SIGINT)
    time.sleep(0.1)
    assert context.run("2").main["text"] == "2"


def test_an_interrupt_never_tears_a_frame(context: Context) -> None:
    context.run("1")
    code = "while True: display('x' * 3_000_000)"
    for pause in (0.05, 0.1, 0.15, 0.2):
        cell = context.run(code, meanwhile=interrupt_after(context, pause))
        assert cell.forged == ""
        assert cell.outcome.ended


def test_a_timer_whose_handler_raises_hits_the_cell_and_nothing_else(context: Context) -> None:
    context.run(
        # No Exception: that may hit a repr method, where it costs one format and no more.
        "import signal\nclass Rang(BaseException): pass\n"
        "def ring(*_): raise Rang('rang')\n"
        "signal.signal(signal.SIGALRM, ring)"
    )
    for _ in range(3):
        cell = context.run(
            "signal.setitimer(signal.ITIMER_REAL, 0.1)\nwhile True: display('x' * 3_000_000)"
        )
        assert (cell.forged, cell.error.value) == ("", "rang")
    context.run("signal.setitimer(signal.ITIMER_REAL, 0.1);")
    time.sleep(0.3)
    assert context.run("1").error.value == "rang"
    assert context.run("1").main["text"] == "1"


def test_a_handler_of_the_user_is_kept_from_cell_to_cell(context: Context) -> None:
    context.run(
        "import signal, time\nhits = []\nsignal.signal(signal.SIGINT, lambda *_: hits.append(1))"
    )
    context.run("time.sleep(0.5)", meanwhile=interrupt_after(context, 0.2))
    assert context.run("hits").main["text"] == "[1]"


# Older Pythons


def test_ipython_8_which_makes_a_store_itself_keeps_none_in_a_profile() -> None:
    imitated = (
        "import os.path, sys; import IPython.core.interactiveshell as there\n"
        "there.PickleShareDB = open  # the name it has there; called with a path in the profile\n"
        "begin = there.InteractiveShell.init_history\n"
        "def init_history(self):\n"
        "    self.db = there.PickleShareDB(os.path.join(self.profile_dir.location, 'db'))\n"
        "    begin(self)\n"
        "there.InteractiveShell.init_history = init_history\n"
        "sys.path.insert(0, os.path.dirname(sys.argv[1]))\n"
        "from agent.kernels.python.shell import new_shell\n"
        "print(new_shell().run_cell('%store').error_in_exec)\n"
    )
    argv = [sys.executable, "-c", imitated, str(AGENT)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=DEADLINE)
    assert done.stdout.splitlines()[-1:] == ["None"], done.stderr
