"""Programs in an interpreter that has started already: a fork of it goes on as `python3 FILE`.

It was started as for a program, with the sandbox's environment, and stands where Python is about
to open FILE: at the audit event `cpython.run_file`, below which there is no frame. A fork puts
right what depends on the run and returns from there. The rest is Python's own work: it reads the
file, runs it, prints tracebacks, joins threads, exits.

What it would see the difference of, it does not get: see `fits` and `observing`. Such a program is
started, as everywhere else.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import io
import os
import stat
import sys

from ..child import CommandLine
from . import observing

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable
    from types import CodeType, ModuleType
    from typing import Any, NoReturn
else:
    import _signal

WORD = "python3"  # what the command line has to begin with
# What an interpreter reads when it starts, or the C library below it.
_READ_AT_START = ("PYTHON", "LC_", "LANG", "LD_", "MALLOC_", "GLIBC_", "TZ")
_EQUAL_AT_START = ("HOME", "PATH")
_PR_SET_DUMPABLE, _PR_SET_NAME = 4, 15
# Offsets in a str; in every CPython since 3.3, but those without a lock.
_LENGTH, _HASH = 16, 24
_libc = ctypes.CDLL(None)
_NAME = ctypes.create_string_buffer(WORD.encode())
_NO_MORE = (ctypes.c_ulong(0),) * 3
_END_OF_ZIP = 65_557  # bytes: its last record, and the longest comment
_OFTEN = 20  # CPython 3.11 adapts code from its eighth run on
_COMPLETION = 3  # the descriptor at which the secret waits that tells of an end
_STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))
_NULL = os.makedev(1, 3)
_IGNORED = (_signal.SIGPIPE, _signal.SIGXFSZ)  # by Python itself


class Begin(BaseException):
    """Unwinds a forked child to where Python goes on with it as a program."""


class Warm:
    """What the start has left, before anything of ours was imported; and a run's part of it."""

    def __init__(self, hook: Callable[..., object], name: str, path: list[str]) -> None:
        """Called by an audit hook; `name` is the very string that Python is about to open."""
        self.unwinding = (Begin,)
        self._name, self._room = name, len(name)
        self._path = path[1:]
        self._environment = dict(os.environ)
        self._executable = sys.executable
        self._user_sites = [place for place in self._path if place.startswith(os.environ["HOME"])]
        self._command_line = CommandLine()
        self._ahead: dict[str, ModuleType] = {}
        self._hook = hook
        _be_forgotten(hook)
        self._hook = hook
        self._added: list[str] = []
        self._directory = ""  # of the program
        self._run: tuple[str, dict[str, Any]] | None = None

    def show(self, command: list[str]) -> None:
        """Let it look as if it had been started so."""
        self._command_line.rewrite(command)
        name = ctypes.create_string_buffer(os.fsencode(os.path.basename(command[0])))
        _libc.prctl(_PR_SET_NAME, name, *_NO_MORE)

    def settle(
        self, modules: dict[str, ModuleType], ahead: tuple[str, ...], kept: tuple[str, ...]
    ) -> None:
        """Let sys.modules be what the start has left, and those `kept` by pid 1. Import `ahead`
        what many programs do; not to be seen before they do."""
        ours = {name: module for name, module in sys.modules.items() if name not in modules}
        sys.modules.clear()
        sys.modules.update(modules)
        for name in ahead:
            __import__(name)
        self._ahead = {n: sys.modules.pop(n) for n in [*sys.modules] if n not in modules}
        self._added = [name for name in kept if name in ours]
        sys.modules.update((name, ours[name]) for name in self._added)
        for path in {*sys.path_importer_cache} - {*self._path}:
            del sys.path_importer_cache[path]
        # What is freed is written to, and what a fork writes to is copied: all of it stays.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object((self, ours, self._hook)))

    def fits(self, request: dict[str, Any]) -> bool:
        """In the child, in its working directory: whether a start would have led to this."""
        argv, env = _command(request), request["env"]
        if len(argv) < 2 or argv[0] != WORD or argv[1][:1] in {"", "-"}:
            return False
        told = {name for name, _ in env.items() ^ self._environment.items()}
        if any(name.startswith(_READ_AT_START) or name in _EQUAL_AT_START for name in told):
            return False
        path = _absolute(argv[1])
        if not path.isascii() or len(path) > self._room or path.endswith(".pyc"):
            return False
        try:
            os.fsencode("".join((*argv, *env, *env.values())))
            self._directory = _place_of_source(path)
            if not self._directory:
                return False
        except (OSError, ValueError):
            return False
        return self._finds_us(env["PATH"]) and not self._may_change_start()

    def rehearse(self) -> None:
        """What an interpreter has done a few times it does from caches, which a fork shares with
        others as long as it writes nothing there."""
        request = {"argv": [WORD, f"{os.path.dirname(__file__)}/warm.py"], "env": {**os.environ}}
        code = compile("for one in (1, 2): print(one)", "<rehearsed>", "exec")
        for _ in range(_OFTEN):
            self.fits(request)
            observing.seen(code)
            observing.imports(code)
        self._directory = ""

    def _finds_us(self, search_path: str) -> bool:
        candidates = (f"{directory}/{WORD}" for directory in search_path.split(":"))
        return next((c for c in candidates if os.access(c, os.X_OK)), "") == self._executable

    def _may_change_start(self) -> bool:
        """Whether the user's own packages do: they may have .pth files, or a usercustomize."""
        return any(os.listdir(path) for path in self._user_sites if os.path.isdir(path))

    def begin(self, report: int, request: dict[str, Any]) -> NoReturn:
        """In the child: become what a start would have made of it. Raises Begin, or OSError;
        `report` is closed then."""
        argv, env = _command(request), request["env"]
        path = _absolute(argv[1])
        self._run = path, request
        if [*env] != [*self._environment]:
            os.environ.clear()
            self._environment = {}
        for word, value in env.items():
            if self._environment.get(word) != value:
                os.environ[word] = value
        sys.argv[:] = argv[1:]
        sys.orig_argv[:] = argv
        sys.path[:] = [self._directory, *self._path]
        for name in self._added:
            del sys.modules[name]
        self._forget_importers(path)
        for descriptor, (name, mode) in enumerate(_STREAMS):
            if not _is_as_at_start(descriptor):
                stream = _standard(getattr(sys, f"__{name}__"), descriptor, mode)
                setattr(sys, name, stream)
                setattr(sys, f"__{name}__", stream)
        _signal.set_wakeup_fd(-1)
        _signal.signal(_signal.SIGINT, _signal.default_int_handler)
        for number in _IGNORED:
            _signal.signal(number, _signal.SIG_IGN)
        _unfreeze(sys.modules["__main__"])
        _rewrite(self._name, path)
        self._command_line.rewrite(argv)
        _libc.prctl(_PR_SET_NAME, _NAME, *_NO_MORE)
        _libc.prctl(_PR_SET_DUMPABLE, ctypes.c_ulong(1), *_NO_MORE)
        sys.addaudithook(self._heard)
        os.close(report)
        raise Begin

    def _forget_importers(self, path: str) -> None:
        cache = sys.path_importer_cache
        cache[path] = None
        for place in self._user_sites:  # another directory than the one it has looked at
            finder: Any = cache.get(place)
            if finder is not None:
                finder.invalidate_caches()

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Until the program's code is about to run."""
        if event == "exec" and self._run is not None and arguments[0].co_filename == self._run[0]:
            self._look(arguments[0], self._run[1])
            _be_forgotten(self._heard)

    def _look(self, code: CodeType, request: dict[str, Any]) -> None:
        """Start an interpreter of its own for what could tell that this is none."""
        seen = observing.seen(code)
        if seen == observing.Seen.START or (
            request.get("tells_end") and seen != observing.Seen.NOTHING
        ):
            for number in _IGNORED:
                _signal.signal(number, _signal.SIG_DFL)
            os.execve(self._executable, request["argv"], request["env"])
        if seen == observing.Seen.IMPORTS:
            return
        if observing.imports(code):  # else not: what is touched is copied
            beside = {name.partition(".")[0] for name in os.listdir(sys.path[0])}
            if beside.isdisjoint(self._ahead):
                sys.modules.update(self._ahead)
        if seen == observing.Seen.NOTHING:
            tells = bool(request.get("tells_end"))
            atexit.register(_leave, vars(sys.modules["__main__"]), tells=tells)


def _leave(names: dict[str, object], *, tells: bool) -> None:
    """The last thing that is called at exit. Where nothing can tell whether its objects are freed
    in good order, they are not: that is most of an exit's work, in a fork."""
    # Python has taken away __file__: the code came to its end, and called no exit().
    if "__file__" in names or hasattr(sys, "last_type"):
        return
    if tells:
        os.write(_COMPLETION, os.read(_COMPLETION, 64))
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):  # Python says so, and has a code for it
        return
    os._exit(0)


def _command(request: dict[str, Any]) -> list[str]:
    """Without what tells its end (`wholly`) before it: `python3 -c TEXT FILE ARGUMENTS...`."""
    argv: list[str] = request["argv"]
    return [argv[0], *argv[3:]] if request.get("tells_end") else argv


def _absolute(path: str) -> str:
    return path if path.startswith("/") else f"{os.getcwd()}/{path}"


def _is_as_at_start(descriptor: int) -> bool:
    """Whether it is what `plain_start` had there: /dev/null, or a pipe."""
    found = os.fstat(descriptor)
    if descriptor == 0:
        return stat.S_ISCHR(found.st_mode) and found.st_rdev == _NULL
    return stat.S_ISFIFO(found.st_mode)


def _place_of_source(path: str) -> str:
    """The directory it is in, behind all links. Empty, where it is no file or an archive of
    modules, which may be at the end of one."""
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(file)
        end = os.pread(file, _END_OF_ZIP, max(0, found.st_size - _END_OF_ZIP))
        if not stat.S_ISREG(found.st_mode) or b"PK\5\6" in end:
            return ""
        return os.path.dirname(os.readlink(f"/proc/self/fd/{file}"))
    finally:
        os.close(file)


def _standard(like: Any, descriptor: int, mode: str) -> Any:
    """As create_stdio() in CPython's pylifecycle.c has it."""
    through = like.write_through  # python3 -u, or PYTHONUNBUFFERED
    bare = through and mode == "w"
    buffer: Any = io.open(descriptor, f"{mode}b", 0 if bare else -1, closefd=False)  # noqa: UP020, SIM115
    raw = buffer if bare else buffer.raw
    raw.name = like.name
    by_line = not through and (raw.isatty() or descriptor == 2)
    stream = io.TextIOWrapper(
        buffer, like.encoding, like.errors, "\n", by_line, write_through=through
    )
    stream.mode = mode  # type: ignore[misc]
    return stream


def _rewrite(text: str, new: str) -> None:
    """Let a str say something else, no longer than it was: Python has hold of it, and nobody has
    looked it up yet."""
    data = new.encode("ascii") + b"\0"
    ctypes.memmove(id(text) + sys.getsizeof(text) - len(text) - 1, data, len(data))
    ctypes.c_ssize_t.from_address(id(text) + _LENGTH).value = len(new)
    ctypes.c_ssize_t.from_address(id(text) + _HASH).value = -1


def can_rewrite(text: str) -> bool:
    """Whether `_rewrite` knows its way about this interpreter's."""
    where = id(text)
    length = ctypes.c_ssize_t.from_address(where + _LENGTH).value
    start = where + sys.getsizeof(text) - len(text) - 1
    return length == len(text) and ctypes.string_at(start, length) == text.encode()


def _unfreeze(module: ModuleType) -> None:
    """Let the garbage collector find what is left in it at the end: it passes over what was there
    when the zygote called gc.freeze()."""
    for found in (module, vars(module)):
        ctypes.pythonapi.PyObject_GC_UnTrack(ctypes.py_object(found))
        ctypes.pythonapi.PyObject_GC_Track(ctypes.py_object(found))


def _be_forgotten(hook: Callable[..., object]) -> None:
    """Called by an audit hook: take it out of the list that the interpreter goes over."""
    kind: type[object] = type(iter([]))
    for found in gc.get_objects(0):
        if type(found) is kind:
            hooks: Any = found.__reduce__()[1][0]
            if hooks == [hook]:
                hooks.clear()
                return
