"""Long texts of a record: their beginning stays in the database, all of them goes into files.

A run's files lie in a directory of its own. They are UTF-8, compressed by gzip (`zcat`), and named
after the case and what they hold. What is longer than MAX_FILE is cut there, too, and says so.
"""

from __future__ import annotations

import gzip
import os
import shutil
import zlib
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple, cast

from e2brun.values import is_list, is_table

LONGEST = 4096  # characters of one text in the database
MAX_FILE = 16 * 1024 * 1024  # characters
_MOST = 256 * 1024 * 1024  # bytes that are read back for one case


class Cut(NamedTuple):
    """A text that was cut. Kept beside the record, not in it: no program can forge one."""

    path: tuple[str | int, ...]  # keys and indexes that lead to it
    characters: int  # of all of it
    file: str


class LongTexts:
    """The files of one run."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.written = 0  # bytes on disk

    def cut(self, record: object, case_id: str, mask: Callable[[str], str]) -> list[Cut]:
        """Mask every text in `record` (dicts and lists) and cut what is long, in place."""
        stem = sha256(case_id.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        cuts: list[Cut] = []

        def look_at(holder: object, path: tuple[str | int, ...]) -> None:
            for key, item in _items(holder):
                if not isinstance(item, str):
                    look_at(item, (*path, key))
                    continue
                text = mask(item)
                if len(text) > LONGEST:
                    name = f"{stem}-{len(cuts) + 1}-{_last_name((*path, key))}.txt.gz"
                    self._write(name, text)
                    cuts.append(Cut((*path, key), len(text), name))
                    text = text[:LONGEST]
                if text is not item:
                    cast("Any", holder)[key] = text

        look_at(record, ())
        return cuts

    def put_back(self, record: object, cuts: Sequence[Cut], *, whole: bool) -> None:
        """What was cut, from its files; or, as where one is gone, only how much there is more."""
        left = _MOST if whole else 0
        for cut in cuts:
            *above, last = cut.path
            holder: Any = record
            for key in above:
                holder = holder[key]
            kept: str = holder[last]
            more = f"{kept}\n… {cut.characters - len(kept)} more characters"
            found = self._read(cut, left)
            left -= len(found)
            holder[last] = found.decode("utf-8", "surrogatepass") or more

    def remove(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)

    def _write(self, name: str, text: str) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        rest = len(text) - MAX_FILE
        content = text if rest <= 0 else f"{text[:MAX_FILE]}\n… {rest} more characters"
        # Level 1: a program that prints without end must not cost the host a core.
        packed = gzip.compress(content.encode("utf-8", "surrogatepass"), 1, mtime=0)
        path = self.directory / name
        path.write_bytes(packed)
        path.chmod(0o600)
        self.written += len(packed)

    def _read(self, cut: Cut, most: int) -> bytes:
        """b"" where there is no such file, or none that we could have written: one that unpacks to
        more than it may, one that leads elsewhere, a pipe that nobody writes to."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        most = min(most, 4 * MAX_FILE + 100)
        if most <= 0:
            return b""
        try:
            file = os.open(self.directory / Path(cut.file).name, flags)
            with open(file, "rb") as packed, gzip.GzipFile(fileobj=packed) as unpacked:
                content = unpacked.read(most + 1)
        except (OSError, EOFError, ValueError, zlib.error):
            return b""
        return content if len(content) <= most else b""


def _items(value: object) -> list[tuple[str | int, object]]:
    if is_table(value):
        return [*value.items()]
    return [*enumerate(value)] if is_list(value) else []


def _last_name(path: tuple[str | int, ...]) -> str:
    """The last key that is a word; the program may have chosen it."""
    word = next((part for part in reversed(path) if isinstance(part, str)), "text")
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "_" for c in word)[:40]
