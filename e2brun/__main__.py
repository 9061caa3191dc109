"""Where every `e2brun` command starts."""

import gc
import os
import signal
import sys
from typing import NoReturn

_BROKEN = 125


def main() -> NoReturn:
    """Run the command line and exit with its code."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # Until `guarded` takes over, Ctrl-C ends us without a traceback through our imports.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    gc.set_threshold(100_000, 20, 20)  # importing makes no garbage; looking for it costs 3 ms
    from e2brun.cli.signals import guarded

    words = sys.argv[1:]
    if words[:1] == ["exec"]:
        # Not importing Typer halves the time to the program's first line.
        from e2brun.cli.execution import execute
        from e2brun.cli.options import notebook_last, read_quickly

        words[1:] = sys.argv[2:] = notebook_last(words[1:])
        request = read_quickly(words[1:])
        if request is not None:
            _leave(guarded(lambda: execute(request)))
    elif words[:2] == ["pipeline", "run"]:
        from e2brun.cli.pipeline_options import read_run_quickly

        run_request = read_run_quickly(words[2:])
        if run_request is not None:
            from e2brun.cli.pipeline_run import run_pipeline

            _leave(guarded(lambda: run_pipeline(run_request)))
    elif words[:1] == ["batch"]:
        from e2brun.cli.batch_options import read_batch_quickly

        batch_request = read_batch_quickly(words[1:])
        if batch_request is not None:
            from e2brun.cli.batch import run_batch

            _leave(guarded(lambda: run_batch(batch_request)))
    from e2brun.cli.app import run

    _leave(guarded(run))


def _leave(code: int) -> NoReturn:
    """Exit at once: everything is closed by now, and taking Python apart costs 9 ms."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except BrokenPipeError:
            pass  # nobody listens
        except (OSError, ValueError):
            if stream is sys.stdout:  # a full stderr is no reason to fail what went well
                code = code or _BROKEN
    os._exit(code)


if __name__ == "__main__":
    main()
