"""An index page as a sandbox gets it, and what it may ask for because of it."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote, urljoin, urlsplit

from e2brun.frozen import Frozen
from e2brun.sandbox.local.mirror.upstream import Source

_SCHEMES = frozenset({"http", "https", "file"})


class File(Frozen):
    """Where an archive is, and the index that says so."""

    url: str
    source: Source


class Page(Frozen):
    """`files` by name, as the page's links end."""

    media_type: str
    body: bytes
    files: Mapping[str, File]

    @property
    def hosts(self) -> frozenset[str]:
        """Those that it names, over https."""
        parts = map(urlsplit, {file.url for file in self.files.values()})
        return frozenset(part.hostname or "" for part in parts if part.scheme == "https")


def linked(page: str, link: object) -> tuple[str, str] | None:
    """The address that a page's link means, and the name of its file; None: it is no address."""
    if not isinstance(link, str):
        return None
    try:
        url = urljoin(page, link.strip())
        parts = urlsplit(url)
        _ = parts.port, parts.hostname
    except ValueError:
        return None
    if parts.scheme not in _SCHEMES:
        return None
    return url, unquote(parts.path.rpartition("/")[2])
