"""The code in an answer that may be prose around it."""

from __future__ import annotations

import re
from dataclasses import dataclass

_PYTHON = {"python", "python3", "py"}


@dataclass(slots=True)
class _Block:
    language: str
    lines: list[str]


def extract_code(answer: str) -> str:
    """The first fenced block of Python, or the first fenced block, or all of an answer that has
    none. Fences are CommonMark's: three or more backticks or tildes; inner ones are content.
    A block that is never closed ends with the answer."""
    blocks = _blocks(answer)
    if not blocks:
        return answer.strip("\r\n") + "\n" if answer.strip() else ""
    chosen = next((block for block in blocks if block.language in _PYTHON), blocks[0])
    code = "\n".join(chosen.lines)
    return f"{code}\n" if code.strip() else ""


def fence_for(text: str) -> str:
    """A fence that no line of the text can close."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    return "`" * (longest + 1)


def _blocks(answer: str) -> list[_Block]:
    blocks: list[_Block] = []
    mark, indent = "", 0
    for line in answer.replace("\r\n", "\n").split("\n"):
        fence = re.match(r"( {0,12})(`{3,}|~{3,})(.*)$", line)
        if not mark:
            if fence and not (fence[2][0] == "`" and "`" in fence[3]):
                words = fence[3].strip().strip("{}.").split()
                language = words[0].lower().lstrip(".") if words else ""
                mark, indent = fence[2], len(fence[1])
                blocks.append(_Block(language, []))
        elif fence and not fence[3].strip() and fence[2].startswith(mark):
            mark = ""
        else:
            # A block in a list is indented as a whole.
            cut = min(indent, len(line) - len(line.lstrip(" ")))
            blocks[-1].lines.append(line[cut:])
    return blocks
