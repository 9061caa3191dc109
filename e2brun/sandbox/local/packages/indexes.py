"""Where packages come from: the user's own settings, as variables that uv reads.

uv runs without configuration files, since a `no-binary` in one would make it build packages
on the host; of the user's and the system's uv.toml, only what names and reaches the indexes
is taken. pip's variables count where uv's own say nothing; pip.conf is not read.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping

from e2brun.values import is_list, is_table

_DEFAULT = "UV_DEFAULT_INDEX"
_EXTRA = "UV_INDEX"
_LINKS = "UV_FIND_LINKS"
_OLD_NAMES = {_DEFAULT: "UV_INDEX_URL", _EXTRA: "UV_EXTRA_INDEX_URL"}

_FROM_PIP = (  # pip separates by blanks, uv's find-links by commas
    ("PIP_INDEX_URL", _DEFAULT, " "),
    ("PIP_EXTRA_INDEX_URL", _EXTRA, " "),
    ("PIP_FIND_LINKS", _LINKS, ","),
    ("PIP_CERT", "SSL_CERT_FILE", " "),
)
_FROM_FILE = (
    ("index-url", _DEFAULT, " "),
    ("extra-index-url", _EXTRA, " "),
    ("find-links", _LINKS, ","),
    ("index-strategy", "UV_INDEX_STRATEGY", " "),
    ("keyring-provider", "UV_KEYRING_PROVIDER", " "),
    ("allow-insecure-host", "UV_INSECURE_HOST", " "),
    ("native-tls", "UV_NATIVE_TLS", " "),
    ("system-certs", "UV_SYSTEM_CERTS", " "),
    ("offline", "UV_OFFLINE", " "),
    ("exclude-newer", "UV_EXCLUDE_NEWER", " "),
)


def uv_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for uv: this one, and what uv.toml and pip's variables add to it."""
    result = dict(environment)
    for key, value in _settings(environment):
        _add(result, key, value)
    for theirs, ours, separator in _FROM_PIP:
        if environment.get(theirs):
            _add(result, ours, separator.join(environment[theirs].split()))
    if result.get(_LINKS):  # uv runs in another directory
        result[_LINKS] = ",".join(map(_absolute, result[_LINKS].split(",")))
    return result


def uv_arguments(environment: Mapping[str, str]) -> list[str]:
    """What there is no variable for: that no index is to be asked at all."""
    asked = environment.get("PIP_NO_INDEX", "").lower() in {"1", "true", "yes", "on"}
    for table in _tables(environment):
        asked = asked or table.get("no-index") is True
    return ["--no-index"] if asked else []


def _add(result: dict[str, str], key: str, value: str) -> None:
    if not result.get(key) and not result.get(_OLD_NAMES.get(key, key)):
        result[key] = value


def _absolute(place: str) -> str:
    place = place.strip()
    return place if "://" in place else os.path.abspath(os.path.expanduser(place))


def _settings(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """(variable of uv, value), the first of a name being the one that counts."""
    for table in _tables(environment):
        yield from _indexes(table)
        for key, variable, separator in _FROM_FILE:
            if key in table:
                yield variable, _text(table[key], separator)


def _tables(environment: Mapping[str, str]) -> Iterator[Mapping[str, object]]:
    """The tables that set indexes, the user's file before the system's."""
    for path in _configuration_files(environment):
        try:
            with open(path, "rb") as file:
                table = tomllib.load(file)
        except (OSError, tomllib.TOMLDecodeError):
            continue  # uv complains about its own files; the indexes in them are just unknown
        yield _table(table.get("pip"))  # stands for `uv pip`, above the general one
        yield table


def _configuration_files(environment: Mapping[str, str]) -> Iterable[str]:
    named = environment.get("UV_CONFIG_FILE")
    if named:
        return (named,)
    if environment.get("UV_NO_CONFIG"):
        return ()
    home = environment.get("XDG_CONFIG_HOME") or f"{environment.get('HOME', '')}/.config"
    return (f"{home}/uv/uv.toml", "/etc/uv/uv.toml")


def _indexes(table: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """The `[[index]]` tables; one that is `explicit` serves only packages pinned to it."""
    entries = table.get("index")
    extra: list[str] = []
    for entry in map(_table, entries if is_list(entries) else []):
        url, name = entry.get("url"), entry.get("name")
        if not isinstance(url, str) or entry.get("explicit"):
            continue
        # The name is what UV_INDEX_NAME_USERNAME and _PASSWORD refer to.
        value = f"{name}={url}" if isinstance(name, str) else url
        if entry.get("default"):
            yield _DEFAULT, value
        else:
            extra.append(value)
    if extra:
        yield _EXTRA, " ".join(extra)


def _table(value: object) -> Mapping[str, object]:
    return value if is_table(value) else {}


def _text(value: object, separator: str) -> str:
    if is_list(value):
        return separator.join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
