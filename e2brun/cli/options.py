"""What a command may be asked for: a class whose fields are its options, for Typer, which explains
them, and for a quick reader. And those of `exec`, of which `batch` has many.

Importing Typer takes longer than everything else `exec` does before the sandbox starts. The quick
reader takes the plain cases and hands the rest (help, mistakes, `--`) to Typer; both read the same
class, and a test holds them to the same result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Self, TypeVar

from e2brun.errors import UsageError
from e2brun.frozen import Frozen
from e2brun.settings import Flag
from e2brun.values import Network, parse_count

T = TypeVar("T")
_NETWORKS = frozenset(Network)


class Option(NamedTuple):
    """One option. `kind` is switch, text, words (repeatable), choice (--x/--no-x), number or
    network (see `network_of`)."""

    names: tuple[str, ...]
    kind: str
    help: str
    metavar: str = ""
    setting: bool = False  # its field is one of Settings as well
    default: object = None
    bounds: tuple[int | None, int | None] = (None, None)  # of a number
    field: str = ""


def _option(names: str, kind: str, help_text: str, metavar: str = "", **more: Any) -> Any:
    return Option(tuple(names.split("/")), kind, help_text, metavar, **more)


def switch(names: str, help_text: str) -> Any:
    """A field that is True where it is given. `names`: `-q/--quiet`."""
    return _option(names, "switch", help_text, default=False)


def choice(names: str, help_text: str, *, setting: bool = False) -> Any:
    """`--x/--no-x`: True, False, or None where neither is given."""
    return _option(names, "choice", help_text, setting=setting)


def text(names: str, help_text: str, metavar: str = "", default: str | None = None) -> Any:
    return _option(names, "text", help_text, metavar, default=default)


def words(names: str, help_text: str, metavar: str = "") -> Any:
    """A field with all that was written: it may be given several times."""
    return _option(names, "words", help_text, metavar, default=())


def number(names: str, help_text: str, default: int, least: int, most: int | None = None) -> Any:
    return _option(names, "number", help_text, "N", default=default, bounds=(least, most))


def setting(names: str, help_text: str, metavar: str) -> Any:
    """Text for the setting of the field's name."""
    return _option(names, "text", help_text, metavar, setting=True)


NETWORK: Any = _option(
    "--network/--no-network", "network", "none (local default), packages or internet.", "[KIND]",
    setting=True,
)  # fmt: skip


class Request(Frozen):
    """What was asked on the command line, as it was written. A field that is made by one of the
    functions above is an option; the others are words that are none."""

    options = tuple[Option, ...]()

    def __init_subclass__(cls) -> None:
        found = {name: one for name, one in vars(cls).items() if isinstance(one, Option)}
        own = (option._replace(field=name) for name, option in found.items())
        cls.options = (*own, *(one for one in cls.options if one.field not in found))
        for name, option in found.items():
            setattr(cls, name, option.default)
        super().__init_subclass__()

    @classmethod
    def of(cls, values: Mapping[str, object], **more: object) -> Self:
        """Of values by field, None for what was not given; repeatable ones are lists or tuples."""
        given: dict[str, object] = {
            name: tuple(value) if isinstance(value, list) else value  # pyright: ignore[reportUnknownArgumentType]
            for name, value in values.items()
            if value is not None
        }
        make: Any = cls
        made: Self = make(**given, **more)
        return made

    @property
    def flags(self) -> dict[str, Flag]:
        """The settings that were given."""
        found: dict[str, Flag] = {}
        for option in self.options:
            value = getattr(self, option.field)
            if option.setting and value is not None:
                found[option.field] = str(value).lower() if option.kind == "choice" else value
        if getattr(self, "no_store", False):
            found["store"] = "false"
        return found


def network_of(name: str, value: str | None, rest: list[str]) -> str:
    """What `--network` says, whose value may be left out; `rest`: the words behind it, reversed."""
    if name == "--no-network":
        return Network.NONE if value is None else f"{name}={value}"
    if value is not None:
        return value
    return rest.pop() if rest and rest[-1] in _NETWORKS else Network.INTERNET


def read_plain(
    kind: type[Request], line: list[str], *, anywhere: bool = True
) -> tuple[dict[str, object], list[str]] | None:
    """Values by field, and the words that are no option: options may stand before and after
    those, or only before. None: Typer has to look."""
    known = {name: option for option in kind.options for name in option.names}
    values: dict[str, object] = {}
    others: list[str] = []
    rest = list(reversed(line))
    while rest:
        word = rest.pop()
        if word == "-" or not word.startswith("-"):
            others.append(word)
            if not anywhere:
                return values, [*others, *reversed(rest)]
            continue
        name, equals, value = word.partition("=")
        option = known.get(name)
        if option is None or (equals and not name.startswith("--")):
            return None
        if not _take(option, name, value if equals else None, rest, values):
            return None
    return values, others


def _take(
    option: Option, name: str, value: str | None, rest: list[str], values: dict[str, object]
) -> bool:
    """The last of an option counts; of a repeatable one, all do. False: it is not plain."""
    if option.kind == "network":
        values[option.field] = network_of(name, value, rest)
    elif option.kind in {"switch", "choice"}:
        if value is not None:
            return False
        values[option.field] = option.kind == "switch" or not name.startswith("--no-")
    else:
        if value is None:
            if not rest or rest[-1].startswith("-"):
                return False
            value = rest.pop()
        earlier = values.get(option.field, ())
        if option.kind == "words" and isinstance(earlier, tuple):
            values[option.field] = (*earlier, value)
        else:
            values[option.field] = value
    return True


def notebook_last(line: list[str]) -> list[str]:
    """The same command line with the options after a notebook's name before it: a notebook has
    no arguments that they could be. What is no option stays behind it."""
    known = {name: option for option in ExecRequest.options for name in option.names}
    given, rest = _options(line, known)
    if not rest or not rest[0].lower().endswith(".ipynb"):
        return line
    behind: list[str] = []
    after = rest[1:]
    while after:
        more, after = _options(after, known)
        given += more
        if after[:1] == ["--"]:
            behind += after
            break
        behind += after[:1]
        after = after[1:]
    return [*given, rest[0], *behind]


def _options(line: list[str], known: Mapping[str, Option]) -> tuple[list[str], list[str]]:
    """The options that `line` begins with, with their values, and the rest."""
    at = 0
    while at < len(line) and line[at].startswith("-") and line[at] not in {"-", "--"}:
        name, equals, _ = line[at].partition("=")
        option = known.get(name)
        takes = option is not None and option.kind in {"text", "words"} and not equals
        takes |= line[at] == "--network" and not _NETWORKS.isdisjoint(line[at + 1 : at + 2])
        at += 2 if takes else 1
    return line[:at], line[at:]


# Of all that run many cases.
MAX_FAIL = text("--max-fail", "Begin no case after N failures.", "N")
PASS_RATE = text("--pass-rate", "The share that must pass. Default 1.", "P")
REPORTS = words("--report", ".json .xml .sarif .md .html, or KIND:FILE. Repeatable.", "FILE")


class ExecutionRequest(Request):
    """What there is one of for every program."""

    cell: bool = switch("--cell", "Run FILE as a notebook cell.")
    on: str | None = setting("--on", "e2b, local or auto.", "WHERE")
    timeout: str | None = setting("--timeout", "30s, 5m, 1h. Default 30s.", "TIME")
    template: str | None = setting("--template", "E2B's, or your own.", "NAME")
    install: tuple[str, ...] = words("--install", "Package to install. Repeatable.", "REQ")
    requirements: tuple[str, ...] = words("--requirements", "requirements.txt. Repeatable.", "PATH")
    auto_install: bool = switch("--auto-install", "Install what FILE imports.")
    install_timeout: str | None = setting("--install-timeout", "Default 5m.", "TIME")
    install_size: str | None = setting(
        "--install-size", "Of the packages (local). Default 8G.", "SIZE"
    )
    files: tuple[str, ...] = words("--file", "File or directory in. Repeatable.", "LOCAL[:REMOTE]")
    with_imports: bool = switch("--with-imports", "Send the local modules FILE imports.")
    env: tuple[str, ...] = words("--env", "Variable. Repeatable.", "K=V")
    env_files: tuple[str, ...] = words("--env-file", "File of variables. Repeatable.", "PATH")
    cwd: str | None = text("--cwd", "Directory in the sandbox.", "DIR")
    python: str | None = setting("--python", "Interpreter (local): 3.12 or a path.", "PYTHON")
    memory: str | None = setting("--memory", "Default 512M (local).", "SIZE")
    disk: str | None = setting("--disk", "Default 512M (local).", "SIZE")
    processes: str | None = setting("--processes", "Default 64 (local).", "N")
    max_output: str | None = setting(
        "--max-output", "Of each stream; 0: no limit. Default 10M.", "SIZE"
    )
    network: str | None = NETWORK
    fetch: bool | None = choice(
        "--fetch/--no-fetch", "Fetch what E2B's template has (default).", setting=True
    )
    store: str | None = setting("--store", "Record the run in it.", "FILE")
    no_store: bool = switch("--no-store", "Record nothing.")
    api_key: str | None = setting("--api-key", "Better: E2B_API_KEY; `ps` shows arguments.", "KEY")


class ExecRequest(ExecutionRequest):
    """What `exec` was asked."""

    target: str | None = None  # a file, `-`, or None with `code`
    arguments: tuple[str, ...] = ()
    code: str | None = text("-c/--code", "Run CODE as a cell.", "CODE")
    stdin: bool = switch("-i/--stdin", "Pass stdin on.")
    get: tuple[str, ...] = words("--get", "Fetch after the run. Repeatable.", "REMOTE[:LOCAL]")
    max_get: str | None = text("--max-get", "Of all that is fetched. Default: --disk.", "SIZE")
    keep: bool = switch("--keep", "Leave it running (E2B).")
    sandbox: str | None = text("--sandbox", "Run in this one, which lives on.", "ID")
    as_json: bool = switch("--json", "One JSON document on stdout.")
    raw: bool = switch("--raw", "The program's bytes in a CI job's log, too.")
    quiet: bool = switch("-q/--quiet", "Only the program's output.")
    verbose: bool = switch("-v/--verbose", "Say what --with-imports sends.")
    on_result: str | None = text("--on-result", "Save pictures and other results.", "DIR")
    output: str | None = text("--output", "Write the executed notebook.", "PATH")
    parameters: tuple[str, ...] = words("-p/--param", "Of a notebook. Repeatable.", "NAME=VALUE")
    raw_parameters: tuple[str, ...] = words("-r/--raw-param", "The same, as text.", "NAME=VALUE")
    parameter_file: str | None = text("--params", "Parameters of a notebook.", "FILE.toml")
    allow_errors: bool = switch("--allow-errors", "A notebook goes on after them.")
    cell_timeout: str | None = text("--cell-timeout", "Of each cell of a notebook.", "TIME")


def read_quickly(line: list[str]) -> ExecRequest | None:
    """The request that `line` makes, or None where it is not plain and Typer has to look."""
    read = read_plain(ExecRequest, line, anywhere=False)
    if read is None or not (read[1] or "code" in read[0]):
        return None
    values, words = read
    return ExecRequest.of(values, target=words[0] if words else None, arguments=tuple(words[1:]))


def given(option: str, parse: Callable[[str], T], text: str | None) -> T | None:
    """What `parse` makes of it, telling the option where that is wrong; None: it was not given."""
    try:
        return None if text is None else parse(text)
    except UsageError as error:
        raise UsageError(f"{option}: {error}", hint=error.hint or None) from error


def count(option: str, text: str | None) -> int | None:
    """A whole number, 1 or more."""
    return given(option, parse_count, text)


def share(option: str, text: str | None) -> float:
    """From 0 to 1, which is what counts where nothing was given."""
    try:
        found = 1.0 if text is None else float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found <= 1:
        raise UsageError(f"{option} {text}: write a share from 0 to 1, such as 0.95")
    return found
