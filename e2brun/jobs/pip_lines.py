"""The lines of a cell with which it has pip install something."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator

from e2brun.frozen import Frozen
from e2brun.jobs.parsing import is_cell
from e2brun.sandbox.requirement import name_of

_PIP = r"(?:pip3?|(?:\{sys\.executable\}|[\w./]*python[\d.]*)[ \t]+-m[ \t]+pip)[ \t]+install\b(.*)"
_LINE = rf"(?m)^[ \t]*[!%]{_PIP}"
_SHELL_CELL = r"\s*%%(?:bash|sh|script (?:ba)?sh|!)\b"
_SHELL_LINE = rf"(?m)^[ \t]*!?{_PIP}"
_HARMLESS = re.compile(
    r"-[qvU]+|-y|--(?:quiet|verbose|upgrade|user|no-cache-dir|no-input|pre|force-reinstall"
    r"|disable-pip-version-check|break-system-packages|no-warn-script-location|prefer-binary"
    r"|only-binary=:all:|root-user-action=ignore|progress-bar=off)"
)
_LONGEST_LINE = 8192  # characters
_END_OF_COMMAND = re.compile(r"[;|&]|\d?>|&>")
_REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:\[[\w., -]*\])?(?:[ ]*[=<>!~;].*)?")


class PipLine(Frozen):
    """One such line: the packages it names, and what else it says that only pip can do."""

    requirements: tuple[str, ...]
    other: tuple[str, ...] = ()


def pip_lines(code: str) -> Iterator[PipLine]:
    """In their order; none in a cell that is Python throughout, where a string may hold such."""
    if "install" not in code:
        return
    pattern = _SHELL_LINE if re.match(_SHELL_CELL, code) else _LINE
    found = list(re.finditer(pattern, code.replace("\\\n", " ")))
    if not found or is_cell(code):
        return
    for match in found:
        if len(match[1]) > _LONGEST_LINE:  # shlex takes time by the square of a word's length
            yield PipLine((), ("a long line",))
            continue
        try:
            words = shlex.split(match[1], comments=True)
        except ValueError:  # a quote that is not closed: the shell will complain
            continue
        yield _line(words)


def _line(words: Iterable[str]) -> PipLine:
    requirements: list[str] = []
    other: list[str] = []
    for text in words:
        if _END_OF_COMMAND.match(text):
            break
        last, word = text.endswith(";"), text.rstrip(";")
        if _REQUIREMENT.fullmatch(word):
            requirements.append(word)
        elif not _HARMLESS.fullmatch(word):
            other.append(word)
        if last:
            break
    return PipLine(tuple(requirements), tuple(other))


def requirements_of(codes: Iterable[str]) -> tuple[str, ...]:
    """What cells install, for `--auto-install`. Of a line with options of its own, such as an
    index, nothing is taken: the name may mean another package elsewhere."""
    lines = (line for code in codes for line in pip_lines(code))
    found = (text for line in lines if not line.other for text in line.requirements)
    return tuple(dict.fromkeys(found))


def advice(codes: Iterable[str], install: Iterable[str]) -> str | None:
    """What to tell whoever runs cells that install what is not there, without a network."""
    from e2brun.sandbox.local.templates import member

    there = {name_of(text) for text in install}
    lines = [line for code in codes for line in pip_lines(code)]
    texts = dict.fromkeys(text for line in lines for text in line.requirements)
    missing = [
        text for text in texts
        if name_of(text) not in there and ("==" in text or member(name_of(text)) is None)
    ]  # fmt: skip
    other = any(line.other for line in lines)
    if not missing and not other:
        return None
    what = ", ".join(missing) if missing else "with options"
    return (
        f"the code runs pip install ({what}), and there is no network in the sandbox: "
        "add --auto-install, --install or --requirements, or --network packages"
    )
