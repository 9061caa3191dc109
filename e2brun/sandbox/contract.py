"""What a backend owes its callers: the words both sides use, and the two protocols.

Everything here blocks and may be called from any thread; one sandbox runs one thing at a time.
`Sandbox.kill` may be called from another thread at any moment and ends a run in progress.
Paths inside a sandbox are POSIX; a relative one is relative to the home directory, `~/` too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, Protocol

from e2brun.frozen import Frozen
from e2brun.values import Network

MIB = 1024 * 1024
HOME = "/home/user"
USER = "user"
NO_NAMES: Mapping[str, str] = {}

Sink = Callable[[bytes], None]
"""Takes output as it comes. One that raises BrokenPipeError is given no more of that stream."""

Result = dict[str, object]
"""One rich result, keys as E2B names them: text html markdown svg png jpeg pdf latex json
javascript data chart (strings but for json, data and chart; pictures in base64), `extra`
(other mime types), `is_main_result` (the value of the last expression)."""

TEXT_RESULT_KEYS = frozenset(
    {"text", "html", "markdown", "svg", "png", "jpeg", "pdf", "latex", "javascript"}
)
JSON_RESULT_KEYS = frozenset({"json", "data", "chart", "extra"})


def absolute(path: str, directory: str = HOME, home: str = HOME) -> str:
    """A path in the sandbox: relative ones in `directory`, `~/` in the home directory."""
    if path == "~" or path.startswith("~/"):
        return home + path[1:]
    return path if path.startswith("/") else f"{directory.rstrip('/')}/{path}"


class Outcome(StrEnum):
    """How a run ended. An end nobody can vouch for is never `OK`."""

    OK = "ok"
    ERROR = "error"  # raised, or exit code not 0
    TIMEOUT = "timeout"
    OOM = "oom"
    KILLED = "killed"
    LOST = "lost"  # the sandbox went away
    INFRASTRUCTURE = "infrastructure"  # never ran, or nobody can tell


class Limits(Frozen):
    """What one embedded sandbox may use; bytes and counts. E2B's are fixed by the template."""

    memory: int = 512 * MIB
    processes: int = 64
    disk: int = 512 * MIB
    inodes: int = 0  # 0: as `most_inodes` has it
    open_files: int = 256

    @property
    def most_inodes(self) -> int:
        """50,000 and, where more than the usual disk was asked for, as many more: npm's packages
        for React have as many files. Each counts as memory, too."""
        return self.inodes or 50_000 * max(1, self.disk // (512 * MIB))


class Room(NamedTuple):
    """What packages may take on this machine, in bytes: those of one layer, and the cache."""

    layer: int = 8 * 1024 * MIB  # one of its archives half of it, the download a quarter
    cache: int = 20 * 1024 * MIB


USUAL_ROOM = Room()
INSTALL_SECONDS = 300.0


class SandboxSpec(Frozen):
    """What a new sandbox is to be like."""

    template: str | None = None  # None: the backend's default code-interpreter template
    lifetime: float = 300.0  # seconds; after that the backend ends it, whoever is left to ask
    env: Mapping[str, str] = NO_NAMES
    metadata: Mapping[str, str] = NO_NAMES
    network: Network | None = None  # None: the backend's default (local: no network)
    install: tuple[str, ...] = ()  # PEP 508 requirements, there before the first run
    install_timeout: float = INSTALL_SECONDS  # seconds, before the run and not part of its time
    limits: Limits = Limits()
    python: str | None = None  # local only: another interpreter, path or name
    wants: tuple[str, ...] = ()  # of the default template's packages: E2B has them anyway
    fetch: bool = True  # local only: `wants` that are not here may be fetched
    cells: bool = True  # cells may run in it: an embedded sandbox then has IPython
    language: str | None = None  # of the cells, where it is not Python
    directories: tuple[str, ...] = ()  # absolute, there before the first run, the user's own
    sudo: bool = False  # local only: it makes a root, whose files are the sandbox's own


class Upload(Frozen):
    """One file for the sandbox: `source` is its bytes, or the local file to stream them from."""

    path: str
    source: bytes | Path
    executable: bool = False

    def read(self) -> bytes:
        return self.source if isinstance(self.source, bytes) else self.source.read_bytes()


class Program(Frozen):
    """A program to run: `files` are put in place just before it starts, at no round trip of
    their own where the backend can; `stdin` is nothing (/dev/null), bytes, or a descriptor of
    ours to read until its end. `tells_end`: its Execution is to say whether it `completed`."""

    argv: tuple[str, ...]
    files: tuple[Upload, ...] = ()
    cwd: str | None = None  # None: the home directory
    env: Mapping[str, str] = NO_NAMES
    stdin: bytes | int | None = None
    tells_end: bool = False


class CodeError(Frozen):
    """What the user's code raised. `traceback` has no frame of ours."""

    name: str
    value: str
    traceback: str
    hint: str | None = None


class Execution(Frozen):
    """How one run ended. A program that died of signal N has exit_code 128 + N and signal N."""

    outcome: Outcome
    exit_code: int | None = None  # None: it had no chance to have one
    signal: int | None = None
    error: CodeError | None = None
    left: CodeError | None = None  # SystemExit of a cell, also of one that left with 0
    results: tuple[Result, ...] = ()
    execution_time: float = 0.0  # seconds, from start to end of the code itself
    detail: str = ""  # one line: which limit ended it, or what was lost
    peak_memory: int | None = None  # bytes, of its largest process; None: nobody can tell
    # Its code ran to its last line, and did not leave before, whatever its exit code says. None:
    # nobody asked, or nobody can tell: of a Python file it is told by whoever started it.
    completed: bool | None = None


class FileEntry(Frozen):
    """One name in a sandbox directory. `kind` is file, directory, symlink or other."""

    name: str
    kind: str
    size: int


class KernelSpec(Frozen):
    """What cells run in: a language (E2B's name of it), and where it began (None: at home)."""

    language: str | None = None
    cwd: str | None = None


class Sandbox(Protocol):
    """One running sandbox."""

    @property
    def id(self) -> str:
        """As E2B's: `i` and 19 lower-case letters or digits."""
        ...

    @property
    def backend(self) -> str:
        """`e2b` or `local`."""
        ...

    @property
    def template(self) -> str:
        """The name of the template it was made from."""
        ...

    def run_program(
        self, program: Program, *, timeout: float | None, stdout: Sink, stderr: Sink
    ) -> Execution:
        """Run to its end. The sandbox outlives a program that failed, timed out or ran out of
        memory wherever it can, so that files can still be read.

        Raises SandboxError when it could not be started; once it was, every end is returned.
        """
        ...

    def run_cell(
        self,
        code: str,
        *,
        timeout: float | None,
        stdout: Sink,
        stderr: Sink,
        on_result: Callable[[Result], None] | None = None,
        kernel: KernelSpec | None = None,
    ) -> Execution:
        """Run code in a context of a kernel (None: Python's, at home); its state lasts."""
        ...

    def write_files(self, files: Sequence[Upload]) -> None:
        """Write files, any size, directories made as needed. Raises FileTransferFailed."""
        ...

    def read_file(self, path: str) -> Iterator[bytes]:
        """The bytes of a regular file, in pieces. Raises FileTransferFailed."""
        ...

    def list_files(self, path: str) -> list[FileEntry]:
        """The names in a directory, sorted. Raises FileTransferFailed."""
        ...

    def install(self, requirements: Sequence[str]) -> None:
        """Install packages for the Python inside. Raises InstallFailed with one line of why."""
        ...

    def kill(self) -> None:
        """End it and everything in it. Never raises, never waits long, may be called twice."""
        ...

    def release(self) -> None:
        """Let it live on without us until its lifetime ends. Raises Unsupported (local)."""
        ...


class Backend(Protocol):
    """Where sandboxes come from."""

    @property
    def name(self) -> str:
        """`e2b` or `local`."""
        ...

    def create(self, spec: SandboxSpec) -> Sandbox:
        """Start a sandbox. Raises SandboxError (UsageError for a spec that cannot be)."""
        ...

    def close(self) -> None:
        """Kill every sandbox not released, waiting a bounded time. Never raises."""
        ...
