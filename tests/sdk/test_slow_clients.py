"""What prints without end waits for a client that does not read; the service keeps little of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.waiting import until

_PIECES = 400  # of 64 KiB: more than sockets and the service hold together
_PRINT = f"""for i in range({_PIECES}):
    print('x' * 65536, flush=True)
    with open('/tmp/printed', 'w') as file: file.write(str(i))
"""
Take = Callable[[object], object]


def _program(sandbox: Any, take: Take) -> None:
    sandbox.commands.run("python3 /tmp/print.py", on_stdout=take, timeout=120)


def _cell(sandbox: Any, take: Take) -> None:
    sandbox.run_code(_PRINT, on_stdout=take, timeout=120)


@pytest.mark.parametrize("run", [_program, _cell])
def test_what_prints_without_end_waits_for_a_client_that_does_not_read(
    interpreter: Any, run: Callable[[Any, Take], None]
) -> None:
    interpreter.files.write("/tmp/print.py", _PRINT)
    interpreter.files.write("/tmp/printed", "")
    reads = threading.Event()
    client = threading.Thread(target=run, args=(interpreter, lambda _: reads.wait(120)))
    client.start()
    counts = [""]

    def stands() -> bool:
        reads.wait(0.5)
        counts.append(interpreter.files.read("/tmp/printed"))
        return counts[-1] != "" and counts[-1] == counts[-2]

    try:
        until(stands, 60)
        assert int(counts[-1]) < _PIECES - 1
    finally:
        reads.set()
        client.join(120)
    assert interpreter.files.read("/tmp/printed") == str(_PIECES - 1)
