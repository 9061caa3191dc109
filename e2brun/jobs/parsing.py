"""Python's own parser on a stranger's source, never longer than a moment.

It takes time by the square of some sources' length, and a hundred times their memory: a long
source is parsed in a process of its own, which sets its own limits. One that these end counts as
one that cannot be parsed.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from e2brun.values import is_list

if TYPE_CHECKING:
    import ast

_SHORT = 50_000  # characters, or bytes
_SECONDS = 5
_MEMORY = 1024**3
_START = "import sys; sys.path.insert(0, sys.argv[1]); from e2brun.jobs.parsing import main; main()"


def imported(source: str | bytes) -> list[str]:
    """Dotted names, as deep as the source gives them; relative ones begin with their dots."""
    if len(source) <= _SHORT:
        return _names(source)
    found = _apart("imported", source)
    return [str(name) for name in found] if is_list(found) else []


def is_cell(source: str) -> bool:
    """Whether a notebook's cell is Python without any magic."""
    return _compiles(source) if len(source) <= _SHORT else _apart("cell", source) is True


def _apart(question: str, source: str | bytes) -> object:
    import json
    import subprocess
    from pathlib import Path

    import e2brun

    code = source.encode("utf-8", "surrogatepass") if isinstance(source, str) else source
    kind = b"text" if isinstance(source, str) else b"bytes"
    place = str(Path(e2brun.__file__).parents[1])
    try:
        ended = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _START, place],
            input=question.encode() + b" " + kind + b"\n" + code,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            timeout=2 * _SECONDS,
            check=False,
        )
        return json.loads(ended.stdout)
    except (subprocess.TimeoutExpired, ValueError):
        return None


def main() -> None:
    """Answer the question on stdin, as JSON."""
    import json
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    head, _, code = sys.stdin.buffer.read().partition(b"\n")
    source = code.decode("utf-8", "surrogatepass") if head.endswith(b"text") else code
    answer = _names(source) if head.startswith(b"imported") else _compiles(str(source))
    sys.stdout.write(json.dumps(answer))


def _compiles(source: str) -> bool:
    return tree_of(source, awaits=True) is not None


def _names(source: str | bytes) -> list[str]:
    tree = _parse(source)
    return [] if tree is None else sorted(set(_imports(tree)))


def _parse(source: str | bytes) -> ast.Module | None:
    tree = tree_of(source)
    if tree is None and isinstance(source, str):  # the magics and shell lines of a notebook
        return tree_of(re.sub(r"(?m)^([ \t]*)[%!].*$", r"\1pass", source))
    return tree


def tree_of(source: str | bytes, *, awaits: bool = False) -> ast.Module | None:
    """Of a source that is short; None where it cannot be parsed. `awaits`: outside functions, too,
    as a cell may."""
    import ast
    import warnings

    flags = ast.PyCF_ONLY_AST | (ast.PyCF_ALLOW_TOP_LEVEL_AWAIT if awaits else 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about "\d": the program's own run will show it
        try:
            tree: ast.Module = compile(source, "<source>", "exec", flags, dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None
    return tree


def _imports(tree: ast.Module) -> Iterator[str]:
    """In functions and `try` blocks as well, but not under `if TYPE_CHECKING:`."""
    import ast

    waiting: list[ast.AST] = [tree]  # not recursive: sources nest deeper than our stack
    while waiting:
        node = waiting.pop()
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom(level=level, module=module):
                around = "." * level + (f"{module}." if module else "")
                yield from (f"{around}{alias.name}" for alias in node.names)
            case ast.If(test=ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING")):
                waiting.extend(node.orelse)
                continue
            case _:
                pass
        waiting.extend(ast.iter_child_nodes(node))
