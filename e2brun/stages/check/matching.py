"""A pattern of the author's on a stranger's text, in bounded time.

A pattern that could run wild on a text of that size is tried in a process that can be ended.
"""

from __future__ import annotations

import json
import re
import sys

from e2brun.errors import UsageError
from e2brun.stages.child import Bounds, run_child

_SECONDS = 2.0
_PROGRAM = (
    "import json, re, sys; pattern, text = json.load(sys.stdin); "
    "print(json.dumps(re.search(pattern, text) is not None))"
)
_SHORT = 4_000  # one repeat is at worst quadratic


async def found_in(pattern: str, text: str) -> bool | None:
    """Whether it is found anywhere; None: it took too long. Raises UsageError for no pattern."""
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise UsageError(f"matches: {pattern!r} is no regular expression: {error}") from None
    repeats = len(re.findall(r"[*+?{]", pattern))
    if repeats == 0 or (repeats == 1 and len(text) <= _SHORT):
        return re.search(pattern, text) is not None
    argv = (sys.executable, "-I", "-S", "-c", _PROGRAM)
    ended = await run_child(argv, json.dumps([pattern, text]).encode(), Bounds(_SECONDS))
    try:
        return bool(json.loads(ended.stdout))
    except ValueError:
        return None
