"""`[tool.uv]` in a script's metadata: kept, of no consequence here, or refused by name.

What is refused changes which package a name means, or which of its versions is taken, in a way
that nobody here would keep to.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from e2brun.errors import UsageError
from e2brun.sandbox.requirement import (
    CONSTRAINT,
    EXCLUDE_NEWER,
    EXCLUDE_NEWER_PACKAGE,
    OVERRIDE,
    parse_requirement,
    rule,
)
from e2brun.values import is_list, is_table

Where = Callable[[str], str]  # FILE:LINE of a text in the metadata

_INDEXES = "Indexes are set in UV_DEFAULT_INDEX, UV_INDEX or UV_FIND_LINKS."
_VERSIONS = "Write the versions that are wanted in dependencies, such as 'numpy==2.1.*'."
_REFUSED = {
    **dict.fromkeys(
        ("index", "index-url", "default-index", "extra-index-url", "find-links", "no-index"),
        _INDEXES,
    ),
    **dict.fromkeys(
        ("index-strategy", "prerelease", "resolution", "torch-backend", "dependency-metadata",
         "exclude-dependencies"),
        _VERSIONS,
    ),
    **dict.fromkeys(
        ("no-binary", "no-binary-package"),
        "Only wheels are installed here, nothing is built: leave it out.",
    ),
}  # fmt: skip
_REQUIREMENTS = {"constraint-dependencies": CONSTRAINT, "override-dependencies": OVERRIDE}
# For projects, for building (nothing is built here), for uv's own work, or of one resolution for
# several platforms: a script's packages are the same without.
_NO_MATTER = frozenset({
    "add-bounds", "allow-insecure-host", "audit", "build-backend", "build-constraint-dependencies",
    "cache-dir", "cache-keys", "check-url", "compile-bytecode", "concurrent-builds",
    "concurrent-downloads", "concurrent-installs", "config-settings", "config-settings-package",
    "conflicts", "default-groups", "dependency-groups", "dev-dependencies", "environments",
    "extra-build-dependencies", "extra-build-variables", "fork-strategy", "http-proxy",
    "https-proxy", "keyring-provider", "link-mode", "managed", "native-tls", "no-build",
    "no-build-isolation", "no-build-isolation-package", "no-build-package", "no-cache", "no-proxy",
    "no-sources", "no-sources-package", "offline", "package", "pip", "preview",
    "preview-features", "publish-url", "pypy-install-mirror", "python-downloads",
    "python-downloads-json-url", "python-install-mirror", "python-preference", "reinstall",
    "reinstall-package", "required-environments", "required-version", "sources", "system-certs",
    "trusted-publishing", "upgrade", "upgrade-package", "workspace",
})  # fmt: skip
_OTHER_PLACES = {
    "path": "a path", "workspace": "a workspace", "git": "a repository", "url": "a URL",
    "index": "an index of its own",
}  # fmt: skip
_TIME = re.compile(r"\d{4}-\d\d-\d\d([Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d))?")


def rules_of(table: Mapping[str, object], at: Where) -> tuple[str, ...]:
    """The rules for installing that `[tool.uv]` makes. Raises UsageError."""
    found: list[str] = []
    for key, value in table.items():
        if value is False or value in ({}, [], ""):
            continue
        match key:
            case "constraint-dependencies" | "override-dependencies":
                found += _requirements(key, value, at)
            case "exclude-newer":
                found.append(rule(EXCLUDE_NEWER, _time(value, key, at)))
            case "exclude-newer-package":
                found += _times(value, key, at)
            case "sources" if table.get("no-sources") is not True:
                _refuse_sources(value, at)
            case _:
                _refuse(key, at)
    return tuple(found)


def _refuse(key: str, at: Where) -> None:
    if key in _REFUSED:
        raise UsageError(f"{at(key)}: [tool.uv] {key} is not kept to", hint=_REFUSED[key])
    if key not in _NO_MATTER:
        raise UsageError(
            f"{at(key)}: [tool.uv] {key} is not known here, and may change what is installed",
            hint="Leave it out, or write the versions that are wanted in dependencies.",
        )


def _refuse_sources(value: object, at: Where) -> None:
    if not is_table(value):
        raise UsageError(f"{at('sources')}: [tool.uv] sources is not a table")
    for name, source in value.items():
        tables = source if is_list(source) else [source]
        given = [one for one in tables if is_table(one)]
        keys = {key for one in given for key in one}
        kind = next((kind for kind in _OTHER_PLACES if kind in keys), "")
        place = _OTHER_PLACES.get(kind, "another place")
        hint = f"Name a released version of {name} in dependencies, and no source for it."
        if kind in {"path", "workspace"}:
            hint = f"Take {name} out of dependencies and send its modules with --file."
        if kind == "index":
            hint = _INDEXES
        raise UsageError(
            f"{at('sources')}: [tool.uv.sources] takes {name} from {place}; packages come from the "
            "registry alone, and its package of that name may be somebody else's",
            hint=hint,
        )


def _requirements(key: str, value: object, at: Where) -> Iterator[str]:
    if not is_list(value):
        raise UsageError(f"{at(key)}: [tool.uv] {key} is not a list of strings")
    for entry in value:
        if not isinstance(entry, str):
            raise UsageError(f"{at(key)}: [tool.uv] {key} is not a list of strings")
        if parse_requirement(entry, at(entry)).url is not None:
            raise UsageError(f"{at(entry)}: [tool.uv] {key} names a URL, not a version")
        yield rule(_REQUIREMENTS[key], " ".join(entry.split()))


def _times(value: object, key: str, at: Where) -> Iterator[str]:
    if not is_table(value):
        raise UsageError(f"{at(key)}: [tool.uv] {key} is not a table of times")
    for name, time in value.items():
        package = parse_requirement(name, at(name)).name
        yield rule(EXCLUDE_NEWER_PACKAGE, f"{package}={_time(time, key, at)}")


def _time(value: object, key: str, at: Where) -> str:
    # A TOML date is no string, and says of itself what it is.
    text = value if isinstance(value, str) else str(value).replace(" ", "T", 1)
    if not _TIME.fullmatch(text):
        raise UsageError(
            f"{at(key)}: [tool.uv] {key} is no point in time: {text!r}",
            hint="Write a date, such as 2025-01-31 or 2025-01-31T12:00:00Z.",
        )
    return text
