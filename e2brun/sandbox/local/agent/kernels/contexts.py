"""Code-interpreter contexts: a Python forked from pid 1 for each, other kernels by exec.

The fork is what makes a context cheap: it starts with everything pid 1 has imported. What it
must not inherit is pid 1 itself: its descriptors, its signals, its modules, its bare sys.path.
"""

from __future__ import annotations

import errno
import os
import sys

from ..child import CommandLine, confine, default_signals, prctl

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from typing import Any, NoReturn
else:
    import _signal

CELLS_FD, FRAMES_FD = 3, 4
_PACKAGE = __name__.partition(".")[0]
_AGENT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_PLACE = os.path.dirname(_AGENT)  # what sys.path has of ours
# Of the process that contexts are forked from, where it has prepared: sys.path, and what `site`
# adds to it; the names of our modules, after them the last one's there is.
_standard: list[str] = []
_installed: list[str] = []
_known: list[str] = []
_kept: list[object] = []
_PR_SET_DUMPABLE = 4
# On its command line: what it stands in for at E2B, where some look for that by name (pgrep -f).
_TITLE = "python3", "ipykernel_launcher", "jupyter-server", "uvicorn main:app"


def context(agent: Any, request: dict[str, Any], descriptors: list[int]) -> None:
    """Start one (`descriptors` become its stdin, stdout, stderr, cells and frames), or send the
    whole process group of a started one (`run`) a `signal`."""
    if "signal" in request:
        _signal_group(agent, request)
    elif request.get("argv"):
        _launch(agent, {"cpu": 0, **request}, descriptors)
    else:
        try:
            os.close(os.open(request["cwd"], os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        except ValueError:  # NUL, or half a character: no path at all
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL)) from None
        pid = os.fork()
        if pid == 0:
            _become(request, descriptors, agent.user_filter)
        agent.programs[pid] = request["id"]
        agent.tell("started", request["id"], pid)


def _launch(agent: Any, request: dict[str, Any], descriptors: list[int]) -> None:
    def child(report: int) -> NoReturn:
        agent.become(request, descriptors, report)
        os._exit(127)  # which it never comes to

    agent.start(request["id"], child)


def _signal_group(agent: Any, request: dict[str, Any]) -> None:
    for pid, number in agent.programs.items():
        if number == request["run"]:
            try:  # what the cell started is meant as well: a shell waits for its command
                os.killpg(pid, request["signal"])
            except ProcessLookupError:
                os.kill(pid, request["signal"])
    agent.tell("done", request["id"])


def _become(request: dict[str, Any], descriptors: list[int], confinement: bytes) -> NoReturn:
    """In the child: leave nothing of pid 1, run cells, and end as a Python does."""
    code = 1
    try:
        os.setsid()
        _usual_signals()
        _place(descriptors)
        confine(confinement)
        _be_ordinary(request)
        if numpy_random := sys.modules.get("numpy.random"):  # imported ahead, for all sandboxes
            numpy_random.seed()
        from .python import notebook

        serve = notebook.server()  # the last that is imported of ours
        forget_ourselves()
        _find_packages()
        serve(CELLS_FD, FRAMES_FD)
        code = 0
    except SystemExit as leaving:  # a cell's own fork ran past the end of its cell
        code = leaving.code if isinstance(leaving.code, int) else 1
    except BaseException as error:  # nothing may return into pid 1's own code
        sys.excepthook(type(error), error, error.__traceback__)
    finally:
        _finish(code)


def _finish(code: int) -> NoReturn:
    try:
        threading: Any = sys.modules.get("threading")
        if threading is not None:
            threading._shutdown()  # waits for threads, as the interpreter's end
        atexit: Any = sys.modules.get("atexit")
        if atexit is not None:
            atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:  # theirs, and nobody is left to tell
        pass
    finally:
        os._exit(code & 0xFF)


def _usual_signals() -> None:
    """As at the start of any Python: the defaults, but for what it ignores itself."""
    _signal.set_wakeup_fd(-1)
    default_signals()
    _signal.signal(_signal.SIGPIPE, _signal.SIG_IGN)
    _signal.signal(_signal.SIGXFSZ, _signal.SIG_IGN)
    # Until the session takes it over: an interrupt is not to end what is still being imported.
    _signal.signal(_signal.SIGINT, lambda _number, _frame: None)


def _place(descriptors: list[int]) -> None:
    high = [os.dup2(descriptor, 64 + i) for i, descriptor in enumerate(descriptors)]
    for target, source in enumerate(high):
        os.dup2(source, target, inheritable=target < CELLS_FD)
    os.closerange(len(high), 65536)  # the control socket above all
    for name, number, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        # Made anew: the old ones remember of what stood there before whether it could seek.
        wrong = {"stdin": "surrogateescape", "stderr": "backslashreplace"}.get(name)
        errors = wrong or "surrogateescape"
        buffering = 1 if mode == "w" else -1
        stream = open(number, mode, buffering, "utf-8", errors, closefd=False)  # noqa: SIM115
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _be_ordinary(request: dict[str, Any]) -> None:
    """Look as if started as `python3` by a user: environment, flags, arguments, directory."""
    prctl(_PR_SET_DUMPABLE, 1)  # as for any program: /proc/self is its own
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    sys.flags = _flags  # pyright: ignore[reportAttributeAccessIssue]
    sys.argv[:] = [""]
    if request.get("executable"):
        sys.executable = request["executable"]
    if hasattr(sys, "orig_argv"):  # from 3.10 on
        sys.orig_argv[:] = [sys.executable]
    CommandLine().rewrite(_TITLE)


def _ordinary_flags() -> Any:
    """Those of a plain start. Programs that start themselves anew (multiprocessing, joblib) hand
    them on: with pid 1's own they would find no packages."""
    names = [name for name in dir(sys.flags) if not name.startswith(("_", "n_"))]
    flags = {name: getattr(sys.flags, name) for name in names if name not in ("count", "index")}
    ordinary = {"isolated": 0, "no_site": 0, "ignore_environment": 0, "no_user_site": 0}
    return type(sys.implementation)(**{**flags, **ordinary, "safe_path": False})


_flags = _ordinary_flags()


def prepare() -> None:
    """What every context needs, once, in the process that contexts are forked from: who we are,
    and where packages lie. A fork then touches, and so copies, as little memory as can be."""
    import site

    paths = list(sys.path)
    _standard[:] = [entry for entry in paths if entry not in ("", _PLACE)]
    sys.path[:] = _standard
    site.main()  # isolated, so that it finds no packages of a user
    _installed[:] = sys.path[len(_standard) :]
    sys.path[:] = paths
    sys.modules.pop("sitecustomize", None)


def forget_ourselves() -> None:
    """A user's own package must not meet ours, of the same name: out of sys.modules and path."""
    names = _our_modules()
    _kept.extend(sys.modules.pop(name) for name in names)  # not freed: that would copy memory
    sys.path[:] = [entry for entry in sys.path if entry not in ("", _PLACE)]
    places = [place for place in sys.path_importer_cache if place.startswith(_AGENT)]
    _kept.extend(sys.path_importer_cache.pop(place) for place in places)
    _kept.append(sys.path_importer_cache.pop(_PLACE, None))


def remember_modules() -> None:
    """When all is imported: which modules are ours. To go through them all in a fork would write
    to each name, and so copy it."""
    _known[:] = [*_our_modules(), next(reversed(sys.modules))]


def _our_modules() -> list[str]:
    *known, last = _known or [""]
    names: list[str] = []
    for name in reversed(sys.modules):
        if name == last:
            return known + names
        if name.partition(".")[0] == _PACKAGE:
            names.append(name)
    return names


def _find_packages() -> None:
    """The usual path: what `site` adds. The working directory comes when all is imported."""
    import site

    if not _standard:  # nobody has prepared
        site.main()
        return
    sys.path[:] = _standard
    site.ENABLE_USER_SITE = True
    site.USER_BASE = site.USER_SITE = None  # found anew: `prepare` had another HOME, or none
    site.addsitedir(site.getusersitepackages(), {*_standard})  # else it looks at each again
    sys.path += _installed
