"""Runs inside an E2B sandbox, sent there as text: starts a program and tells of its end.

E2B waits until every process that holds a program's output has let go of it. This one is the
program's parent: it writes one line of ours to each stream when the program itself has ended,
after everything that the program wrote: its status, its memory, and whether it completed (2:
nobody asked; otherwise `Completion` stands in the same text before). Without `os` and `site`.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os as posix
    import signal as _signal

    environ = posix.environb
else:
    import _signal
    import posix

    environ = posix.environ

locale, unset, tells_end, name, *argv = sys.argv[1:]
mark = posix.read(9, 64).strip()  # not an argument: those can be seen by the program
posix.close(9)
for variable in [*unset.split(), *([] if locale else ["LC_CTYPE"])]:  # set by bash and Python
    posix.unsetenv(variable)
completion = globals()["Completion"]() if tells_end else None
pid = posix.fork()
if pid == 0:
    problem: OSError = FileNotFoundError(2, "No such file or directory")
    try:
        posix.setsid()
        if completion is not None:
            posix.dup2(completion.given.fileno(), 3)
            posix.set_inheritable(3, True)  # which dup2 does not do when it is 3 already
        for ignored in (_signal.SIGPIPE, _signal.SIGXFSZ):  # by Python
            _signal.signal(ignored, _signal.SIG_DFL)
        path = environ.get(b"PATH", b"/usr/bin:/bin").split(b":")
        named = name.encode("utf-8", "surrogateescape")
        for directory in [b""] if "/" in name else path:
            file = directory + b"/" + named if directory else named
            try:
                posix.execv(file, argv)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                problem = error
        posix.write(2, mark + b"!p" + f"{name}: {problem.strerror}".encode(errors="replace"))
    finally:
        posix._exit(127)
_, status, usage = posix.wait4(pid, 0)
completed = 2 if completion is None else int(completion.saw())
for stream in (1, 2):
    try:
        posix.set_blocking(stream, True)  # the program may have changed that for both of us
        posix.write(stream, mark + b"=%d %d %d;" % (status, usage.ru_maxrss, completed))
    except OSError:
        pass
posix._exit(127)
