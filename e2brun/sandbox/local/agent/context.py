"""`python3 context.py CELLS_FD FRAMES_FD`: run notebook cells sent by the host, one at a time.

Cells: a 4-byte big-endian length, then a JSON object {"code": str, "env": {str: str} or null}.
Frames: one ASCII JSON object a line: started, result*, error or exit at most once, end.
Only starts the others: a script is compiled anew each time, what it imports is cached.
"""

import os
import sys

PACKAGE = "_cells"


def main() -> None:
    """Load the siblings as a private package, hide them, and serve until the host hangs up."""
    here = os.path.dirname(os.path.abspath(__file__))
    package = type(sys)(PACKAGE)
    package.__path__ = [here]
    sys.modules[PACKAGE] = package
    serve = __import__(PACKAGE + ".session", fromlist=["serve"]).serve
    # A user's own `channel.py` must not meet ours: out of sight in both tables, as in a notebook.
    for name in [name for name in sys.modules if name.split(".")[0] == PACKAGE]:
        del sys.modules[name]
    sys.path[:] = ["", *(entry for entry in sys.path if entry not in ("", here))]
    cells_fd, frames_fd = int(sys.argv[1]), int(sys.argv[2])
    sys.argv[:] = [""]
    serve(cells_fd, frames_fd)


if __name__ == "__main__":
    main()
