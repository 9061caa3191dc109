"""The third side: nbclient with a real ipykernel executes the notebook named on the command line
and writes it back."""

from __future__ import annotations

import importlib
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any


def _execute(path: Path) -> None:
    nbformat: Any = importlib.import_module("nbformat")  # its functions have no types
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    document = nbformat.read(path, as_version=4)
    client = NotebookClient(document, timeout=60, kernel_name="python3")
    with suppress(CellExecutionError):  # it stands in the document, too
        client.execute(cwd=str(path.parent))
    nbformat.write(document, path)


if __name__ == "__main__":
    _execute(Path(sys.argv[1]))
