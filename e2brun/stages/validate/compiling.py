"""Whether source compiles. Also run as a script by other interpreters: no import but the standard
library's, and the syntax of Python 3.8.

`problem` is for sources that `is_simple` passes; what is left may take a parser down, and is
compiled in a process of its own, which sets its own limits.
"""

from __future__ import annotations

import ast
import json
import re
import sys
import warnings
from typing import List, Optional, Tuple

Problem = Tuple[int, int, str, str]  # line, column, rule, message

_SIMPLE_SIZE = 50_000
_SIMPLE_DEPTH = 40
_MIB = 1024 * 1024
_MEMORY = 1024 * _MIB
_CPU_SECONDS = 15
_TOP_LEVEL_AWAIT = 0x2000  # ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


def is_simple(source: bytes) -> bool:
    """Whether a parser surely takes it in a moment: short, and no deep nesting. Brackets are
    counted wherever they stand, in text as well: that only makes it stricter."""
    if len(source) > _SIMPLE_SIZE:
        return False
    depth = deepest = 0
    for mark in re.findall(rb"[][(){}]", source):
        depth += 1 if mark in b"([{" else -1
        deepest = max(deepest, depth)
        depth = max(depth, 0)
    return deepest <= _SIMPLE_DEPTH


def problem(
    source: bytes, cell: bool, feature_version: Optional[Tuple[int, int]] = None
) -> Optional[Problem]:
    """The first thing that is wrong, or None. A cell may await at top level and hold magics."""
    found = _not_text(source) or _problem(source, cell, feature_version)
    if found is not None and cell:
        plain = re.sub(rb"(?m)^([ \t]*)[%!].*$", rb"\1pass", source)
        if plain != source and _problem(plain, cell, feature_version) is None:
            return None
    return found


def _not_text(source: bytes) -> Optional[Problem]:
    """`compile` looks at no comment, and Python would not run the file for a byte in one."""
    try:
        source.decode("utf-8")
    except UnicodeDecodeError as error:
        if b"coding" in b"\n".join(source.split(b"\n", 2)[:2]):
            return None  # `compile` knows its coding
        line = source.count(b"\n", 0, error.start) + 1
        return (line, 0, "binary", f"byte {source[error.start]:#04x} is no UTF-8: {error.reason}")
    return None


def _problem(
    source: bytes, cell: bool, feature_version: Optional[Tuple[int, int]]
) -> Optional[Problem]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about "\d": for a linter
        try:
            if feature_version is not None:
                ast.parse(source, feature_version=feature_version)
            flags = _TOP_LEVEL_AWAIT if cell else 0
            compile(source, "candidate", "exec", flags, dont_inherit=True)
        except SyntaxError as error:
            return (error.lineno or 0, max(error.offset or 0, 0), "syntax", _said(error))
        except (ValueError, OverflowError) as error:
            return (0, 0, "syntax", _said(error))
        except (RecursionError, MemoryError, SystemError) as error:
            return (0, 0, "nesting", "nested too deeply for Python's parser: " + _said(error))
    return None


def _said(error: Exception) -> str:
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return str(text or type(error).__name__).split("\n")[0][:300]


def limit_this_process() -> None:
    """Bound what a hostile source can cost."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))


def main(words: List[str]) -> None:
    """Compile stdin; the problem, as JSON, on stdout."""
    limit_this_process()
    found = problem(sys.stdin.buffer.read(), "cell" in words)
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
