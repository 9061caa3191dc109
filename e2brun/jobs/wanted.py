"""Which packages of the default template some code uses: read, never run, and cheap to deny.

E2B has these packages anyway; an embedded sandbox gets those that are named here. A name that is
in nobody's list is never looked up anywhere.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Container, Iterable, Iterator, Sequence

from e2brun.jobs.needs import modules_of
from e2brun.sandbox.contract import Upload

_TEXT_LIMIT = 16 * 1024 * 1024
_TREE_LIMIT = 50_000  # characters; for more, Python's parser needs a process of its own
_UPLOAD_LIMIT, _UPLOADS_LIMIT = 256 * 1024, 4 * 1024 * 1024
_CALLS = ("import_module(", "__import__(", "find_spec(")
_CALLED = r"(?:import_module|__import__|find_spec)\(\s*['\"]([A-Za-z_]\w*)"
# Who reads what is installed names it somewhere, if only in a list.
_READS_METADATA = r"\bimportlib[._]metadata\b|\bfrom importlib import .*\bmetadata\b"
_QUOTED = r"['\"]([A-Za-z][\w.-]*)['\"]"
# pip as a program that is started: not in a comment, not as a word.
_PIP = r"(?m)^(?![ \t]*#).*(?:-m[\s'\",]+pip\b|['\"]pip3?(?:['\"]| (?:-|install|list|show|freeze)))"
_PIP_OF_SHELL = r"(?m)^(?:[^#\n]*[\s;&|({`])?pip3?[\s;|)}`]"
# What one package of the template leaves to another: a word of the code, who reads it, and whom
# it needs.
_LEFT_TO_OTHERS = (
    ("excel", "pandas", "openpyxl"),
    ("Excel", "pandas", "openpyxl"),
    (".xls'", "pandas", "xlrd"),
    ('.xls"', "pandas", "xlrd"),
    ("read_html", "pandas", "lxml"),
    ("_xml(", "pandas", "lxml"),
    ("to_markdown", "pandas", "tabulate"),
    (".style", "pandas", "jinja2"),
    (".plot", "pandas", "matplotlib"),
    (".hist(", "pandas", "matplotlib"),
    (".boxplot(", "pandas", "matplotlib"),
    ("gradient", "pandas", "matplotlib"),
    ("lxml", "beautifulsoup4", "lxml"),
    ("backend_inline", "matplotlib-inline", "matplotlib"),
    ("write_image", "plotly", "kaleido"),
    ("tqdm.notebook", "tqdm", "ipywidgets"),
    ("to_image", "plotly", "kaleido"),
    ("plotly.express", "plotly", "pandas"),
    ("plotly import express", "plotly", "pandas"),
)
# Who draws in a cell, and what that is told or shown with.
_SHOWN_WITH = {"matplotlib": "e2b-charts", "seaborn": "e2b-charts", "plotly": "nbformat"}


def wanted(
    texts: Iterable[str | bytes],
    *,
    cells: bool = False,
    shell: bool = False,
    present: Container[str] = (),
) -> tuple[str, ...]:
    """The packages that the code imports or has pip install; `present`: modules of its own.

    A text that cannot be parsed counts line by line. `cells`: IPython's magics may be in them,
    and what they draw is told as E2B tells it; `shell`: it is a shell's.
    """
    found: set[str] = set()
    codes: list[str] = []
    for text in texts:
        code = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        codes.append(code[:_TEXT_LIMIT])
        found |= _of_one(codes[-1], present, cells=cells, shell=shell)
    for word, reader, other in _LEFT_TO_OTHERS if found else ():
        if reader in found and any(word in code for code in codes):
            found.add(other)
    if cells:
        found |= {_SHOWN_WITH[name] for name in found if name in _SHOWN_WITH}
    return tuple(sorted(found))


def wants_of(
    texts: Iterable[str | bytes],
    uploads: Sequence[Upload],
    *,
    template: str | None,
    cells: bool,
    shell: bool = False,
    present: Iterable[str] = (),
) -> tuple[str, ...]:
    """`wanted` for code and `texts_of` the files beside it; nothing of another template."""
    if template is not None:
        from e2brun.sandbox.local.templates import is_default

        if not is_default(template):
            return ()
    own = {*present, *modules_of(uploads)}
    return wanted(texts, cells=cells, shell=shell, present=own)


def _of_one(code: str, present: Container[str], *, cells: bool, shell: bool) -> set[str]:
    # Nearly all code ends here: what it imports is Python's own.
    names = {name for name in _names(code) if name and name not in sys.stdlib_module_names}
    found: set[str] = set()
    if "pip" in code:
        found |= {"pip"} if re.search(_PIP_OF_SHELL if shell else _PIP, code) else set()
        found |= _installed(code) if cells else set()
    if cells and "%pylab" in code:
        found.add("matplotlib")
    if "metadata" in code and re.search(_READS_METADATA, code):
        found |= _members(re.findall(_QUOTED, code))
    known = {name: package for name in names if name not in present and (package := _package(name))}
    if known and len(code) <= _TREE_LIMIT:
        known = {name: known[name] for name in _confirmed(code, known)}
    return found | set(known.values())


def _installed(code: str) -> set[str]:
    from e2brun.jobs.pip_lines import pip_lines
    from e2brun.sandbox.requirement import name_of

    lines = list(pip_lines(code))
    names = {name_of(text) for line in lines for text in line.requirements}
    return _members(names | {"pip"} if lines else names)


def _members(names: Iterable[str]) -> set[str]:
    from e2brun.sandbox.local.templates import member

    return {package for name in names if (package := member(name))}


def _names(code: str) -> Iterator[str]:
    """Top-level modules that lines import, strings that look like such lines included."""
    for line in code.splitlines() if "import" in code else ():
        if "import" not in line:
            continue
        for piece in line.replace(";", ":").split(":"):
            first, _, rest = piece.strip().partition(" ")
            if first == "import":
                yield from (_top(part) for part in rest.split(","))
            elif first == "from":
                yield _top(rest)
    if any(call in code for call in _CALLS):
        yield from (match[1] for match in re.finditer(_CALLED, code))


def _top(text: str) -> str:
    words = text.split()
    return words[0].partition(".")[0] if words else ""


def _package(module: str) -> str | None:
    from e2brun.jobs.distributions import DISTRIBUTIONS
    from e2brun.sandbox.local.templates import member

    return member(DISTRIBUTIONS.get(module, module))


def _confirmed(code: str, names: Iterable[str]) -> set[str]:
    """Those of the names that the syntax tree has as well; all where there is none."""
    from e2brun.jobs.parsing import imported, is_cell

    found = {name.partition(".")[0] for name in imported(code)}
    if not found and not is_cell(code):
        return set(names)
    called = {match[1] for match in re.finditer(_CALLED, code)}
    return {name for name in names if name in found or name in called}


def texts_of(uploads: Iterable[Upload], ending: str = ".py") -> Iterator[bytes]:
    """Python, or what has another ending, among uploaded files: as much as is worth a look."""
    left = _UPLOADS_LIMIT
    for upload in uploads:
        if not upload.path.endswith(ending) or left <= 0:
            continue
        if isinstance(upload.source, bytes):
            text = upload.source[:_UPLOAD_LIMIT]
        else:
            try:
                with upload.source.open("rb") as file:
                    text = file.read(_UPLOAD_LIMIT)
            except OSError:  # whoever sends it will say so
                continue
        left -= len(text)
        yield text
