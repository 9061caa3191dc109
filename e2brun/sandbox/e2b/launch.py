"""The shell line that puts a program's files in place and then starts the program.

Small files travel inside the start request itself, as an archive in an environment variable, so
that they cost no round trip and their names never meet the shell. Large ones are uploaded at the
same time; the line then waits for a marker that is written after them.
"""

from __future__ import annotations

import base64
import io
import os
import secrets
import shlex
import stat
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from posixpath import normpath

from e2brun.errors import FileTransferFailed
from e2brun.sandbox.completion import completion, watched
from e2brun.sandbox.contract import HOME, Program, Upload, absolute

# One string of a program's environment may have 128 KiB (MAX_ARG_STRLEN), its name included.
LONGEST_VARIABLE = 126 * 1024
LARGEST_INLINE = 384 * 1024  # bytes before compression
LONGEST_WAIT = 3600  # seconds for an upload that runs beside

FILES = "E2BRUN_FILES"
EXECUTABLES = "E2BRUN_EXECUTABLES"


@dataclass(frozen=True, slots=True)
class Launch:
    """What to send. Standard error that begins with `mark` and `!` is ours: the program never
    ran. With `mark` and `=` each stream ends (see launcher.py)."""

    line: str
    env: Mapping[str, str]
    mark: bytes
    uploads: tuple[Upload, ...] = ()  # to be sent beside, the last one being the marker


def is_text(name: str) -> bool:
    """Whether E2B's protocol, which is JSON, has a way to say it."""
    return name.isascii() or not any("\ud800" <= char <= "\udfff" for char in name)


def remote_path(path: str) -> str:
    """Absolute, as the contract reads it. Raises FileTransferFailed for what names no file."""
    if "\0" in path:
        raise FileTransferFailed(f"not a path: {path!r}")
    if not is_text(path):
        raise FileTransferFailed(f"a name that is no UTF-8 does not get to E2B: {path!r}")
    return normpath(absolute(path))


def remote_file(path: str) -> str:
    if not path or path.endswith("/"):
        raise FileTransferFailed(f"not the name of a file: {path!r}")
    return remote_path(path)


def _from_home(path: str) -> str:
    return remote_file(path).removeprefix(f"{HOME}/")


def plan(program: Program, env: Mapping[str, str]) -> Launch:
    """How to start `program`; reads the small files it brings."""
    token = secrets.token_hex(8)
    mark = f"E2brun-{token}"  # no other capital E: a beginning of it is found at once
    files = [*program.files]
    stdin = f"{HOME}/.e2brun-{token}.in"
    if isinstance(program.stdin, bytes):
        files.append(Upload(stdin, program.stdin))
    inline = archive(files)
    lines = [f"e2brun_gate() {{ printf '%s!%s' {mark} \"$1\" >&2; exit 97; }}"]
    sent = dict(env)
    uploads: tuple[Upload, ...] = ()
    if inline is not None:
        if inline:
            sent[FILES] = inline
            lines.append(_unpack())
    else:
        marker = f"{HOME}/.e2brun-{token}"
        uploads = (*files, Upload(marker, b"1"))
        lines.extend(_wait(marker))
        executables = executable_list(files)
        if executables:
            sent[EXECUTABLES] = executables
            lines.append(mark_executable("e2brun_gate"))
    if isinstance(program.stdin, bytes):
        lines.append(f"exec < {stdin} && rm -f {stdin}")
    lines.extend(_enter(program.cwd or HOME))
    lines.extend(_start(program, mark, env))
    return Launch("\n".join(lines), sent, mark.encode(), uploads)


def _unpack() -> str:
    # tar works relative to the home directory; -P keeps absolute names absolute.
    return (
        f'e2brun_said=$( (set -o pipefail; printf %s "${FILES}" | base64 -d |'
        f' tar -xzPmf - -C {HOME}) 2>&1) || e2brun_gate "f$e2brun_said"\n'
        f"unset {FILES} e2brun_said"
    )


def _wait(marker: str) -> Sequence[str]:
    return (
        f"until [ -e {marker} ]; do",
        f"  [ $SECONDS -lt {LONGEST_WAIT} ] || e2brun_gate 'ffiles did not arrive'",
        "  sleep 0.02",
        "done",
        f"rm -f {marker}",
    )


def mark_executable(on_failure: str) -> str:
    """A line that makes the files listed in the variable executable."""
    return (
        f'e2brun_said=$( (cd {HOME}; printf %s "${EXECUTABLES}" | base64 -d |'
        " xargs -0 chmod +x --) 2>&1)"
        f' || {on_failure} "f$e2brun_said"\n'
        f"unset {EXECUTABLES} e2brun_said"
    )


def executable_list(files: Sequence[Upload]) -> str:
    """The value of that variable, empty when there is none."""
    names = [_from_home(upload.path) for upload in files if upload.executable]
    joined = "".join(f"{name}\0" for name in names).encode(errors="surrogateescape")
    encoded = base64.b64encode(joined).decode("ascii")
    if len(encoded) > LONGEST_VARIABLE:
        raise FileTransferFailed(f"too many executable files at once: {len(names)}")
    return encoded


def _enter(cwd: str) -> Sequence[str]:
    """One outside the home directory is made before, by whoever may do that."""
    directory = _quoted(remote_path(cwd))
    return (
        f"cd -- {directory} 2>/dev/null || {{ e2brun_said=$(LC_ALL=C mkdir -p -- {directory} 2>&1)"
        f' && cd -- {directory}; }} || e2brun_gate p{directory}": ${{e2brun_said##*: }}"',
        "unset -f e2brun_gate; unset e2brun_said",
    )


def _start(program: Program, mark: str, env: Mapping[str, str]) -> Sequence[str]:
    lines = ["e2brun_python=$(type -P python3)"]
    if "PATH" in env:  # a login shell has just overwritten it
        lines.append(f"export PATH={shlex.quote(env['PATH'])}")
    unset = " ".join(name for name in ("OLDPWD", "PWD", "SHLVL") if name not in env)
    argv = watched(program.argv) if program.tells_end else None
    launcher, tells_end = (
        (_launcher(), "") if argv is None else (f"{completion()}\n{_launcher()}", "1")
    )
    argv = argv or program.argv
    name, arguments = _quoted(argv[0]), " ".join(map(_quoted, argv))
    lines += (
        '[ -z "$e2brun_python" ] || exec "$e2brun_python" -I -S -c'
        f' {shlex.quote(launcher)} "${{LC_CTYPE+set}}" "{unset}" "{tells_end}"'
        f" {name} {arguments}"
        f" 9<<<{mark}",
        f"exec -- {arguments}",  # E2B itself then tells how it ended
    )
    return lines


def _quoted(word: str) -> str:
    """For bash. What is no text travels as escapes, since E2B takes nothing else."""
    if word.isascii() or not any("\udc80" <= char <= "\udcff" for char in word):
        return shlex.quote(word)
    return "$'" + "".join(f"\\x{byte:02x}" for byte in os.fsencode(word)) + "'"


@cache
def _launcher() -> str:
    return Path(__file__).with_name("launcher.py").read_text(encoding="ascii")


def archive(files: Sequence[Upload]) -> str | None:
    """The files as base64 of a compressed archive, None when that would be too large."""
    if not files:
        return ""
    if total_size(files) > LARGEST_INLINE:
        return None
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as tar:
        for upload in files:
            data = read_small(upload.source)
            member = tarfile.TarInfo(_from_home(upload.path))
            member.size = len(data)
            member.mode = 0o755 if upload.executable else 0o644
            tar.addfile(member, io.BytesIO(data))
    encoded = base64.b64encode(packed.getvalue()).decode("ascii")
    return encoded if len(encoded) <= LONGEST_VARIABLE else None


def total_size(files: Sequence[Upload]) -> int:
    return sum(
        len(upload.source) if isinstance(upload.source, bytes) else local_size(upload.source)
        for upload in files
    )


def local_size(path: Path) -> int:
    with FileTransferFailed.of_system(f"cannot read {path}"):
        status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise FileTransferFailed(f"cannot send {path}: not a regular file")
    return status.st_size


def read_small(source: bytes | Path) -> bytes:
    if isinstance(source, bytes):
        return source
    with FileTransferFailed.of_system(f"cannot read {source}"), source.open("rb") as file:
        return file.read()


def end_tree(pid: int, grace: float) -> str:
    """A line that asks the program below `pid` to end, gives it `grace` seconds, and ends every
    descendant of `pid`: ending only it leaves them running."""
    return (
        "k() { local c; for c in $(cat /proc/$1/task/*/children 2>/dev/null); do k $c; "
        "e2brun_all+=($c); done; }; "
        f"k {pid}; set -- $(cat /proc/{pid}/task/*/children 2>/dev/null); "
        f"kill -TERM ${{1:-{pid}}} 2>/dev/null; "
        f"for ((i = 0; i < {round(grace * 50)}; i++)); do "
        f"[ -d /proc/${{1:-{pid}}} ] || break; sleep 0.02; done; "
        f'k {pid}; kill -KILL "${{e2brun_all[@]}}" 2>/dev/null; true'
    )
