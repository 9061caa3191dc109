"""run_code of the real SDK: results of every kind, errors, streams, magics, interruption."""

from __future__ import annotations

from typing import Any

import pytest
from e2b.exceptions import NotFoundException, TimeoutException

pytestmark = pytest.mark.slow


def test_state_is_kept_and_cells_are_counted(interpreter: Any) -> None:
    assert interpreter.run_code("x = 1").execution_count == 1
    assert interpreter.run_code("  x +=").error.name == "SyntaxError"
    done = interpreter.run_code("x += 1\nx")
    assert (done.text, done.execution_count, done.error) == ("2", 3, None)


def test_output_streams_line_by_line(interpreter: Any) -> None:
    out: list[Any] = []
    err: list[Any] = []
    done = interpreter.run_code(
        "import sys, time\nprint('Hello')\ntime.sleep(0.1)\nprint('a\\u2028b')\n"
        "print('bad', file=sys.stderr)",
        on_stdout=out.append,
        on_stderr=err.append,
    )
    assert [message.line for message in out] == ["Hello\n", "a\u2028b\n"]
    assert [message.line for message in err] == ["bad\n"]
    assert done.logs.stdout == ["Hello\n", "a\u2028b\n"]


def test_an_error_has_name_value_and_a_plain_traceback(interpreter: Any) -> None:
    code = "def deep():\n    raise ValueError('why')\ndeep()"
    errors: list[Any] = []
    error = interpreter.run_code(code, on_error=errors.append).error
    assert (error.name, error.value) == ("ValueError", "why")
    assert "----> 2" in error.traceback
    assert "\x1b" not in error.traceback
    assert len(errors) == 1


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("raise ExceptionGroup('g', [ValueError(1)])", "ExceptionGroup"),
        ("import sys; sys.exit(3)", "SystemExit"),
        ("exit()", "SystemExit"),
        ("input()", "StdinNotImplementedError"),
        ("%nonexistent", "UsageError"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("await asyncio.sleep(0)", "NameError"),
    ],
)
def test_whatever_ends_a_cell_is_one_error_and_the_next_works(
    interpreter: Any, code: str, name: str
) -> None:
    assert interpreter.run_code(code).error.name == name
    assert interpreter.run_code("1 + 1").text == "2"


def test_magics_and_commands(interpreter: Any) -> None:
    done = interpreter.run_code("!echo out; echo err >&2")
    assert (done.logs.stdout, done.logs.stderr) == (["out\n"], ["err\n"])
    assert interpreter.run_code("%%bash\necho magic").logs.stdout == ["magic\n"]
    assert interpreter.run_code("found = !echo a\nfound[0]").text == "a"
    assert "per loop" in interpreter.run_code("%timeit -n1 -r1 1").logs.stdout[0]


def test_top_level_await_and_tasks_that_go_on_between_cells(interpreter: Any) -> None:
    code = "import asyncio\nasync def tick():\n  global n\n"
    code += "  for n in range(5): await asyncio.sleep(0.01)"
    interpreter.run_code(code + "\ntask = asyncio.create_task(tick())")
    interpreter.run_code("import time; time.sleep(0.1)")
    assert interpreter.run_code("await task\nn").text == "4"
    assert interpreter.run_code("asyncio.run(asyncio.sleep(0, 'own loop'))").text == "own loop"


def test_displays_of_every_kind(interpreter: Any) -> None:
    done = interpreter.run_code(
        "from IPython.display import *\n"
        "display(HTML('<b>h</b>'), Markdown('# m'), Latex('$l$'), SVG('<svg></svg>'))\n"
        "display(Javascript('1'), JSON({'j': 1}))\n"
        "display({'text/plain': 't', 'application/foo': 'bar'}, raw=True)\n"
        "[1, {'a': None}]"
    )
    html, markdown, latex, svg, script, json_, foreign, last = done.results
    assert (html.html, markdown.markdown, latex.latex) == ("<b>h</b>", "# m", "$l$")
    assert "<svg" in svg.svg
    assert (script.javascript, json_.json) == ("1", {"j": 1})
    assert foreign.extra == {"application/foo": "bar"}
    assert (last.json, last.is_main_result, last.extra) == ([1, {"a": None}], True, {})
    assert not any(result.is_main_result for result in done.results[:-1])


def test_a_string_loses_its_quotes_and_long_lists_nothing(interpreter: Any) -> None:
    assert interpreter.run_code("'abc'").text == "abc"
    assert interpreter.run_code("list(range(3000))").text.count(",") == 2999
    assert interpreter.run_code("1;").results == []


def test_a_frame_comes_with_its_data(interpreter: Any) -> None:
    (result,) = interpreter.run_code(
        "import pandas as pd\n"
        "pd.DataFrame({'n': [1, 2], 'f': [1.5, None], 's': ['a', None],"
        " 't': pd.to_datetime(['2020-01-01', None]), 5: [True, False]})"
    ).results
    assert result.data == {
        "n": [1, 2], "f": [1.5, None], "s": ["a", None], "t": ["2020-01-01T00:00:00", None],
        "5": [True, False],
    }  # fmt: skip
    assert "<table" in result.html
    assert "2020-01-01" in result.text
    twice = "pd.DataFrame([[1, 2]], columns=['a', 'a'])"
    assert interpreter.run_code(twice).logs.stderr == []


def test_pictures_are_displayed_when_shown_or_saved(interpreter: Any) -> None:
    code = "from PIL import Image\npicture = Image.new('RGB', (4, 4))\npicture."
    for way in ("show()", "save('/tmp/picture.png')", "save(fp='/tmp/picture.png')"):
        (result,) = interpreter.run_code(code + way).results
        assert result.png


def test_an_execution_has_variables_of_its_own(interpreter: Any) -> None:
    ask = "import os; os.getenv('OWN')"
    assert interpreter.run_code(ask, envs={"OWN": "value"}).text == "value"
    assert interpreter.run_code(ask).text is None


def test_a_timeout_interrupts_and_keeps_the_state(interpreter: Any) -> None:
    interpreter.run_code("kept = 'state'")
    with pytest.raises(TimeoutException):
        interpreter.run_code("import time; time.sleep(300)", timeout=0.5)
    assert interpreter.run_code("kept", timeout=10).text == "state"
    with pytest.raises(TimeoutException):
        interpreter.run_code("import asyncio; await asyncio.sleep(300)", timeout=0.5)
    assert interpreter.run_code("kept", timeout=10).text == "state"


def test_programs_that_fork_and_start_themselves(interpreter: Any) -> None:
    forks = "import os\nif os.fork() == 0:\n  print('child')\nelse:\n  os.wait(); print('parent')"
    assert "".join(interpreter.run_code(forks).logs.stdout) == "child\nparent\n"
    pool = "from multiprocessing import Pool\ndef sq(x): return x * x\n"
    pool += "with Pool(2) as p: r = p.map(sq, [1, 2])\nr"
    assert interpreter.run_code(pool).text == "[1, 4]"


def test_nothing_heavy_is_imported_and_home_is_clean(interpreter: Any) -> None:
    code = "import sys, os\n[m for m in ('pandas', 'matplotlib', 'numpy') if m in sys.modules]"
    assert interpreter.run_code(code).text == "[]"
    assert ".ipython" not in interpreter.run_code("os.listdir()").text


def test_unknown_contexts_are_not_found(interpreter: Any) -> None:
    context = interpreter.create_code_context()
    interpreter.remove_code_context(context)
    with pytest.raises(NotFoundException):
        interpreter.run_code("1", context=context)


def test_the_lean_template_runs_cells_too(sandbox: Any, service: Any) -> None:
    from e2b_code_interpreter import Sandbox

    lean = Sandbox.connect(sandbox.sandbox_id)
    done = lean.run_code("print('Hello')\nimport asyncio\nawait asyncio.sleep(0, {'a': 1})")
    assert (done.text, done.logs.stdout) == ("{'a': 1}", ["Hello\n"])
