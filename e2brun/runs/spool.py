"""How `exec` records: lines appended to a file beside the store, output in files of its run.

Importing SQLite takes 19 ms, a third of what `exec hello.py` takes from start to end; a line takes
0.1 ms. `unspool` takes them into the store when somebody asks for runs, and when the file has grown
to FOLD_SIZE. Nothing heavy is imported here. A line is the ASCII repr of a dict, begun with a line
end of its own: after a writer that was killed in the middle of one, the next is whole all the same.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep, time
from typing import TYPE_CHECKING

from e2brun import __version__
from e2brun.errors import UsageError
from e2brun.sandbox.contract import CodeError, Execution, Outcome, Sink
from e2brun.sandbox.masking import Mask, is_secret_name, secrets_in, secrets_of_others
from e2brun.sandbox.owner import owner_mark
from e2brun.settings import STORE, package_environment

if TYPE_CHECKING:
    from e2brun.errors import E2brunError
    from e2brun.jobs.job import Job
    from e2brun.jobs.run import Outputs
    from e2brun.settings import Settings

INLINE = 32 * 1024  # bytes of one text in a line; longer ones get a file
FOLD_SIZE = 4 * 1024 * 1024
MAX_FILE = 16 * 1024 * 1024  # bytes of one stream; the rest is counted
_NO_HOME = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_PRIVATE = 0o600
_LOCK_SECONDS = 2.0  # others hold it for moments


def spool_of(store: Path) -> Path:
    return store.with_name(f"{store.name}.spool")


def files_of(store: Path, run_id: str) -> Path:
    """The directory beside a store that has the long texts of a run, whatever a stranger's store
    calls it: `runs rm` and `runs gc` take it away."""
    name = Path(run_id).name.lstrip(".") or "_"
    return store.with_name(f"{store.name}.files") / name


def append(store: Path, entry: Mapping[str, object]) -> int:
    """Add a line. Returns the size of the file then. Raises OSError."""
    line = f"\n{dict(entry)!a}\n".encode()
    while True:
        descriptor = _opened(spool_of(store))
        try:
            # Shared with other writers, whose lines O_APPEND keeps apart; not with who takes the
            # file away. That may have been done since it was opened.
            lock(descriptor, fcntl.LOCK_SH)
            if not _is_at(spool_of(store), descriptor):
                continue
            if os.write(descriptor, line) != len(line):
                raise _no_room()  # and who reads passes over half a line
            return os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)


def _opened(path: Path) -> int:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    try:
        return os.open(path, flags, _PRIVATE)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return os.open(path, flags, _PRIVATE)


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))  # noqa: PTH116 - as that one
    except FileNotFoundError:
        return False


def lock(descriptor: int, kind: int) -> None:
    """Take it. Raises TimeoutError: who has it was stopped just there."""
    until = monotonic() + _LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if monotonic() > until:
                raise TimeoutError(errno.ETIMEDOUT, "it is locked") from None
            sleep(0.01)
        else:
            return


class KeptStream:
    """The beginning of a stream without secrets: held while it is short, else in a file. Never
    raises: what goes wrong with the file is in `problem`."""

    def __init__(self, path: Path, mask: Callable[[], Mask]) -> None:
        self.dropped = 0
        self.problem: OSError | None = None
        self._path, self._mask = path, mask
        self._held = bytearray()
        self._size = 0
        self._descriptor = -1

    def __call__(self, data: bytes) -> None:
        taken = data[: MAX_FILE - self._size]
        self.dropped += len(data) - len(taken)
        self._size += len(taken)
        if self.problem is None:
            self._held += taken
            if len(self._held) > 2 * INLINE:
                # A secret may go on in what comes next: its beginning is not written yet.
                self._write(self._mask().longest - 1)

    def close(self) -> bytes | None:
        """All of it, or None where it is in the file."""
        if self._descriptor < 0 and len(self._held) <= INLINE:
            return self._mask().of_bytes(bytes(self._held))
        self._write(0)
        if self._descriptor >= 0:
            os.close(self._descriptor)
        return None

    def _write(self, back: int) -> None:
        masked = self._mask().of_bytes(bytes(self._held))
        cut = max(len(masked) - max(back, 0), 0)
        self._held = bytearray(masked[cut:])
        try:
            if self._descriptor < 0:
                self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
                self._descriptor = os.open(self._path, flags, _PRIVATE)
            if os.write(self._descriptor, masked[:cut]) != cut:
                raise _no_room()
        except OSError as error:
            self.problem = error
            self._held.clear()


class SpooledRun:
    """What `exec` leaves of one run; of none where `settings` has no store. `parameters` are a
    notebook's, NAME=VALUE.

    Nothing here holds up or fails the run: what cannot be written is told in one line.
    """

    def __init__(
        self,
        run_id: str,
        job: Job,
        parameters: Sequence[str],
        settings: Settings,
        notice: Callable[[str], None],
    ) -> None:
        self._run_id, self._job, self._parameters = run_id, job, parameters
        self._settings, self._notice = settings, notice
        self._store = settings.store
        self.overflows = False  # the lines have become many: somebody should take them in
        self._begun = self._ended = False
        self._sandbox_id = ""
        self._mask: Mask | None = None
        self._streams: dict[str, KeptStream] = {}

    def begin(self, backend: str) -> None:
        """It begins now. The second time is none."""
        if self._begun:
            return
        self._begun = True
        source = self._job.source
        self._append(
            started=time(),
            name=os.path.basename(source.name),  # noqa: PTH119 - a name, not a path
            file=os.path.abspath(source.name) if source.path is not None else "",  # noqa: PTH100
            backend=backend,
            command=self._hidden().words(sys.argv[1:]),
            directory=_directory(),
            version=__version__,
            owner=owner_mark(),
            **self._code(),
        )

    def hears(self, sandbox_id: str, outputs: Outputs) -> Outputs:
        """The same, heard here on its way."""
        if self._store is None:
            return outputs
        self._sandbox_id = sandbox_id
        files = files_of(self._store, self._run_id)
        self._streams = {
            name: KeptStream(files / name, self._hidden) for name in ("stdout", "stderr")
        }
        return outputs.but(
            stdout=_both(self._streams["stdout"], outputs.stdout),
            stderr=_both(self._streams["stderr"], outputs.stderr),
        )

    def finish(self, execution: Execution, code: int) -> None:
        if not self._begun or self._ended:
            return
        self._ended = True
        mask = self._hidden()
        kept = {name: stream.close() for name, stream in self._streams.items()}
        error = execution.error
        self._append(
            finished=time(),
            code=code,
            how="cell" if self._job.as_cell else "program",
            sandbox=self._sandbox_id,
            outcome=execution.outcome.value,
            exit_code=execution.exit_code,
            execution_time=execution.execution_time,
            peak_memory=execution.peak_memory,
            detail=mask(execution.detail),
            error=None if error is None else _error(error, mask),
            results=_results(execution, mask),
            truncated={name: stream.dropped for name, stream in self._streams.items()},
            **{name: data for name, data in kept.items() if data is not None},
            **self._code(),
        )
        problem = next(filter(None, (stream.problem for stream in self._streams.values())), None)
        if problem is not None:
            self._not_recorded(problem, "the output")

    def failed(self, error: E2brunError) -> None:
        """We failed at it; the code never ran, or nobody can tell."""
        if error.exit_code != UsageError.exit_code:
            self.begin("")
        said = CodeError(type(error).__name__, str(error), "", error.hint or None)
        self.finish(Execution(Outcome.INFRASTRUCTURE, error=said), error.exit_code)

    def _code(self) -> dict[str, bytes]:
        """It, or nothing where it is so long that a file has it."""
        if self._store is None:
            return {}
        content = self._hidden().of_bytes(self._job.source.content)
        if len(content) <= INLINE:
            return {"source": content}
        path = files_of(self._store, self._run_id) / "source"
        with suppress(OSError):
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                path.write_bytes(content)
                path.chmod(0o600)
        return {}

    def _hidden(self) -> Mask:
        """What hides the secrets of this run; made when it is first needed."""
        if self._mask is None:
            self._mask = Mask(self._secrets())
        return self._mask

    def _secrets(self) -> Iterator[str]:
        yield from secrets_of_others(package_environment())
        yield from secrets_in(self._job.spec.env)
        if self._settings.api_key:
            yield self._settings.api_key
        for word in self._parameters:
            name, _, value = word.partition("=")
            if is_secret_name(name):
                yield value

    def _append(self, **values: object) -> None:
        if self._store is None:
            return
        try:
            size = append(self._store, {"run": self._run_id, **values})
        except OSError as error:
            self._not_recorded(error, "the run")
            return
        self.overflows = size > FOLD_SIZE

    def _not_recorded(self, error: OSError, what: str) -> None:
        store, self._store = self._store, None
        usual = store == self._settings.state_dir / STORE
        if usual and error.errno in _NO_HOME:  # a user without a home did not ask for it either
            return
        self._notice(f"{store}: {what} is not recorded: {error.strerror}")


def _both(kept: KeptStream, sink: Sink) -> Sink:
    def hear(data: bytes) -> None:
        kept(data)
        sink(data)

    return hear


def _error(error: CodeError, mask: Mask) -> Mapping[str, str | None]:
    return {
        "name": mask(error.name),
        "value": mask(error.value),
        "traceback": mask(error.traceback),
        "hint": error.hint,
    }


def _results(execution: Execution, mask: Mask) -> str:
    if not execution.results:
        return "[]"
    import json

    return mask(json.dumps(execution.results, default=str))


def _directory() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 - text is what is kept
    except OSError:
        return ""


def _no_room() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
