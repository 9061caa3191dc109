"""Pass a descriptor of ours on to a program's standard input, until either ends."""

from __future__ import annotations

import os
import selectors
from contextlib import suppress

from e2brun.sandbox.e2b import sdk
from e2brun.sandbox.e2b.channel import start_thread
from e2brun.sandbox.e2b.translate import known

PIECE = 64 * 1024
SECONDS = 30.0


class Feed:
    """A thread that reads the descriptor; `stop` ends it even when the descriptor never ends."""

    def __init__(self, native: sdk.Native, pid: int, source: int) -> None:
        self._native = native
        self._pid = pid
        self._source = source
        self._wake_read, self._wake_write = os.pipe()
        self._stopped = False
        start_thread(self._run, "stdin")

    def stop(self) -> None:
        if not self._stopped:
            self._stopped = True
            os.close(self._wake_write)

    def _run(self) -> None:
        # poll, since epoll refuses regular files and select descriptors above 1023.
        with selectors.PollSelector() as selector:
            selector.register(self._source, selectors.EVENT_READ)
            selector.register(self._wake_read, selectors.EVENT_READ)
            try:
                while self._pass_on(selector):
                    pass
            except Exception as error:
                # The program ended or closed its stdin; how it ended is told elsewhere.
                if known(error) is None:
                    raise
            finally:
                with suppress(OSError):
                    os.close(self._wake_read)

    def _pass_on(self, selector: selectors.PollSelector) -> bool:
        ready = {key.fd for key, _ in selector.select()}
        if self._wake_read in ready or self._stopped:
            return False
        data = os.read(self._source, PIECE)
        if data:
            self._native.commands.send_stdin(self._pid, data, request_timeout=SECONDS)
            return True
        self._native.commands.close_stdin(self._pid, request_timeout=SECONDS)
        return False
