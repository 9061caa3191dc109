"""Runs a Python file as `python FILE` does, and tells a descriptor that its code came to its end.

Sent as text, `python3 -c TEXT FILE ARGUMENTS...`, into sandboxes of every kind. At descriptor 3
waits a secret, which goes back there once the last line of FILE was run; not when the program left
before, by exit(), os._exit() or an exception. Its code runs in this interpreter, so code that sets
out to find the secret can: it lies where only gc.unfreeze() or raw memory leads.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any


def _codes(path: str) -> "tuple[Any, ...]":
    """What is run one after the other. Nothing else has a hold on any of it, and after the first
    no search of the garbage collector's finds it."""
    import posix

    secret = posix.read(3, 64)
    number = 64 + secret[0] % 128
    posix.dup2(3, number, inheritable=False)
    posix.close(3)
    tell = f"import posix\nif posix.getpid() == {posix.getpid()}: posix.write({number}, {secret!r})"
    with open(path, "rb") as file:
        program = compile(file.read(), path, "exec", dont_inherit=True)
    return "__import__('gc').freeze()", program, compile(tell, "", "exec")


def _own(trace: "TracebackType | None") -> "TracebackType | None":
    """From the program's first frame on."""
    while trace is not None and trace.tb_frame.f_code.co_filename == "<string>":
        trace = trace.tb_next
    return trace


def _run(codes: "Any", own: "Any") -> None:
    import sys

    sys.argv = sys.argv[1:]
    path = sys.argv[0]
    if not path.startswith("/"):
        import posix

        path = f"{posix.getcwd()}/{path}"
    sys.path[0] = path.rpartition("/")[0]
    main = sys.modules["__main__"].__dict__
    for name in [name for name in main if not name.startswith("__")]:
        del main[name]
    main.update(__doc__=None, __file__=path, __cached__=None)
    main["__loader__"] = sys.modules["_frozen_importlib_external"].SourceFileLoader(
        "__main__", path
    )
    run, every, leaving = exec, any, (SystemExit, KeyboardInterrupt)
    try:
        every(map(run, codes(path), ({}, main, {})))
    except leaving:
        raise
    except BaseException as error:  # as Python tells of it
        error.__traceback__ = own(error.__traceback__)
        sys.last_type, sys.last_value = type(error), error
        sys.last_traceback = error.__traceback__
        sys.excepthook(type(error), error, error.__traceback__)
        raise SystemExit(1) from None


_run(_codes, _own)
