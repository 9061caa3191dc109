"""`e2brun serve` while it runs: its signals, its log of requests, and the command it was given.

A service that is told to end and does so has succeeded: SIGINT, SIGTERM and SIGHUP end it with 0,
which is what systemd and container runtimes take for a clean stop. With a command, its end is
ours, and so is its exit code.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import shutil
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Callable, Mapping
from contextlib import suppress
from socket import socket
from typing import TYPE_CHECKING, NamedTuple

from e2brun.cli.signals import notice
from e2brun.report.safe import one_line
from e2brun.server.app import Exchange
from e2brun.server.http.listening import is_loopback, url_of
from e2brun.server.options import ServiceOptions
from e2brun.server.serving import Service, loop_factory, run
from e2brun.settings import package_environment

if TYPE_CHECKING:
    from e2brun.cli.serve_command import ServeRequest
    from e2brun.server.https.listeners import Https

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PASSED_ON = (*_ENDING, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCONT)
_FROM_KEYBOARD = frozenset({signal.SIGINT, signal.SIGQUIT, signal.SIGHUP})
_NOT_FOUND, _NOT_RUNNABLE = 127, 126
# Of the caller's environment, what would lead the command elsewhere.
_REPLACED = ("E2B_KEY", "E2B_DOMAIN", "E2B_ACCESS_TOKEN", "E2B_DEBUG", "E2BRUN_SERVE_KEY")
_PROXIES = frozenset({"http_proxy", "https_proxy", "all_proxy"})


class Sockets(NamedTuple):
    """Where it listens."""

    plain: socket
    https: Https | None


class Hosting:
    """One service and, if there is one, its command."""

    def __init__(
        self,
        request: ServeRequest,
        options: ServiceOptions,
        sockets: Sockets,
        variables: Mapping[str, str],
        announce: Callable[[], None],
    ) -> None:
        self._request, self._options, self._sockets = request, options, sockets
        self._variables, self._announce = variables, announce
        self._asked = asyncio.Event()
        self._command: Process | None = None
        self._waiting: list[int] = []  # signals that came before the command was there
        self._code = 0

    def host(self) -> int:
        """Serve until told to end, or until the command ends. Returns the exit code."""
        logging.basicConfig(format="e2brun: %(message)s", level=logging.WARNING)
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            return runner.run(self._run())

    async def _run(self) -> int:
        service = Service(self._options)
        if not self._request.quiet:
            service.app.on_access = _log
        loop = asyncio.get_running_loop()
        passed_on = _PASSED_ON if self._request.command else _ENDING
        for number in passed_on:
            # nohup means it. A shell that ignores SIGINT for `serve &` does not.
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, self._signalled, number)
        await run(service, self._sockets.plain, self._began, self._over, self._sockets.https)
        return self._code

    def _began(self) -> None:
        self._announce()
        if not self._request.quiet and not self._request.command:
            reach = "" if is_loopback(self._options.host) else ", for other machines too"
            https = self._sockets.https
            names = f" and https://PORT-ID.{https.domain}" if https else ""
            where = url_of(self._sockets.plain)
            notice(f"serving on {where}{names}{reach}; Ctrl-C ends it")

    async def _over(self) -> None:
        if self._request.command:
            await self._run_command()
        else:
            await self._asked.wait()

    def _signalled(self, number: int) -> None:
        if self._request.command:
            self._pass_on(number)
        elif self._asked.is_set():
            os._exit(128 + number)  # once more: at once; no sandbox outlives us
        else:
            self._asked.set()

    def _pass_on(self, number: int) -> None:
        if self._command is None:
            self._waiting.append(number)
        elif not (number in _FROM_KEYBOARD and _is_in_front()):  # there it got it as well
            with suppress(ProcessLookupError):
                self._command.send_signal(number)

    async def _run_command(self) -> None:
        words = self._request.command
        try:
            self._command = await asyncio.create_subprocess_exec(
                *words, env=_environment(self._variables)
            )
        except OSError as error:
            missing = shutil.which(words[0], os.F_OK) is None
            self._code = _NOT_FOUND if missing else _NOT_RUNNABLE
            why = os.strerror(errno.ENOENT) if missing else error.strerror
            notice(f"{one_line(words[0])}: {why}")
            return
        for number in self._waiting:
            self._pass_on(number)
        code = await self._command.wait()
        self._code = 128 - code if code < 0 else code


def _environment(variables: Mapping[str, str]) -> Mapping[str, str]:
    environment = {k: v for k, v in package_environment().items() if k not in _REPLACED}
    environment |= variables
    if any(name.lower() in _PROXIES for name in environment):
        # A proxy would be asked for its own loopback.
        for name in ("NO_PROXY", "no_proxy"):
            listed = [environment[name]] if environment.get(name) else []
            environment[name] = ",".join([*listed, "127.0.0.1", "localhost", "::1"])
    return environment


def _is_in_front() -> bool:
    """Whether the terminal sends its signals to us and what we started alike."""
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


def _log(exchange: Exchange) -> None:
    """One line for one request; nothing in it is a secret, or active on a terminal."""
    status = str(exchange.status) if exchange.complete else "cut"
    where = f" {one_line(exchange.sandbox_id, 60)}:{exchange.port}" if exchange.sandbox_id else ""
    path = one_line(exchange.request.raw_path.partition("?")[0], 200)
    line = f"{exchange.request.method} {path} {status} {1000 * exchange.seconds:.1f} ms{where}\n"
    with suppress(OSError, ValueError):
        sys.stderr.write(line)
