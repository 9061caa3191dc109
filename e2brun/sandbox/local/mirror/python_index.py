"""Python's package indexes (PEP 503, PEP 691), those that uv would ask with this environment.

They are asked as uv asks them: those beside the default one first, and the first that has a project
is the one it is from; with an `unsafe-` strategy, all of them. A page is read as JSON or HTML and
written as HTML, which every pip can read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    parse_sdist_filename,
    parse_wheel_filename,
)

from e2brun.frozen import Frozen
from e2brun.sandbox.local.mirror.page import File, Page, linked
from e2brun.sandbox.local.mirror.upstream import Body, Refused, Source, Upstream, without_user
from e2brun.sandbox.local.packages.indexes import uv_arguments, uv_environment
from e2brun.sandbox.public_indexes import python_index

_ACCEPT = (
    "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, "
    "text/html;q=0.01"
)
_ARCHIVES = (".whl", ".tar.gz", ".zip")
_FILE_NAME = re.compile(r"[A-Za-z0-9][\w.+!~-]*", re.ASCII)
_YES = {"1", "true"}
_MOST_FILES = 50_000
_HASH = re.compile(r"[a-z0-9]+=[A-Za-z0-9]+", re.ASCII)
_TOLD = ("data-requires-python", "data-yanked", "data-core-metadata", "data-dist-info-metadata")


class _Link(Frozen):
    """An archive on a page: `told` are attributes of PEP 503 and its kin, as written."""

    name: str
    url: str
    hash: str
    told: Mapping[str, str | None]


class PythonIndexes:
    """Pages of projects."""

    def __init__(self, upstream: Upstream, environment: Mapping[str, str]) -> None:
        self._upstream = upstream
        told = uv_environment(environment)
        insecure = frozenset(told.get("UV_INSECURE_HOST", "").split())
        self._links = [
            _remote(place, "", insecure) if "://" in place else _directory(place)
            for place in filter(None, told.get("UV_FIND_LINKS", "").split(","))
        ]
        urls = (told.get("UV_INDEX") or told.get("UV_EXTRA_INDEX_URL") or "").split()
        if last := told.get("UV_DEFAULT_INDEX") or told.get("UV_INDEX_URL"):
            urls.append(last)
        elif public := python_index():
            urls.append(public[0])
        off = uv_arguments(environment) or _YES & {told.get("UV_OFFLINE"), told.get("UV_NO_INDEX")}
        self._indexes = [] if off else [_source(url, told, insecure) for url in urls]
        self._all = told.get("UV_INDEX_STRATEGY", "").startswith("unsafe-")

    def page(self, name: str, deadline: float) -> Page:
        """What there is of a project, by its normalized name. Raises Refused, httpx.HTTPError."""
        found: dict[str, tuple[_Link, Source]] = {}
        for source in self._links:
            self._add(found, source, "", deadline, only=name)
        for source in self._indexes:
            if self._add(found, source, f"{name}/", deadline) and not self._all:
                break
        if not found:
            raise Refused(404, f"no index has {name}")
        body = "".join(_anchor(name, link) for link, _ in found.values())
        page = f"<!DOCTYPE html><html><body>\n{body}</body></html>\n".encode()
        files = {link.name: File(url=link.url, source=source) for link, source in found.values()}
        return Page("text/html", page, files)

    def _add(
        self,
        found: dict[str, tuple[_Link, Source]],
        source: Source,
        path: str,
        deadline: float,
        only: str = "",
    ) -> bool:
        """Whether there is such a page; its archives, where none of that name is there."""
        links = self._asked(source, path, deadline)
        if links is None:
            return False
        for link in links:
            if len(found) < _MOST_FILES and (not only or _project(link.name) == only):
                found.setdefault(link.name, (link, source))
        return True

    def _asked(self, source: Source, path: str, deadline: float) -> Iterable[_Link] | None:
        if source.url.startswith("file:"):
            directory = Path(unquote(urlsplit(source.url).path), path)
            if not directory.is_dir():
                return None
            if not (directory / "index.html").is_file():
                return _archives((p.as_uri(), {"href": p.as_uri()}) for p in directory.iterdir())
            path += "index.html"
        with self._upstream.page(source.url + path, source, _ACCEPT, deadline) as got:
            return None if got is None else _links(*got)


def _source(written: str, told: Mapping[str, str], insecure: frozenset[str]) -> Source:
    """An index as uv's variables name it: `URL` or `NAME=URL`."""
    name, separator, url = written.partition("=")
    if not separator or "://" in name:
        name, url = "", written
    if "://" not in url:
        return _directory(url)
    key = re.sub(r"[^A-Z0-9]", "_", name.upper())
    names = (f"UV_INDEX_{key}_{what}" for what in ("USERNAME", "PASSWORD") if key)
    given = [quote(told.get(name, ""), "") for name in names]
    return _remote(f"{url.rstrip('/')}/", ":".join(given) if any(given) else "", insecure)


def _remote(written: str, login: str, insecure: frozenset[str]) -> Source:
    """`login` goes before the one that the address has."""
    url, user = without_user(written)
    host = urlsplit(url).netloc
    careless = host in insecure or host.partition(":")[0] in insecure
    return Source.with_login(url, login or user, insecure=careless)


def _directory(path: str) -> Source:
    return Source(url=f"{Path(path).absolute().as_uri()}/", headers={})


def _links(body: Body, text: bytes) -> list[_Link]:
    """Those of a page. Raises Refused."""
    try:
        if body.media_type.endswith("json"):
            return list(_archives(_of_json(body.url, json.loads(text))))
        return list(_archives((body.url, told) for told in _anchors(text)))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, AssertionError):
        raise Refused(502, "the index sent no page") from None


class _Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found.append(dict(attrs))


def _anchors(text: bytes) -> list[dict[str, str | None]]:
    reader = _Anchors()
    reader.feed(text.decode("utf-8", "replace"))
    return reader.found


def _of_json(page: str, document: Any) -> Iterator[tuple[str, Mapping[str, str | None]]]:
    """The files of a JSON page as anchors of an HTML page would tell them."""
    for file in document["files"]:
        told: dict[str, str | None] = {}
        if python := file.get("requires-python"):
            told["data-requires-python"] = str(python)
        if yanked := file.get("yanked"):
            told["data-yanked"] = yanked if isinstance(yanked, str) else ""
        if metadata := file.get("core-metadata") or file.get("dist-info-metadata"):
            told["data-core-metadata"] = _digest(metadata) or "true"
        yield page, {"href": f"{file['url']}#{_digest(file.get('hashes'))}", **told}


def _digest(hashes: Any) -> str:
    """One of several, as HTML has it: `sha256=...`."""
    return next((f"{k}={v}" for k, v in hashes.items()), "") if hasattr(hashes, "items") else ""


def _archives(links: Iterable[tuple[str, Mapping[str, str | None]]]) -> Iterator[_Link]:
    """Those links that lead to an archive: where their page is, and what they tell."""
    for page, told in links:
        meant = linked(page, told.get("href"))
        if meant is None:
            continue
        url, _, digest = meant[0].partition("#")
        name = meant[1]
        if name.endswith(_ARCHIVES) and _FILE_NAME.fullmatch(name):
            digest = digest if _HASH.fullmatch(digest) else ""
            yield _Link(name, url, digest, {k: told[k] for k in _TOLD if k in told})


def _project(file: str) -> str:
    try:
        if file.endswith(".whl"):
            return parse_wheel_filename(file)[0]
        return parse_sdist_filename(file)[0]
    except (InvalidWheelFilename, InvalidSdistFilename):
        return ""


def _anchor(project: str, link: _Link) -> str:
    digest = f"#{link.hash}" if link.hash else ""
    told = "".join(f' {name}="{escape(value or "")}"' for name, value in link.told.items())
    return f'<a href="/files/{project}/{link.name}{digest}"{told}>{link.name}</a><br>\n'
