"""The third side: nbclient with a real ipykernel executes the notebooks named on the command line
and writes each back."""

from __future__ import annotations

import asyncio
import importlib
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

_AT_ONCE = 2


async def _execute(path: Path, turn: asyncio.Semaphore) -> None:
    nbformat: Any = importlib.import_module("nbformat")  # its functions have no types
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    document = nbformat.read(path, as_version=4)
    async with turn:
        client = NotebookClient(document, timeout=60, kernel_name="python3")
        with suppress(CellExecutionError):  # it stands in the document, too
            await client.async_execute(cwd=str(path.parent))
    nbformat.write(document, path)


async def _all(paths: list[Path]) -> None:
    turn = asyncio.Semaphore(_AT_ONCE)
    async with asyncio.TaskGroup() as group:
        for path in paths:
            group.create_task(_execute(path, turn))


if __name__ == "__main__":
    asyncio.run(_all([Path(name) for name in sys.argv[1:]]))
