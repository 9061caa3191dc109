"""Cells: every display type, every way to fail, magics, async, threads, packages."""

from __future__ import annotations

from tests.parity.sides import Case


def cell(name: str, code: str, *options: str, **how: object) -> Case:
    """`exec OPTIONS -c CODE`."""
    return Case(name, (*options, "-c", code), **how)  # type: ignore[arg-type]


_SHOWN = "from IPython.display import *\n"
_VALUES = [
    cell("a number", "1 + 1"),
    cell("nothing", ""),
    cell("a string", "'a'"),
    cell("a string of lines", "'a\\nb'"),
    cell("a list", "[1, 'two', None, 3.5]"),
    cell("a long list", "list(range(2000))"),
    cell("a dict", "{'a': {'b': [1]}, 2: None}"),
    cell("a list that holds itself", "x = []; x.append(x); x"),
    cell("floats that JSON has not", "[float('nan'), float('inf')]"),
    cell("a semicolon hides a value", "42;"),
    cell("printed and returned", "print('out'); 'value'"),
    cell("both streams", "import sys; print('o'); print('e', file=sys.stderr); 1"),
    cell("many lines of output", "for i in range(3000): print(i)"),
    cell("raw writes", "import os; os.write(1, b'raw\\xff\\n'); os.system('echo child'); None"),
    cell("underscore and In", "1\n_ , In[-1][:4], len(Out)"),
    cell("unicode", "print('👩‍👩‍👧 é \\u2028'); '\\U0001F600'"),
    cell("a lone surrogate", "'\\ud800'"),
    cell("NUL and escapes", "print('\\0\\x1b[31mx'); '\\x1b[0m'"),
    cell("indented as a whole", "    x = 1\n    x + 1"),
    cell("a namespace of its own", "__name__, '__file__' in dir()"),
]  # fmt: skip
_DISPLAYS = [
    cell("display of a value", "display(1, 'two'); 3"),
    cell("HTML", _SHOWN + "HTML('<b>é</b>')"),
    cell("Markdown", _SHOWN + "Markdown('**b**')"),
    cell("Latex and Math", _SHOWN + "display(Math('x^2')); Latex('$x$')"),
    cell("SVG", _SHOWN + "SVG('<svg xmlns=\"http://www.w3.org/2000/svg\"/>')"),
    cell("PNG", _SHOWN + "Image(b'\\x89PNG\\r\\n\\x1a\\n' + bytes(20), format='png')"),
    cell("JSON", _SHOWN + "JSON({'a': [1, None]})"),
    cell("Javascript", _SHOWN + "Javascript('alert(1)')"),
    cell("Pretty, Code, FileLink", _SHOWN + "display(Pretty('p')); Code('x = 1')"),
    cell("a bundle of types", "display({'text/plain': 'p', 'text/x-own': 'mine',"
         " 'application/vnd.x+json': {'a': 1}}, raw=True)"),
    cell("metadata", _SHOWN + "display(HTML('x'), metadata={'text/html': {'isolated': True}})"),
    cell("a display handle", _SHOWN + "h = display('first', display_id='a')\nh.update('second')"),
    cell("update_display", _SHOWN + "display(1, display_id='x'); display(2)\n"
         "update_display(3, display_id='x')"),
    cell("clear_output", _SHOWN + "print('gone'); display(1); clear_output(); print('kept')"),
    cell("clear_output(wait=True) in a loop", _SHOWN + "for i in range(4):\n"
         "    clear_output(wait=True); print(i); display(i)"),
    cell("objects that show themselves", "class R:\n"
         "    def _repr_html_(self): return '<b>h</b>'\n"
         "    def _repr_markdown_(self): return '*m*'\n    def _repr_svg_(self): return '<svg/>'\n"
         "    def _repr_json_(self): return {'a': 1}\n    def _repr_latex_(self): return '$l$'\n"
         "    def __repr__(self): return 'R()'\nR()"),
    cell("_repr_mimebundle_", "class R:\n    def _repr_mimebundle_(self, include=None,"
         " exclude=None): return {'text/plain': 't', 'text/html': '<h>'}\nR()"),
    cell("_ipython_display_", "class R:\n    def _ipython_display_(self): print('shown')\nR()"),
    cell("a repr_html that raises", "class R:\n    def _repr_html_(self):\n        1/0\n"
         "    def __repr__(self):\n        return 'R'\nR()", ends="error"),
    cell("a repr that raises", "class R:\n    def __repr__(self):\n"
         "        raise ValueError('no repr')\nR()",
         ends="error"),
    cell("a repr that is no string", "class R:\n    def __repr__(self): return 5\nR()",
         ends="error"),
    cell("a repr of lines", "class R:\n    def __repr__(self): return 'a\\nb'\nR()"),
    cell("progress on one line", "for i in range(3): print(i, end='\\r')\nprint('done')"),
]  # fmt: skip
_FAILURES = [
    cell("an exception", "x = 1\nraise ValueError('a\\nb')", ends="error"),
    cell("in nested functions", "def f(x):\n    return g(x) + 1\ndef g(x):\n    y = x * 2\n"
         "    return 1 / (y - y)\nprint('in')\nf(3)", ends="error"),
    cell("in the standard library", "import json\njson.loads('{')", ends="error"),
    cell("chained", "try:\n    1/0\nexcept ZeroDivisionError as e:\n"
         "    raise RuntimeError('then') from e", ends="error"),
    cell("while handling another", "try:\n    1/0\nexcept ZeroDivisionError:\n    {}['k']",
         ends="error"),
    cell("a group", "raise ExceptionGroup('g', [OSError(1), ExceptionGroup('h', [OSError(2)])])",
         ends="error"),
    cell("a note", "e = ValueError('x'); e.add_note('see'); raise e", ends="error"),
    cell("a str that raises", "class E(Exception):\n    def __str__(self): return 1/0\nraise E",
         ends="error"),
    cell("SyntaxError", "x = (1,\n", ends="error"),
    cell("SyntaxError in the middle", "a = 1\nb = = 2\nc = 3", ends="error"),
    cell("SyntaxError at run time", "eval('1 +')", ends="error"),
    cell("RecursionError", "import sys; sys.setrecursionlimit(300)\n"
         "def f(n): return f(n + 1)\nf(0)", ends="error"),
    cell("NameError", "undefined_name", ends="error"),
    cell("NameError, nearly right", "value = 1\nvalu", ends="error"),
    cell("ModuleNotFoundError", "import nonesuch_module", ends="error"),
    cell("KeyboardInterrupt", "raise KeyboardInterrupt", ends="error"),
    cell("GeneratorExit", "raise GeneratorExit", ends="error"),
    cell("MemoryError", "bytearray(10 ** 18)", ends="error"),
    cell("an error after a result", "display(1); print('p'); 1/0", ends="error"),
    cell("raising in a thread", "import threading\nt = threading.Thread(target=lambda: 1/0)\n"
         "t.start(); t.join(); 'on'"),
    cell("a warning", "import warnings; warnings.warn('careful')"),
    cell("a deprecation", "import warnings; warnings.warn('old', DeprecationWarning)"),
    cell("a syntax warning", "x = 5\nx is 5"),
    cell("input()", "input('q? ')", ends="error"),
    cell("getpass", "import getpass; getpass.getpass()", ends="error"),
    cell("stdin", "import sys; sys.stdin.read()"),
    cell("sys.exit(3)", "import sys; sys.exit(3)", ends="error"),
    cell("sys.exit('words')", "import sys; sys.exit('words')", ends="error"),
    cell("sys.exit(256)", "import sys; sys.exit(256)"),
    cell("os._exit(7)", "import os; print('lost', flush=True); os._exit(7)", ends="killed"),
    cell("a segmentation fault", "import ctypes; ctypes.string_at(0)", ends="killed"),
    cell("out of memory", "x = [bytearray(b'1') * 10_000_000 for _ in range(10**6)]",
         ends="oom", unavoidable="memory"),
    cell("time limit in a loop", "print('in')\nwhile True: pass", "--timeout", "1",
         ends="timeout"),
    cell("deaf to interrupts", "import time\nwhile True:\n    try: time.sleep(30)\n"
         "    except KeyboardInterrupt: print('no')", "--timeout", "1", ends="timeout"),
]  # fmt: skip
_IPYTHON = [
    cell("!cmd", "!echo hi; echo err >&2"),
    cell("!cmd that fails", "!exit 3\n_exit_code"),
    cell("lines of !cmd", "x = !printf 'a\\nb\\n'\nx"),
    cell("sudo in !cmd", "!sudo whoami; whoami"),
    cell("a variable in !cmd", "n = 'N'\n!echo {n} $n $HOME"),
    cell("%pushd and %popd", "%pushd /tmp\n%popd"),
    cell("%store", "x = 1\n%store x\n%store"),
    cell("%autoawait", "%autoawait"),
    cell("%env", "%env AB=1\nimport os; os.environ['AB']"),
    cell("%who", "a = 1; b = 'x'\n%who"),
    cell("%precision", "%precision 2\n3.14159"),
    cell("%%capture", "%%capture got\nprint('x')"),
    cell("%%bash", "%%bash\nfor i in 1 2; do echo $i; done"),
    cell("%%bash that fails", "%%bash\necho out; echo err >&2; exit 3", ends="error"),
    cell("%%script", "%%script python3\nprint(6 * 7)"),
    cell("%%writefile and %run", "%%writefile m.py\nx = 5"),
    cell("%%markdown and %%latex", "%%markdown\n*x*"),
    cell("%matplotlib", "%matplotlib inline"),
    cell("%config", "%config InlineBackend.figure_format = 'svg'\n1"),
    cell("%xmode", "%xmode Minimal\n1/0", ends="error"),
    cell("a magic that there is not", "%nonesuch", ends="error"),
    cell("a cell magic that there is not", "%%nonesuch\nx", ends="error"),
    cell("name?", "len?"),
    cell("a name of its own?", "def f(x: int = 3) -> str:\n    'Say it.'\nf?"),
    cell("a name that there is not?", "nonesuch?"),
    cell("what tells a notebook", "shell = get_ipython()\ntype(shell).__name__,"
         " type(shell).__module__, 'IPKernelApp' in shell.config, hasattr(shell, 'kernel')"),
    cell("get_ipython", "get_ipython().run_line_magic('pwd', '')"),
    cell("top-level await", "import asyncio\nawait asyncio.sleep(0.01, 'slept')"),
    cell("asyncio.run in a cell", "import asyncio\nasync def f(): return 1\n"
         "try: asyncio.run(f())\nexcept RuntimeError as e: print(e)"),
    cell("await that raises", "async def f(): 1/0\nawait f()", ends="error"),
    cell("the loop of a cell", "import asyncio; asyncio.get_event_loop().is_running()"),
    cell("a task left behind", "import asyncio\nt = asyncio.ensure_future(asyncio.sleep(9)); 1"),
    cell("threads that print", "import threading\nts = [threading.Thread(target=print, args=(i,))"
         " for i in range(3)]\nfor t in ts: t.start(); t.join()"),
    cell("a child that holds the output",
         "import subprocess\nsubprocess.Popen(['sleep', '60']); 1"),
    cell("subprocess.run", "import subprocess; subprocess.run(['echo', 'x']); print('y')"),
    cell("multiprocessing", "import multiprocessing as m\nwith m.get_context('fork').Pool(2) as p:"
         "\n    r = p.map(abs, [-1, -2])\nr"),
    cell("multiprocessing by spawn", "import multiprocessing as m\np = m.get_context('spawn')"
         ".Process(target=print, args=('hi',))\np.start(); p.join(); p.exitcode"),
    cell("logging", "import logging; logging.warning('w'); logging.info('i')"),
]  # fmt: skip
_PLACE = [
    cell("--cwd that cannot be made", "1", "--cwd", "/proc/1/x", ends="infrastructure"),
    cell("--cwd outside the home directory", "import os; os.getcwd(), os.access('.', os.W_OK)",
         "--cwd", "/workspace"),
    cell("--env", "import os; os.environ['A'], os.environ.get('MINE')", "--env", "A=b c",
         env={"MINE": "x"}),
    cell("--file and --get", "open('o', 'w').write(open('i').read() * 2)", "--file", "i", "--get",
         "o", files={"i": "12"}),
    cell("a module beside it", "import helper; helper.f()", "--file", "helper.py", ends="error",
         files={"helper.py": "def f():\n    raise ValueError('in helper')\n"}),
    cell("--get of what is not there", "1", "--get", "none"),
    Case("a file as a cell", ("--cell", "c.py"), {"c.py": "def f():\n    return 5\n\nf()\n"}),
    Case("a file as a cell that fails", ("--cell", "c.py"),
         {"c.py": "def f():\n    1/0\n\nf()\n"}, ends="error"),
    Case("stdin as a cell", ("--cell", "-"), stdin=b"x = 3\nx * 2"),
    Case("arguments of a cell", ("--cell", "c.py", "a"), {"c.py": "1"}, ends="usage"),
    Case("a shell script as a cell", ("--cell", "c.sh"), {"c.sh": "ls"}, ends="usage"),
]  # fmt: skip
PACKAGES = [
    cell("numpy", "import numpy as np\nnp.arange(6).reshape(2, 3)"),
    cell("an error in numpy", "import numpy as np\nnp.ones(2) @ np.ones(3)", ends="error"),
    cell("a pandas DataFrame", "import pandas as pd\npd.DataFrame({'a': [1], 'b': [None]})"),
    cell("a large DataFrame", "import pandas as pd\npd.DataFrame({'a': range(500)})"),
    cell("an error in pandas", "import pandas as pd\npd.DataFrame({'a': [1]})['b']", ends="error"),
    cell("a plot", "import matplotlib.pyplot as plt\nplt.plot([1, 2], [3, 4], label='l')\n"
         "plt.title('T'); plt.xlabel('x (s)')\nplt.show()"),
    cell("a picture", "from PIL import Image\nImage.new('RGB', (4, 4), 'red')"),
    cell("formats of figures", "from matplotlib_inline.backend_inline import"
         " set_matplotlib_formats as f\nf('svg')"),
    cell("pip is there", "import pip; pip.__name__"),
]  # fmt: skip
CELLS = [*_VALUES, *_DISPLAYS, *_FAILURES, *_IPYTHON, *_PLACE, *PACKAGES]
# They would end the cells after them.
_APART = {"RecursionError", "KeyboardInterrupt", "GeneratorExit", "a child that holds the output"}
# They change the cells after them, so that they come last; a real kernel is not asked.
_LAST = (
    "a task left behind", "asyncio.run in a cell", "%%capture", "%store", "%env", "%autoawait",
    "%matplotlib", "formats of figures", "%config", "%precision", "%xmode",
)  # fmt: skip


def _is_harmless(case: Case) -> bool:
    leaves = "xit" in case.name or case.name in _APART
    return case.argv[0] == "-c" and case.ends in {"ok", "error"} and not leaves


# What can be one of many cells of a notebook; a few of them run alone as well.
TOGETHER = sorted(
    filter(_is_harmless, CELLS),
    key=lambda case: _LAST.index(case.name) if case.name in _LAST else -1,
)
ALONE = [case for case in CELLS if case not in TOGETHER or case in TOGETHER[::80]]
# What Jupyter's own kernel shows otherwise, by why ours are not as it has them.
_OTHERWISE = {
    "as E2B has it, not Jupyter": (
        "floats that JSON has not", "a long list", "a magic that there is not",
        "a cell magic that there is not", "a repr_html that raises", "a group",
        "a syntax warning",
    ),
    "a cell's place and names": (
        "underscore and In", "a namespace of its own", "a module beside it",
        "%who", "%pushd and %popd", "get_ipython", "a name of its own?", "a str that raises",
    ),
    "theirs are shown in Jupyter's pages, or nowhere": ("name?", "subprocess.run"),
    "theirs run on a terminal, ours on pipes": (
        "!cmd", "multiprocessing by spawn", "a variable in !cmd",
        "raw writes", "threads that print", "sudo in !cmd",
    ),
    "no escape codes": (
        "stdin", "NUL and escapes", "unicode", "a lone surrogate",
        "progress on one line",
    ),
    "files of another Python": ("raising in a thread",),
    "packages that the tests' own Python has not": tuple(case.name for case in PACKAGES),
    "after what changes it": _LAST,
}  # fmt: skip
_NOT_ASKED = {name for names in _OTHERWISE.values() for name in names}
ASKED = [case for case in TOGETHER if case.name not in _NOT_ASKED]
