"""Our end of the pipe to the reaper, which kills sandboxes even when we cannot any more.

Telling it something is one write to a pipe: it costs nothing and cannot fail for long. The key
goes through the pipe too, so that neither a list of processes nor an environment shows it.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

SCRIPT = Path(__file__).with_name("reaper_process.py")

# The user's own environment may hold the key; the reaper has no use for it.
_WITHOUT_KEYS = ("env", "-u", "E2B_API_KEY", "-u", "E2B_KEY", "-u", "E2B_ACCESS_TOKEN")


class Reaper:
    """Starts the reaper, starts it again should it be gone, and tells it what is owned."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._credentials: bytes | None = None
        self._history: list[str] = []  # what a new reaper has to know
        self._closed = False

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the process; it waits for its credentials."""
        with self._lock:
            self._start()

    def introduce(self, url: str, key: str) -> None:
        with self._lock:
            self._credentials = f"{url}\n{key}\n".encode()
            self._write(self._credentials)

    def close(self, patience: float) -> None:
        """No more orders. Waits at most `patience` seconds for the last ones to be done."""
        with self._lock:
            self._closed = True
            process, self._process = self._process, None
        if process is None or process.stdin is None:
            return
        with suppress(OSError):
            process.stdin.close()
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            # It ends by itself, later than us: not a child that somebody forgot to wait for.
            process.returncode = 0

    def tell(self, *order: str) -> None:
        """One of the orders in `reaper_process`, in words."""
        line = " ".join(order)
        with self._lock:
            if self._closed:
                return
            self._history.append(line)
            if not self._write(line.encode() + b"\n"):
                self._start()
                self._write((self._credentials or b"") + "\n".join(self._history).encode() + b"\n")

    def _write(self, data: bytes) -> bool:
        if self._process is None or self._process.stdin is None:
            return False
        try:
            self._process.stdin.write(data)
            self._process.stdin.flush()
        except OSError:
            return False
        return True

    def _start(self) -> None:
        if self._process is not None:
            if self._process.stdin is not None:
                with suppress(OSError):
                    self._process.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(0.1)
        # -I -S: neither the user's modules nor their environment have a say in it.
        self._process = subprocess.Popen(
            [*_WITHOUT_KEYS, sys.executable, "-I", "-S", str(SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
            bufsize=0,
        )
