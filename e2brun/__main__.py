"""Where every `e2brun` command starts."""

import signal
import sys


def main() -> None:
    """Run the command line and exit with its code."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # Until `guarded` takes over, Ctrl-C ends us without a traceback through our imports.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from e2brun.cli.guard import guarded

    words = sys.argv[1:]
    # `e2brun exec FILE ARGS...` with no option of ours: there is nothing to parse, and not
    # importing the parser halves the time to the program's first line.
    if len(words) > 1 and words[0] == "exec" and words[1][:1] not in {"-", ""}:
        from e2brun.cli.execution import Request, execute

        sys.exit(guarded(lambda: execute(Request(target=words[1], arguments=tuple(words[2:])))))
    from e2brun.cli.app import run

    sys.exit(guarded(run))


if __name__ == "__main__":
    main()
