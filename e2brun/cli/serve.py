"""`e2brun serve`: what was asked, checked, and how others are told where the service is."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from e2brun.cli.options import given
from e2brun.cli.signals import notice, print_success, write_line
from e2brun.errors import UsageError
from e2brun.settings import Settings, load_settings, package_environment
from e2brun.values import parse_size

if TYPE_CHECKING:
    from socket import socket

    from e2brun.cli.serve_command import ServeRequest
    from e2brun.sandbox.local.templates import Template
    from e2brun.server.https.listeners import Https
    from e2brun.server.options import ServiceOptions

NAMES = ("E2B_API_URL", "E2B_SANDBOX_URL", "E2B_API_KEY", "E2B_VOLUME_API_URL")
KEY_VARIABLE = "E2BRUN_SERVE_KEY"
_KEY = re.compile(r"[!-~]{1,200}")
_SHORTEST_PUBLIC_KEY = 20
_DISK, _VOLUME = 2 * 1024**3, 1024**3


def serve(request: ServeRequest) -> int:
    """Serve until told to end, or until the command ends. Returns the exit code."""
    if request.print_ca:
        return _print_ca()
    key = _key(request)
    env_file = None if request.env_file is None else EnvironmentFile(Path(request.env_file))
    settings = load_settings(None, None, **request.flags)
    for line in settings.notices:
        notice(line)
    from e2brun.cli.serve_running import Hosting, Sockets
    from e2brun.server.http.listening import bind, url_of
    from e2brun.server.sandboxes.preloading import DEFAULT, templates

    wanted = templates(request.templates or DEFAULT)
    with ExitStack() as opened:
        listener = opened.enter_context(bind(request.host, request.port))
        options = _options(request, settings, key, listener, wanted)
        url = url_of(listener)
        variables: dict[str, str] = dict(zip(NAMES, (url, url, options.key, url), strict=True))
        https = _https(request, settings, options.key)
        if https is not None:
            opened.callback(https.close)
            options = replace(options, domain=https.domain)
            variables |= https.variables
        if env_file is not None:
            opened.callback(env_file.remove)
        sockets = Sockets(listener, https)
        announce = partial(_announce, request, variables, env_file)
        return Hosting(request, options, sockets, variables, announce).host()


def _https(request: ServeRequest, settings: Settings, key: str) -> Https | None:
    if not request.https:
        return None
    from e2brun.server.https.listeners import Https

    return Https(settings.state_dir / "https", package_environment(), key)


def _print_ca() -> int:
    """The authority's certificate as PEM."""
    from e2brun.server.https.authority import Authority

    authority = Authority(load_settings(None, None).state_dir / "https")
    write_line(authority.certificate.read_text("ascii").rstrip())
    return 0


def _options(
    request: ServeRequest,
    settings: Settings,
    key: str | None,
    listener: socket,
    templates: Iterable[Template],
) -> ServiceOptions:
    from e2brun.sandbox.local.host.output import OutputBounds
    from e2brun.server.http.listening import new_key, port_of
    from e2brun.server.options import ServiceOptions
    from e2brun.server.sandboxes.preloading import preload

    options = replace(
        ServiceOptions.of(settings, key or new_key()),
        host=request.host,
        port=port_of(listener),
        max_sandboxes=request.max_sandboxes,
        # Files of people who build on E2B are larger than those of one script.
        disk=settings.disk if request.disk is not None else max(settings.disk, _DISK),
        total_memory=settings.total_memory,
        total_disk=settings.total_disk,
        volume_size=_bound("--volume-size", request.volume_size) or _VOLUME,
        output=OutputBounds(
            rate=_bound("--output-rate", request.output_rate),
            total=_bound("--max-output", request.max_output),
        ),
        allowed_hosts=frozenset(name.lower() for name in request.names),
        install=_install(request),
        state=given("--state", _directory, request.state) or settings.serve_state,
    )
    return preload(templates, options, notice)


def _directory(name: str) -> Path:
    if not name:  # Path("") is the working directory
        raise UsageError("the name is empty")
    return Path(name)


def _install(request: ServeRequest) -> tuple[str, ...]:
    if not request.install and not request.requirements:
        return ()
    from e2brun.jobs.requirements import requirements_from_file
    from e2brun.sandbox.requirement import parse_requirement

    for text in request.install:
        parse_requirement(text, "--install")
    files = (text for name in request.requirements for text in requirements_from_file(Path(name)))
    return tuple(dict.fromkeys((*request.install, *files)))


def _bound(name: str, text: str | None) -> int:
    return given(name, partial(parse_size, zero=True), text) or 0


def _key(request: ServeRequest) -> str | None:
    """The key that was chosen, None for one to be made up. Raises UsageError."""
    key = request.key or package_environment().get(KEY_VARIABLE)
    from e2brun.server.http.listening import is_loopback

    public = not is_loopback(request.host)
    if key is None:
        if public:
            raise UsageError(
                f"--host {request.host}: other machines can reach it, so it needs a key of yours",
                hint=f'export {KEY_VARIABLE}="e2b_$(openssl rand -hex 20)"',
            )
        return None
    if not _KEY.fullmatch(key):
        raise UsageError("the key must be 1 to 200 printable ASCII characters, no space among them")
    if public and len(key) < _SHORTEST_PUBLIC_KEY:
        raise UsageError(
            f"the key is too short for a service that other machines can reach: "
            f"{_SHORTEST_PUBLIC_KEY} characters at least"
        )
    return key


def _announce(
    request: ServeRequest, variables: Mapping[str, str], env_file: EnvironmentFile | None
) -> None:
    """Say where it is: to a file first, so that whoever reads our line finds the file there."""
    if env_file is not None:
        env_file.write(variables)
    if request.command:
        return  # stdout is the command's
    if request.as_json:
        print_success(pid=os.getpid(), **variables)
    else:
        words = " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())
        write_line(f"export {words}")


class EnvironmentFile:
    """`--env-file`: NAME=VALUE lines that only their owner can read, there while we serve."""

    def __init__(self, path: Path) -> None:
        """Raises UsageError for a file that is not one of ours to replace."""
        self._path = path
        if not os.path.isdir(path.parent):
            raise UsageError(f"--env-file {path}: {path.parent} is no directory")
        with UsageError.of_system(f"--env-file {path}"):
            other = path.is_symlink() or (path.exists() and not self._is_ours())
        if other:
            raise UsageError(
                f"--env-file {path} exists, and holds something else",
                hint="Name a new file; it is made, and removed when the service ends.",
            )
        self.remove()  # of one that was killed: whoever waits for the file is not to read that

    def write(self, variables: Mapping[str, str]) -> None:
        """Whole or not at all."""
        from e2brun.private import write_private

        lines = "".join(f"{name}={value}\n" for name, value in variables.items())
        with UsageError.of_system(f"--env-file {self._path}"):
            write_private(self._path, lines.encode())

    def remove(self) -> None:
        """Take it away, unless it has become something else."""
        with suppress(OSError):
            if self._is_ours():
                self._path.unlink()

    def _is_ours(self) -> bool:
        if not self._path.is_file() or self._path.stat().st_size > 16384:
            return False
        lines = self._path.read_text("utf-8", "replace").splitlines()
        return [line.partition("=")[0] for line in lines[: len(NAMES)]] == list(NAMES)
