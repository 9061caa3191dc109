"""Where every setting comes from: flag > environment > .env > pyproject.toml > default.

The only reader of `os.environ` in the project; nobody writes it. Environment variables that
are set but empty count as not set. A value that is used and wrong raises UsageError with the
place it came from; an API key is in no message and no repr.

The environment and the flags are the user's. `.env` and pyproject.toml lie in the working
directory and may have come with a stranger's repository, so what they say is bounded:

- An endpoint in .env is used only with the key from the same .env. Otherwise a checked-out file
  could have the user's own key sent to a host of its choice.
- A key from .env, and whatever else a project file loosens, is named in `Settings.notices`,
  which the command line prints; see `project_files`.
- `python` must be a bare name there: the host starts it to learn its version, so a path could
  start any file. What is shared by all projects (`cache_dir`, `cache_size`, `state_dir`, `store`,
  what a service may have in all) is not read there at all.
- pyproject.toml is meant to be committed: keys and endpoints in it are refused.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, cast

from e2brun.errors import UsageError
from e2brun.frozen import Frozen
from e2brun.values import (
    FALSE,
    Given,
    Network,
    parse_count,
    parse_duration,
    parse_network,
    parse_size,
    parse_switch,
    suggestion,
)

On = Literal["e2b", "local", "auto"]
Flag = str | int | float | Path | None

STORE = "runs.sqlite"  # in the state directory, where nothing else was asked for
_MIB = 1024 * 1024
_KEY_NAMES = ("E2B_API_KEY", "E2B_KEY")  # the first one wins

_OURS = (
    "on", "timeout", "template", "memory", "processes", "disk", "max_output", "network", "fetch",
    "python", "install_timeout", "install_size", "cache_size", "cache_dir", "state_dir", "store",
    "total_memory", "total_disk", "serve_state",
)  # fmt: skip
_VARIABLES = {
    "api_url": "E2B_API_URL",
    "sandbox_url": "E2B_SANDBOX_URL",
    "domain": "E2B_DOMAIN",
    **{name: f"E2BRUN_{name.upper()}" for name in _OURS},
}
_PLACES = {
    "cache_dir": ("XDG_CACHE_HOME", ".cache"),
    "state_dir": ("XDG_STATE_HOME", ".local/state"),
}
_CI = ("GITHUB_ACTIONS", "TF_BUILD", "TEAMCITY_VERSION", "GITLAB_CI")
_ENDPOINTS = ("api_url", "sandbox_url", "domain")
_SHARED = (  # by all projects: no file of one decides
    "cache_size", "cache_dir", "state_dir", "store", "total_memory", "total_disk",
    "serve_state",
)  # fmt: skip
_PYPROJECT_KEYS = tuple(name.replace("_", "-") for name in _OURS if name not in _SHARED)


class Settings(Frozen):
    """Every setting, checked. Sizes in bytes, times in seconds."""

    on: On = "auto"
    api_key: str | None = None
    api_key_from: str = ""  # `E2B_API_KEY`, `.env:3`
    api_url: str | None = None
    sandbox_url: str | None = None
    domain: str | None = None
    timeout: float = 30.0
    template: str | None = None
    memory: int = 512 * _MIB
    processes: int = 64
    disk: int = 512 * _MIB
    total_memory: int = 0  # of all sandboxes of a service; 0: three quarters of what is free
    total_disk: int = 0  # likewise
    max_output: int = 10 * _MIB  # of each stream; 0: no limit
    network: Network | None = None  # None: the backend's default
    fetch: bool = True  # the default template's packages, when code first uses them
    python: str | None = None
    install_timeout: float = 300.0
    install_size: int = 8 * 1024 * _MIB  # of the packages of one sandbox
    cache_size: int = 20 * 1024 * _MIB  # of all packages that are kept
    cache_dir: Path = Path(os.path.expanduser("~/.cache/e2brun"))  # noqa: PTH111 - raises nothing
    state_dir: Path = Path()  # where what outlives a run is kept
    serve_state: Path | None = None  # what `serve` keeps, where that was said; see `own_templates`
    store: Path | None = None  # the file that runs are recorded in; None: nowhere
    step_summary: Path = Path()  # GITHUB_STEP_SUMMARY; the empty path: there is none
    github_actions: bool = False
    in_ci: bool = False  # what reads our pipes may obey commands in them
    no_color: bool = False
    dumb_terminal: bool = False
    notices: tuple[str, ...] = ()  # one line each, for the user to see before anything runs

    def colors(self, descriptor: int) -> bool:
        """Whether what is written there may have colors."""
        return not (self.no_color or self.dumb_terminal) and os.isatty(descriptor)

    def __repr__(self) -> str:
        return f"Settings({vars(self) | {'api_key': '...'}})"


_Layer = dict[str, Given]


def load_settings(
    directory: Path | None = None, environ: Mapping[str, str] | None = None, **flags: Flag
) -> Settings:
    """Read every layer for a run in `directory` (default: the working directory). `flags` are named
    like the fields of Settings; None means not given."""
    directory = _here() if directory is None else directory
    environ = os.environ if environ is None else environ
    if unknown := flags.keys() - _VARIABLES.keys() - {"api_key"}:
        raise TypeError(f"no such setting: {', '.join(sorted(unknown))}")
    chosen: _Layer = {
        name: Given(value, f"--{name.replace('_', '-')}")
        for name, value in flags.items()
        if value is not None
    }
    dotenv = _from_dotenv(directory / ".env")
    merged = _from_pyproject(directory) | dotenv | _from_environment(environ) | chosen
    _check_endpoints(merged, dotenv)
    values = {name: _READERS[name](given) for name, given in merged.items()}
    for name, places in _PLACES.items():
        values[name] = directory / cast("Path", values.get(name) or _default(environ, *places))
    values.setdefault("store", cast("Path", values["state_dir"]) / STORE)
    return Settings(
        api_key_from=merged["api_key"].where if "api_key" in merged else "",
        **values,  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] # by _READERS
        github_actions=environ.get("GITHUB_ACTIONS") == "true",
        in_ci=any(environ.get(name) for name in _CI),
        step_summary=Path(environ.get("GITHUB_STEP_SUMMARY", "")),
        no_color=bool(environ.get("NO_COLOR")),
        dumb_terminal=environ.get("TERM", "") in {"", "dumb", "unknown"},
        notices=_notices(merged, values),
    )


def package_environment() -> Mapping[str, str]:
    """The caller's environment, for the program that fetches packages outside the sandbox."""
    return os.environ


def _here() -> Path:
    try:
        return Path.cwd()
    except OSError as error:
        why = f"the working directory: {error.strerror}"
        raise UsageError(why, hint="It was deleted: cd to another.") from error


def _from_environment(environ: Mapping[str, str]) -> _Layer:
    names = {name: (variable,) for name, variable in _VARIABLES.items()} | {"api_key": _KEY_NAMES}
    found: _Layer = {}
    for name, variables in names.items():
        for variable in variables:
            if environ.get(variable):
                found[name] = Given(environ[variable], variable)
                break
    return found


def _from_dotenv(path: Path) -> _Layer:
    written = _read_dotenv(path)
    for name in (_VARIABLES[shared] for shared in _SHARED):
        if name in written:
            where = written[name].where
            raise UsageError(f"{where}: {name} is read from the environment only, not from files")
    found = {name: written[var] for name, var in _VARIABLES.items() if var in written}
    keys = [("api_key", written[name]) for name in _KEY_NAMES if name in written]
    return found | dict(keys[:1])


def _read_dotenv(path: Path) -> _Layer:
    """By variable."""
    if not os.path.isfile(path):  # noqa: PTH113 - raises nothing; `.env` may be a directory
        return {}
    from e2brun.project_files import read_dotenv

    return read_dotenv(path)


def _check_endpoints(merged: _Layer, dotenv: _Layer) -> None:
    """Keep the user's key from a host that only .env names; see the top of this file."""
    key, key_in_dotenv = merged.get("api_key"), dotenv.get("api_key")
    if key is not None and key_in_dotenv is not None and key.value == key_in_dotenv.value:
        return
    on = merged.get("on")
    for name in _ENDPOINTS:
        endpoint = merged.get(name)
        if endpoint is None or not endpoint.by_project:
            continue
        if key is None or (on is not None and on.value == "local"):
            del merged[name]  # nothing will be sent anywhere
            continue
        variable = _VARIABLES[name]
        raise UsageError(
            f"{endpoint.where}: {variable} is not used with the key from {key.where}: "
            "a .env that came with a repository could have that key sent to another host",
            hint=f"Export {variable} in your shell, or put the key for it in the same .env.",
        )


def _from_pyproject(directory: Path) -> _Layer:
    """[tool.e2brun] of the nearest pyproject.toml upward that has one."""
    for folder in (directory, *directory.parents):
        path = folder / "pyproject.toml"
        try:
            fits = path.is_file() and path.stat().st_size <= _MIB
            content = path.read_bytes() if fits else b""
        except OSError:
            continue
        if b"[tool.e2brun" in content:  # tomllib costs 8 ms: not for every other project
            return _read_table(path, content)
    return {}


def _read_table(path: Path, content: bytes) -> _Layer:
    from e2brun.project_files import read_table

    found: _Layer = {}
    for key, given in read_table(path, content).items():
        if key not in _PYPROJECT_KEYS:
            raise UsageError(f"{given.where}: {_why_not(key)}")
        found[key.replace("-", "_")] = given
    return found


def _why_not(key: str) -> str:
    name = key.lower().replace("-", "_").removeprefix("e2b_")
    if "key" in name or "token" in name:
        return (
            f"{key}: a key does not belong in a file that is committed; "
            "set E2B_API_KEY in the environment or in .env"
        )
    if name in _ENDPOINTS:
        return f"{key}: an endpoint does not belong in a committed file; set {_VARIABLES[name]}"
    return f"[tool.e2brun] has no key {key!r}{suggestion(key, _PYPROJECT_KEYS)}"


def _default(environ: Mapping[str, str], variable: str, below_home: str) -> Path:
    base = environ.get(variable, "")
    if os.path.isabs(base):  # the specification says to ignore a relative one
        return Path(base) / "e2brun"
    return Path(environ.get("HOME") or Path.home()) / below_home / "e2brun"


def _wrong(given: Given, why: str) -> UsageError:
    return UsageError(f"{given.where}: {why}")


def _parsed(
    parse: Callable[[str], object], *, literal: tuple[type, ...]
) -> Callable[[Given], object]:
    """Read text with `parse`, and TOML values and typed flags of `literal` types as text."""

    def read(given: Given) -> object:
        value = given.value
        # bool is an int to Python, but `timeout = true` is a mistake
        fits = isinstance(value, literal) and (not isinstance(value, bool) or bool in literal)
        if not fits and not isinstance(value, str):
            raise _wrong(given, f"{value!r} is a {type(value).__name__}; write it as text")
        try:
            return parse(f"{value:.6f}" if isinstance(value, float) else str(value))
        except UsageError as error:
            raise _wrong(given, str(error)) from None

    return read


def _read_on(given: Given) -> str:
    if given.value not in ("e2b", "local", "auto"):  # a list from TOML has no hash
        raise _wrong(given, f"{given.value!r} is no backend: write e2b, local or auto")
    return str(given.value)


def _read_text(given: Given) -> str:
    if not isinstance(given.value, str) or not given.value.isprintable() or not given.value:
        raise _wrong(given, f"{given.value!r} is not a name")
    return given.value


def _fitting(pattern: str, problem: str) -> Callable[[Given], str]:
    """Read what fits `pattern`; of all else, `problem` is told."""

    def read(given: Given) -> str:
        value = str(given.value).strip()
        if not re.fullmatch(pattern, value):
            raise _wrong(given, problem.format(repr(value)))
        return value

    return read


_read_url = _fitting(r"https?://[!-~]+", "{} is not an address: it begins with https:// or http://")


def _read_python(given: Given) -> str:
    name = _read_text(given)
    if given.by_project and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise _wrong(
            given,
            f"{name!r} is a path, and a file in a project must not choose a program of this "
            "machine; write a name such as python3.12, or use --python or E2BRUN_PYTHON",
        )
    return name


def _read_path(given: Given) -> Path:
    try:
        return Path(str(given.value)).expanduser()
    except RuntimeError as error:
        raise _wrong(given, str(error)) from error


_READERS: dict[str, Callable[[Given], object]] = {
    "on": _read_on,
    "api_key": _fitting(  # what an HTTP header may hold
        r"[!-~]+", "the E2B key holds characters that no key has (value not shown)"
    ),
    "api_url": _read_url,
    "sandbox_url": _read_url,
    "domain": _fitting(
        r"[A-Za-z0-9.-]+(:[0-9]+)?", "{} is not a domain: write it like e2b.app, no https://"
    ),
    "timeout": _parsed(parse_duration, literal=(int, float)),
    "template": _read_text,
    "memory": _parsed(parse_size, literal=(int,)),
    "processes": _parsed(parse_count, literal=(int,)),
    "disk": _parsed(parse_size, literal=(int,)),
    "total_memory": _parsed(parse_size, literal=(int,)),
    "total_disk": _parsed(parse_size, literal=(int,)),
    "max_output": _parsed(lambda text: parse_size(text, zero=True), literal=(int,)),
    "network": _parsed(parse_network, literal=(bool,)),
    "fetch": _parsed(parse_switch, literal=(bool,)),
    "python": _read_python,
    "install_timeout": _parsed(parse_duration, literal=(int, float)),
    "install_size": _parsed(parse_size, literal=(int,)),
    "cache_size": _parsed(parse_size, literal=(int,)),
    "cache_dir": _read_path,
    "state_dir": _read_path,
    "serve_state": _read_path,
    "store": lambda given: None if str(given.value).lower() in FALSE else _read_path(given),
}


def _notices(merged: _Layer, values: Mapping[str, object]) -> tuple[str, ...]:
    by_project = {name: given for name, given in merged.items() if given.by_project}
    if not by_project:  # as good as always
        return ()
    from e2brun.project_files import Decided, notices

    usual = Settings()
    decided = (
        Decided(name, given.where, given.value, values[name], getattr(usual, name))
        for name, given in by_project.items()
    )
    return tuple(notices(decided, has_key="api_key" in merged))
