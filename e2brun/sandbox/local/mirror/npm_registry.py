"""npm's registry, as npm is told of it here: by npm_config_ variables and .npmrc files."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from e2brun.sandbox.local.isolation.driver import INDEX_PORT
from e2brun.sandbox.local.mirror.page import File, Page, linked
from e2brun.sandbox.local.mirror.upstream import Refused, Source, Upstream, without_user
from e2brun.sandbox.public_indexes import npm_registry

_ACCEPT = "application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8"
_PREFIX = "npm_config_"
_SYSTEM = ("/usr/local/etc/npmrc", "/usr/etc/npmrc", "/etc/npmrc")
_ARCHIVES = (".tgz", ".tar.gz")
_LOGIN = ("_authToken", "_auth", "username", "_password")


class NpmRegistry:
    """Documents of packages."""

    def __init__(self, upstream: Upstream, environment: Mapping[str, str]) -> None:
        self._upstream = upstream
        self._settings = dict(_settings(environment))

    def page(self, name: str, deadline: float) -> Page:
        """A package's document. Raises Refused, httpx.HTTPError."""
        source = self._source(name)
        url = source.url + quote(name, safe="@")
        with self._upstream.page(url, source, _ACCEPT, deadline) as got:
            if got is None:
                raise Refused(404, f"the registry has no {name}")
            try:
                return _read(name, source, got[0].url, json.loads(got[1]))
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
                raise Refused(502, "the registry sent no package") from None

    def _source(self, name: str) -> Source:
        scope = name.partition("/")[0] if name.startswith("@") else ""
        url = self._settings.get(f"{scope}:registry") if scope else None
        url = url or self._settings.get("registry") or npm_registry()
        if url is None:
            raise Refused(404, "no setting names npm's registry, and there is no npm here")
        url = f"{url.rstrip('/')}/"
        url, user = without_user(url)
        return Source.with_login(url, user, headers=self._login(url))

    def _login(self, url: str) -> dict[str, str]:
        """What .npmrc says for this address, or the nearest above it."""
        place = url.partition(":")[2]
        while place.strip("/"):
            token, login, user, password = (self._settings.get(f"{place}:{k}", "") for k in _LOGIN)
            if token:
                return {"Authorization": f"Bearer {token}"}
            if user and password:
                told = f"{user}:{base64.b64decode(password).decode()}"
                login = base64.b64encode(told.encode()).decode()
            if login:
                return {"Authorization": f"Basic {login}"}
            place = place.rstrip("/").rpartition("/")[0] + "/"
        return {}


def _read(name: str, source: Source, page: str, document: Any) -> Page:
    """A document as a sandbox gets it: its archives are here."""
    files: dict[str, File] = {}
    for version in document["versions"].values():
        distribution = version["dist"]
        meant = linked(page, distribution.get("tarball"))
        if meant is not None and meant[1].endswith(_ARCHIVES):
            files[meant[1]] = File(url=meant[0], source=source)
            place = f"/npm/{name}/-/{quote(meant[1])}"
            distribution["tarball"] = f"http://127.0.0.1:{INDEX_PORT}{place}"
        else:
            distribution["tarball"] = ""
    return Page("application/json", json.dumps(document).encode(), files)


def _settings(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Name and value, the one that counts last."""
    given = {k.lower(): v for k, v in environment.items() if k.lower().startswith(_PREFIX) and v}
    home = Path(environment.get("HOME") or "/")
    own = given.get("npm_config_userconfig") or str(home / ".npmrc")
    system = given.get("npm_config_globalconfig")
    for path in (*([system] if system else _SYSTEM), own):
        yield from _of_file(path, environment)
    for name, value in given.items():
        yield name.removeprefix(_PREFIX), value


def _of_file(path: str, environment: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    try:
        lines = Path(path).read_text("utf-8", "replace").splitlines()
    except OSError:
        return
    for line in lines:
        name, equals, value = line.partition("=")
        if equals and not name.lstrip().startswith(("#", ";")):
            text = value.strip().strip("\"'")
            known = re.sub(r"\$\{(\w+)\}", lambda m: environment.get(m[1], m[0]), text)
            yield name.strip(), known
