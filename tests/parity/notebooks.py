"""Notebooks: state, ends, tags, parameters, displays, time limits, and what is no notebook."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tests.parity.sides import Case

Source = str | tuple[str, ...]  # a code cell, with its tags behind it; markdown begins with #


def document(cells: Sequence[Source], language: str = "python") -> str:
    """As Jupyter writes one that never ran."""
    written: list[dict[str, object]] = []
    for number, cell in enumerate(cells):
        source, *tags = (cell,) if isinstance(cell, str) else cell
        fields: dict[str, object] = {
            "id": f"c{number}",
            "metadata": {"tags": tags} if tags else {},
            "source": source.splitlines(keepends=True),
        }
        if source.startswith("# markdown"):
            written.append({"cell_type": "markdown", **fields})
        else:
            written.append({
                "cell_type": "code", "execution_count": None, "outputs": [], **fields,
            })  # fmt: skip
    kernel = {
        "name": "python3" if language == "python" else language,
        "language": language,
        "display_name": language,
    }
    metadata = {"kernelspec": kernel, "language_info": {"name": language}}
    whole = {"cells": written, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=1)


def notebook(name: str, *cells: Source, options: tuple[str, ...] = (), **how: object) -> Case:
    """`exec --output out.ipynb OPTIONS n.ipynb`."""
    language = str(how.pop("language", "python"))
    files: dict[str, str | bytes] = {"n.ipynb": document(cells, language), **how.pop("files", {})}  # type: ignore[dict-item]
    return Case(name, ("--output", "out.ipynb", *options, "n.ipynb"), files, **how)  # type: ignore[arg-type]


_DISPLAY = "from IPython.display import *"
# Those that are parts of one, which a real kernel is asked about, too.
RUNNABLE = [
    notebook("state from cell to cell", "x = 1", "x += 1\nx", "# markdown", "print(x); x * 2"),
    notebook("empty cells between", "1", "", "# c", "  \n", "2"),
    notebook("streams and values", "import sys\nprint('o'); print('e', file=sys.stderr)",
             "'a'", "[1, 'b']", "{'k': 1}", "None", "display('x', 2); 3"),
    notebook("rich displays", _DISPLAY, "HTML('<b>')", "display(Markdown('*m*'), Latex('$x$'))",
             "SVG('<svg xmlns=\"http://www.w3.org/2000/svg\"/>')", "JSON({'a': 1})",
             "Javascript('x')", "Image(b'\\x89PNG\\r\\n\\x1a\\n' + bytes(20), format='png')"),
    notebook("updated displays", _DISPLAY, "h = display(1, display_id='a')", "h.update(2)",
             "display(3, display_id='b'); update_display(4, display_id='b')",
             "display(HTML('x'), display_id='c')\nupdate_display(HTML('y'), display_id='c')"),
    notebook("cleared outputs", _DISPLAY, "print('a'); clear_output(); print('b')",
             "for i in range(3):\n    clear_output(wait=True); print(i)", "display(1);"
             " clear_output(wait=True)", "print('p'); display(2); clear_output(); 3"),
    notebook("magics", "%env A=1", "%%bash\necho $A b", "x = !echo c\nx",
             "%%capture got\nprint('x')", "got.stdout"),
    notebook("a cell that may fail", ("1/0", "raises-exception"), "'on'",
             ("import sys; sys.stderr.write('e'); raise KeyError('k')", "raises-exception"), "_"),
    notebook("a cell that is left out", ("1/0", "skip-execution"), "print('ran')"),
    notebook("await and tasks", "import asyncio", "await asyncio.sleep(0.01, 'slept')",
             "async def f():\n    print('in f'); return 2\nawait f()"),
]  # fmt: skip
_ENDS = [
    notebook("a failure ends it", "print('a')", "def f():\n    raise ValueError('no')\nf()",
             "print('never')", ends="error"),
    notebook("a syntax error", "x = (", "print('never')", ends="error"),
    notebook("raise SystemExit", "raise SystemExit", "print('never')"),
    notebook("sys.exit(3)", "import sys; sys.exit(3)", "print('never')", ends="error"),
    notebook("os._exit", "print('a', flush=True)", "import os; os._exit(7)", "1", ends="killed"),
    notebook("the time limit", "print('a')", "import time; time.sleep(30)", "print('never')",
             options=("--timeout", "2"), ends="timeout"),
    notebook("the time limit of a cell", "print('a')", "import time; time.sleep(30)",
             options=("--cell-timeout", "1"), ends="timeout"),
    notebook("parameters, from a file as well", ("a = 1\nb = c = 'x'", "parameters"), "1/0",
             "print(a, b, c)", options=("--params", "p.toml", "-p", "c=y z", "--allow-errors"),
             files={"p.toml": "a = 2.5\nb = [1, 'ü']\n"}),
    notebook("files and a directory", "import os; os.getcwd()", "open('o.txt', 'w').write('x')",
             options=("--cwd", "w", "--get", "w/o.txt")),
    notebook("javascript in a directory", "let x = 5", "console.log(x); console.log(process.cwd())",
             language="javascript", options=("--cwd", "~/w")),
    notebook("bash", "x=5; echo $x", "echo $((x + 1)); ls /nonesuch", language="bash",
             ends="error"),
]  # fmt: skip
NOTEBOOKS = [RUNNABLE[0], *_ENDS]
