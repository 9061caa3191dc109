"""Rich results of cells: saved as files, or their text for stdout."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from e2brun.errors import E2brunError
from e2brun.report.safe import json_safe
from e2brun.sandbox.contract import MIB, Result

MAX_FILE = 64 * MIB
MAX_FILES = 1000
MAX_TOTAL = 512 * MIB
"""A cell may display pictures as long as it runs; the disk is the host's."""

_PICTURES = {"png": "png", "jpeg": "jpg", "pdf": "pdf"}
_TEXTS = {"svg": "svg", "html": "html", "markdown": "md", "latex": "tex", "javascript": "js"}
_DOCUMENTS = {"json": "json", "data": "data.json", "chart": "chart.json", "extra": "extra.json"}


def save_results(
    results: Sequence[Result], directory: Path, say: Callable[[str], None]
) -> list[Path]:
    """Write every rich form of every result to `directory` as result-001.png and so on.

    The sandbox chooses no name and no file is overwritten: numbers go on where those in the
    directory end. What cannot be saved is left out with a line to `say`. The
    files are what unreviewed code made: an .html or .svg may hold scripts.
    """
    with E2brunError.of_system(f"cannot save results in {directory}"):
        directory.mkdir(parents=True, exist_ok=True)
        number = _last_number(directory)
        return _save(results, directory, number, say)


def _save(
    results: Sequence[Result], directory: Path, number: int, say: Callable[[str], None]
) -> list[Path]:
    paths: list[Path] = []
    total = 0
    for result in results:
        number += 1
        for key, suffix, content in _files(result):
            if isinstance(content, str):
                say(f"result {number}: {key} not saved: {content}")
                continue
            total += len(content)
            if len(paths) >= MAX_FILES or total > MAX_TOTAL:
                say(f"more results not saved: over {MAX_FILES} files or {MAX_TOTAL // MIB} MiB")
                return paths
            number, path = _write(directory, number, suffix, content)
            paths.append(path)
    return paths


def text_of(results: Sequence[Result]) -> str:
    """What a notebook without pictures shows of them: the main result, and displayed text."""
    shown: list[str] = []
    for result in results:
        text = result.get("text")
        picture = any(key in result for key in (*_PICTURES, "svg"))
        # `<Figure size 640x480 with 1 Axes>` says nothing to anybody.
        if isinstance(text, str) and (result.get("is_main_result") or not picture):
            shown.append(text)
    return "\n".join(shown)


def _files(result: Result) -> Iterator[tuple[str, str, bytes | str]]:
    """(key, suffix, content, or why there is none) for every form worth a file."""
    for key, suffix in (_PICTURES | _TEXTS | _DOCUMENTS).items():
        value = result.get(key)
        if value is None or value == {}:
            continue
        content = _content(key, value)
        if len(content) > MAX_FILE:
            content = f"over {MAX_FILE // MIB} MiB"
        yield key, suffix, content


def _content(key: str, value: object) -> bytes | str:
    if key in _DOCUMENTS:
        import json

        return json.dumps(json_safe(value), allow_nan=False, indent=1).encode() + b"\n"
    if not isinstance(value, str):
        return "not text"
    if key in _TEXTS:
        return value.encode("utf-8", "replace")
    if len(value) > MAX_FILE * 3 // 2:
        return f"over {MAX_FILE // MIB} MiB"
    import base64
    import binascii

    try:
        return base64.b64decode(re.sub(r"[\r\n]", "", value), validate=True)
    except (binascii.Error, ValueError):
        return "not valid base64"


def _last_number(directory: Path) -> int:
    found = (re.match(r"result-([0-9]{3,9})\.", name) for name in os.listdir(directory))
    return max((int(match[1]) for match in found if match), default=0)


def _write(directory: Path, number: int, suffix: str, content: bytes) -> tuple[int, Path]:
    """The number it got: another command may be saving to the same directory."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    while True:
        path = directory / f"result-{number:03}.{suffix}"
        try:
            fd = os.open(path, flags, 0o644)
        except FileExistsError:
            number += 1
            continue
        with open(fd, "wb") as file:
            file.write(content)
        return number, path
