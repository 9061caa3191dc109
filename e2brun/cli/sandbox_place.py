"""Where `e2brun sandbox` commands go: E2B's cloud, or the user's own service on this machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from e2brun.cli.signals import notice
from e2brun.errors import SandboxUnavailable
from e2brun.frozen import Frozen
from e2brun.sandbox.select import credentials, is_cloud
from e2brun.settings import Flag, Settings, load_settings, package_environment

if TYPE_CHECKING:
    from e2brun.sandbox.e2b.remote import Facts, Remote
    from e2brun.sandbox.e2b.sdk import Credentials
    from e2brun.server.background.client import Background, Endpoint

T = TypeVar("T")
_TRIES = 3


class Place(Frozen):
    """The provider that `--on` names."""

    settings: Settings

    @property
    def local(self) -> bool:
        return not is_cloud(self.settings)

    @property
    def name(self) -> str:
        """`local` or `e2b`, as documents have it."""
        return "local" if self.local else "e2b"

    def remote(self) -> Remote | None:
        """The provider; None where it is this machine, and no service runs: no sandbox either."""
        if not self.local:
            return self._remote(credentials(self.settings))
        endpoint = self._background().find()
        return None if endpoint is None else self._remote(_credentials(endpoint))

    def sandboxes(
        self, states: Sequence[str] = (), metadata: Mapping[str, str] | None = None
    ) -> list[Facts]:
        """Those there are, newest first."""
        remote = self.remote()
        try:
            return [] if remote is None else remote.sandboxes(states=states, metadata=metadata)
        except SandboxUnavailable:
            if self.local and self._background().find() is None:
                return []  # it has ended since, as it does after its last sandbox
            raise

    def about(self, sandbox_id: str) -> Remote:
        """The provider, for a question about one sandbox. Raises NoSuchSandbox."""
        from e2brun.sandbox.e2b.remote import NoSuchSandbox, check_id

        check_id(sandbox_id)
        remote = self.remote()
        if remote is None:
            raise NoSuchSandbox(f"no sandbox {sandbox_id} on this machine")
        return remote

    def creating(self, create: Callable[[Remote], T]) -> T:
        """`create`'s result; on this machine the service is started first, if need be."""
        if not self.local:
            return create(self._remote(credentials(self.settings)))
        background = self._background()
        for _ in range(_TRIES):
            endpoint = background.ensure(package_environment(), notice)
            try:
                return create(self._remote(_credentials(endpoint)))
            except SandboxUnavailable:
                # It may have ended, idle, between our two looks at it; a sandbox that it had
                # just made has ended with it.
                if background.find() == endpoint:
                    raise
        raise SandboxUnavailable("the service on this machine ends as soon as it starts")

    def _background(self) -> Background:
        from e2brun.server.background.client import Background, runtime_directory

        directory = runtime_directory(package_environment(), self.settings.state_dir)
        return Background(directory)

    def _remote(self, given: Credentials) -> Remote:
        from e2brun.sandbox.e2b.remote import Remote
        from e2brun.sandbox.e2b.sdk import ask_no_proxy_for

        if self.local:
            ask_no_proxy_for("127.0.0.1", package_environment())
        name = "the service on this machine" if self.local else "E2B"
        return Remote(given, name=name, notice=notice)


def place(on: Flag = None, **flags: Flag) -> Place:
    """The provider for `--on`, with the settings said aloud that a project's files made."""
    settings = load_settings(None, None, on=on, **flags)
    for line in settings.notices:
        notice(line)
    return Place(settings)


def _credentials(endpoint: Endpoint) -> Credentials:
    from e2brun.sandbox.e2b.sdk import Credentials

    return Credentials(endpoint.key, endpoint.url, endpoint.url)
