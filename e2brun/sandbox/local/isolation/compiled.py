"""The agent's code, compiled before it is mounted: nothing inside can write what Python keeps of
its compiling, and each sandbox would compile it anew, 8 ms. Installers have mostly done it."""

from __future__ import annotations

import os
import sys

DIRECTORY = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "agent")


def compile_agent(directory: str = DIRECTORY) -> None:
    """Where it is not, or has changed since, and may be written beside it (PYTHONDONTWRITEBYTECODE
    is heeded). For the Python that runs us: another one does without."""
    source = f"{directory}/main.py"
    compiled = f"{directory}/__pycache__/main.{sys.implementation.cache_tag}.pyc"
    try:
        if os.stat(compiled).st_mtime >= os.stat(source).st_mtime:
            return
    except OSError:
        pass
    if sys.dont_write_bytecode or not os.access(directory, os.W_OK):
        return
    import compileall

    compileall.compile_dir(directory, maxlevels=4, quiet=2)
