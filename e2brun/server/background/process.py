"""The process of the user's service in the background: see `background`. What it says on stdout
until it is ready, a line each, is for whoever started it."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import NoReturn

from e2brun.errors import E2brunError
from e2brun.private import write_private
from e2brun.sandbox.select import own_directory
from e2brun.server.background.client import READY, STATE
from e2brun.server.http.listening import bind, new_key, port_of, url_of
from e2brun.server.options import ServiceOptions
from e2brun.server.sandboxes.preloading import DEFAULT, preload, templates
from e2brun.server.serving import Service, loop_factory, run
from e2brun.settings import load_settings

FIRST_SECONDS = 30.0  # for whoever started it to make the first sandbox
IDLE_SECONDS = 3.0  # without a sandbox
_LOOK_SECONDS = 0.25
_LAST_CALL_SECONDS = 1.0  # for requests that are on their way when it ends


def main(directory: str, lock: int) -> NoReturn:
    """Serve until no sandbox is left, or until told to end."""
    os.set_inheritable(lock, False)  # it is held until we die, and not by what we start
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    logging.basicConfig(format="%(asctime)s %(message)s")
    code = 0
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(_serve(Path(directory)))
    except E2brunError as error:
        _say(str(error))
        code = error.exit_code
    os._exit(code)


async def _serve(directory: Path) -> None:
    # Of the environment only: the settings of whatever project started it are not for all others.
    settings = load_settings(Path("/"))
    with bind("127.0.0.1", 0) as listener:
        options = replace(
            ServiceOptions.of(settings, new_key()),
            port=port_of(listener),
            templates_of=own_directory(settings),
        )
        options = preload(templates(DEFAULT), options, _say)
        served = _Served(Service(options), directory / STATE, url_of(listener))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, served.asked.set)
        try:
            await run(served.service, listener, served.announce, served.over)
        finally:
            served.state.unlink(missing_ok=True)


class _Served:
    """The service, what is known of it outside, and when it is over."""

    def __init__(self, service: Service, state: Path, url: str) -> None:
        self.service, self.state = service, state
        self.asked = asyncio.Event()
        document = {"url": url, "key": service.options.key, "pid": os.getpid()}
        self._document = json.dumps(document).encode()

    def announce(self) -> None:
        """Whoever waits for it can use it."""
        write_private(self.state, self._document)
        _say(READY)
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(nowhere, 1)
        os.close(nowhere)

    async def over(self) -> None:
        """Returns when it was asked to end, or when there has been no sandbox for a while."""
        end = monotonic() + FIRST_SECONDS
        while not self.asked.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self.asked.wait(), _LOOK_SECONDS)
            if self.service.registry.busy:
                end = monotonic() + IDLE_SECONDS
            elif monotonic() > end and await self._nobody_comes():
                return

    async def _nobody_comes(self) -> bool:
        """Take down where it is; those who have just read it get a last chance."""
        self.state.unlink(missing_ok=True)
        await asyncio.sleep(_LAST_CALL_SECONDS)
        if self.service.registry.busy:
            write_private(self.state, self._document)
            return False
        return True


def _say(line: str) -> None:
    with suppress(OSError):  # whoever started it has gone
        os.write(1, line.encode("utf-8", "replace") + b"\n")
