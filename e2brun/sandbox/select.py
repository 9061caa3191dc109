"""Which backend runs it: E2B where there is a key, this machine otherwise, never neither."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from e2brun.errors import AuthenticationFailed
from e2brun.sandbox.contract import Backend, Room

if TYPE_CHECKING:
    from pathlib import Path

    from e2brun.sandbox.e2b.sdk import Credentials
    from e2brun.sandbox.local.isolation.bubblewrap import Bubblewrap
    from e2brun.settings import Settings


def is_cloud(settings: Settings) -> bool:
    """Whether sandboxes will be E2B's, and not on this machine."""
    return settings.on == "e2b" or (settings.on == "auto" and bool(settings.api_key))


def is_cloud_backend(backend: Backend) -> bool:
    """Whether its sandboxes are E2B's."""
    return backend.name == "e2b"


def check_template(name: str | None, settings: Settings) -> None:
    """Raises UsageError for one that no sandbox of this machine can be made of."""
    if name is None or is_cloud(settings):
        return
    from e2brun.sandbox.local import templates

    if templates.find(name) is None:
        from e2brun.sandbox.local import own_templates

        own_templates.find(name, own_directory(settings))


def own_directory(settings: Settings) -> Path:
    """Where `serve` keeps templates of the user's own, unless it was told otherwise."""
    return settings.serve_state or settings.state_dir / "serve"


def begin(settings: Settings) -> Bubblewrap | None:
    """Where one sandbox will be made on this machine: a driver that has begun with it, while the
    caller reads what is to run. To be closed."""
    if is_cloud(settings):
        return None
    from e2brun.sandbox.local.isolation.bubblewrap import Bubblewrap

    driver = Bubblewrap()
    driver.begin()
    return driver


def credentials(settings: Settings) -> Credentials:
    """For E2B. Raises AuthenticationFailed: there are none."""
    if not settings.api_key:
        raise AuthenticationFailed("there is no E2B key")
    from e2brun.sandbox.e2b.sdk import Credentials

    return Credentials(settings.api_key, settings.api_url, settings.sandbox_url, settings.domain)


def choose(
    settings: Settings,
    *,
    run_id: str,
    notice: Callable[[str], None],
    driver: Bubblewrap | None = None,
    many: bool = False,
    crowd: bool = False,
) -> Backend:
    """The backend that `--on` asks for; `driver`: what `begin` gave; `many`: more than one sandbox
    will be wanted; `crowd`: as many side by side as there may be.

    Raises AuthenticationFailed: e2b without a key.
    """
    if is_cloud(settings):
        key = credentials(settings)
        from e2brun.sandbox.e2b import E2BBackend

        return E2BBackend(key, run_id=run_id, notice=notice, crowd=crowd)
    if settings.on == "auto":
        notice("no E2B key: running in the embedded sandbox on this machine (--on local)")
    from e2brun.sandbox.local.backend import LocalBackend
    from e2brun.settings import package_environment

    local = LocalBackend(
        cache_directory=str(settings.cache_dir),
        driver=driver,
        environment=package_environment(),
        room=Room(settings.install_size, settings.cache_size),
        notice=notice,
        many=many,
    )
    local.own_templates = own_directory(settings)
    return local
