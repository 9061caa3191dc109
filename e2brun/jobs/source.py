"""What is to be run: a file of a known kind, code from the command line, or standard input."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path

from e2brun.errors import UsageError
from e2brun.frozen import Frozen
from e2brun.sandbox.contract import HOME

_LIMIT = 64 * 1024 * 1024
_STDIN = 0
_FOR_HOST_NAMES = ("idna", "punycode")  # read in time by the square of the length
_NAME_LIMIT = 200  # file systems stop at 255 bytes


class SourceUnfit(UsageError):
    """What is to be run makes it impossible to run it."""


class Kind(StrEnum):
    """How a source is run."""

    PYTHON = "python"
    SHELL = "shell"
    JAVASCRIPT = "javascript"
    NOTEBOOK = "notebook"


_SUFFIXES = {
    ".py": Kind.PYTHON,
    ".sh": Kind.SHELL,
    ".bash": Kind.SHELL,
    ".js": Kind.JAVASCRIPT,
    ".mjs": Kind.JAVASCRIPT,
    ".cjs": Kind.JAVASCRIPT,
    ".ipynb": Kind.NOTEBOOK,
}
_INTERPRETERS = {
    b"python": Kind.PYTHON,
    b"bash": Kind.SHELL,
    b"sh": Kind.SHELL,
    b"node": Kind.JAVASCRIPT,
}


class Source(Frozen):
    """Code and where it came from. `path` is None for code that is in no file."""

    name: str  # as the user named it: in messages, and (its last part) inside the sandbox
    content: bytes
    kind: Kind
    path: Path | None = None
    directory: Path | None = None  # on this machine, where it would find its modules

    @property
    def inside(self) -> str:
        """The file name it has in the sandbox's home directory."""
        return self.path.name if self.path is not None else "main.py"

    def argv(self, arguments: tuple[str, ...], cwd: str | None = None) -> tuple[str, ...]:
        """The command that runs it as a program in `cwd` (None: where its file is)."""
        match self.kind:
            case Kind.SHELL:
                return ("bash", self._file(cwd), *arguments)
            case Kind.JAVASCRIPT:
                return ("node", self._file(cwd), *arguments)
            case _:
                return ("python3", self._file(cwd), *arguments)

    def _file(self, cwd: str | None) -> str:
        if self.path is None:
            return "-"
        if cwd is not None:
            return f"{HOME}/{self.inside}"
        # An interpreter takes a leading dash for an option.
        return f"./{self.inside}" if self.inside.startswith("-") else self.inside

    def text(self) -> str:
        """The code as Python reads it: UTF-8, or what its coding line says; no byte order mark.
        Raises SyntaxError when it is neither."""
        try:
            if self.path is None or b"coding" not in self.content[:4096]:
                return self.content.decode("utf-8-sig")
            import codecs
            import io
            from importlib.util import decode_source
            from tokenize import detect_encoding

            encoding, _ = detect_encoding(io.BytesIO(self.content).readline)
            if codecs.lookup(encoding).name in _FOR_HOST_NAMES:
                raise SyntaxError(f"encoding problem: {encoding}")
            return decode_source(self.content)
        except (LookupError, UnicodeError) as error:  # LookupError: an encoding of bytes, not text
            raise SyntaxError(f"(unicode error) {error}") from error


def from_file(name: str) -> Source:
    """Read a file to run. Raises UsageError: not there, not a file, of no known kind."""
    if not name:
        raise UsageError("nothing to run: the file name is empty")
    path = Path(name)
    with UsageError.of_system(name):
        if path.is_dir():
            raise UsageError(f"{name} is a directory", hint="Name the file in it that is to run.")
        with path.open("rb") as file:
            content = _read(file.fileno(), name)
    if len(os.fsencode(path.name)) > _NAME_LIMIT:
        raise UsageError(f"{name[:60]}…: the file name is too long")
    return Source(name, content, kind_of(path, content), path, path.parent)


def from_stdin() -> Source:
    with UsageError.of_system("standard input"):
        return Source("-", _read(_STDIN, "standard input"), Kind.PYTHON, directory=Path())


def from_code(code: str) -> Source:
    content = code.encode("utf-8", "surrogateescape")
    return Source("-c", content, Kind.PYTHON, directory=Path())


def _read(descriptor: int, name: str) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while piece := os.read(descriptor, 1024 * 1024):
        pieces.append(piece)
        size += len(piece)
        if size > _LIMIT:
            raise UsageError(f"{name}: more than {_LIMIT // 1024**2} MiB of code")
    return b"".join(pieces)


def kind_of(path: Path, content: bytes) -> Kind:
    """How a file is run, by its name or first line. Raises SourceUnfit: nobody knows."""
    kind = _SUFFIXES.get(path.suffix.lower())
    if kind is None and content.startswith(b"#!"):
        words = content.split(b"\n", 1)[0][2:].split()
        for word in (word.rsplit(b"/", 1)[-1] for word in words):
            kind = kind or _INTERPRETERS.get(word.rstrip(b"0123456789."))
    if kind is None:
        known = " ".join(_SUFFIXES)
        raise SourceUnfit(
            f"{path}: unknown type of file",
            hint=f"Known are {known}, and scripts whose first line names python, bash or node.",
        )
    return kind
