"""The options of `e2brun exec`, once: for Typer, which explains them, and for a quick reader.

Importing Typer takes longer than everything else `exec` does before the sandbox starts. The quick
reader takes the plain cases and hands the rest (help, mistakes, `--`) to Typer; both read the same
table, and a test holds them to the same result.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, cast

from e2brun.cli.execution import ExecRequest
from e2brun.settings import Flag
from e2brun.values import Network

_NETWORKS = frozenset(Network)


class Option(NamedTuple):
    """One option. `kind` is switch, text, words (repeatable), choice (--x/--no-x) or
    network (see `network_of`)."""

    names: tuple[str, ...]
    field: str  # of Request; of Settings where `setting`
    kind: str
    help: str
    metavar: str = ""
    setting: bool = False


NETWORK = Option(
    ("--network", "--no-network"), "network", "network",
    "none (local default), packages or internet.", "[KIND]", setting=True,
)  # fmt: skip
OPTIONS = (
    Option(("-c", "--code"), "code", "text", "Run CODE as a cell.", "CODE"),
    Option(("--cell",), "cell", "switch", "Run FILE as a notebook cell."),
    Option(("-i", "--stdin"), "stdin", "switch", "Pass stdin on."),
    Option(("--on",), "on", "text", "e2b, local or auto.", "WHERE", setting=True),
    Option(("--timeout",), "timeout", "text", "30s, 5m, 1h. Default 30s.", "TIME", setting=True),
    Option(("--template",), "template", "text", "E2B's, or your own.", "NAME", setting=True),
    Option(("--install",), "install", "words", "Package to install. Repeatable.", "REQ"),
    Option(("--requirements",), "requirements", "words", "requirements.txt. Repeatable.", "PATH"),
    Option(("--auto-install",), "auto_install", "switch", "Install what FILE imports."),
    Option(
        ("--install-timeout",), "install_timeout", "text", "Default 5m.", "TIME", setting=True
    ),
    Option(
        ("--install-size",), "install_size", "text", "Of the packages (local). Default 8G.",
        "SIZE", setting=True,
    ),
    Option(
        ("--file",), "files", "words", "File or directory in. Repeatable.", "LOCAL[:REMOTE]"
    ),
    Option(("--with-imports",), "with_imports", "switch", "Send the local modules FILE imports."),
    Option(("--get",), "get", "words", "Fetch after the run. Repeatable.", "REMOTE[:LOCAL]"),
    Option(("--max-get",), "max_get", "text", "Of all that is fetched. Default: --disk.", "SIZE"),
    Option(("--env",), "env", "words", "Variable. Repeatable.", "K=V"),
    Option(("--env-file",), "env_files", "words", "File of variables. Repeatable.", "PATH"),
    Option(("--cwd",), "cwd", "text", "Directory in the sandbox.", "DIR"),
    Option(
        ("--python",), "python", "text", "Interpreter (local): 3.12 or a path.", "PYTHON",
        setting=True,
    ),
    Option(("--memory",), "memory", "text", "Default 512M (local).", "SIZE", setting=True),
    Option(("--disk",), "disk", "text", "Default 512M (local).", "SIZE", setting=True),
    Option(("--processes",), "processes", "text", "Default 64 (local).", "N", setting=True),
    Option(
        ("--max-output",), "max_output", "text", "Of each stream; 0: no limit. Default 10M.",
        "SIZE", setting=True,
    ),
    NETWORK,
    Option(
        ("--fetch", "--no-fetch"), "fetch", "choice", "Fetch what E2B's template has (default).",
        setting=True,
    ),
    Option(("--keep",), "keep", "switch", "Leave it running (E2B)."),
    Option(("--sandbox",), "sandbox", "text", "Run in this one, which lives on.", "ID"),
    Option(("--store",), "store", "text", "Record the run in it.", "FILE", setting=True),
    Option(("--no-store",), "no_store", "switch", "Record nothing."),
    Option(("--json",), "as_json", "switch", "One JSON document on stdout."),
    Option(("--raw",), "raw", "switch", "The program's bytes in a CI job's log, too."),
    Option(("-q", "--quiet"), "quiet", "switch", "Only the program's output."),
    Option(("-v", "--verbose"), "verbose", "switch", "Say what --with-imports sends."),
    Option(("--on-result",), "on_result", "text", "Save pictures and other results.", "DIR"),
    Option(("--output",), "output", "text", "Write the executed notebook.", "PATH"),
    Option(("-p", "--param"), "parameters", "words", "Of a notebook. Repeatable.", "NAME=VALUE"),
    Option(
        ("-r", "--raw-param"), "raw_parameters", "words", "The same, as text.", "NAME=VALUE"
    ),
    Option(("--params",), "parameter_file", "text", "Parameters of a notebook.", "FILE.toml"),
    Option(("--allow-errors",), "allow_errors", "switch", "A notebook goes on after them."),
    Option(("--cell-timeout",), "cell_timeout", "text", "Of each cell of a notebook.", "TIME"),
    Option(
        ("--api-key",), "api_key", "text", "Better: E2B_API_KEY; `ps` shows arguments.", "KEY",
        setting=True,
    ),
)  # fmt: skip


def request_from(
    values: Mapping[str, object], words: tuple[str, ...], options: Iterable[Option] = OPTIONS
) -> ExecRequest:
    """What was asked: `values` by field, and the words that are no option: FILE ARGS..."""
    fields: dict[str, object] = {}
    flags: dict[str, Flag] = {}
    for option in options:
        value = values.get(option.field)
        if value is None:
            continue
        if option.field == "no_store":
            flags |= {"store": "false"} if value else {}
        elif option.setting:
            flags[option.field] = str(value).lower() if option.kind == "choice" else str(value)
        else:
            fields[option.field] = _words(value) if option.kind == "words" else value
    target = words[0] if words else None
    return ExecRequest(target, words[1:], flags=flags, **fields)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] # by OPTIONS


def _words(value: object) -> tuple[str, ...]:
    return tuple(map(str, cast("Iterable[object]", value)))


def network_of(name: str, value: str | None, rest: list[str]) -> str:
    """What `--network` says, whose value may be left out; `rest` are the words behind it, the next
    one last."""
    if name == "--no-network":
        return Network.NONE if value is None else f"{name}={value}"
    if value is not None:
        return value
    return rest.pop() if rest and rest[-1] in _NETWORKS else Network.INTERNET


def read_quickly(words: list[str]) -> ExecRequest | None:
    """The request that `words` make, or None where they are not plain and Typer has to look."""
    known = {name: option for option in OPTIONS for name in option.names}
    values: dict[str, object] = {}
    rest = list(reversed(words))
    while rest and rest[-1].startswith("-") and rest[-1] != "-":
        name, equals, value = rest.pop().partition("=")
        option = known.get(name)
        if option is None or (equals and not name.startswith("--")):
            return None
        if option.kind in {"switch", "choice"}:
            if equals:
                return None
            values[option.field] = option.kind == "switch" or not name.startswith("--no-")
        elif option.kind == "network":
            values[option.field] = network_of(name, value if equals else None, rest)
        elif equals:
            keep(option, value, values)
        elif rest and not rest[-1].startswith("-"):
            keep(option, rest.pop(), values)
        else:
            return None
    return request_from(values, tuple(reversed(rest))) if rest or "code" in values else None


def read_anywhere(
    words: list[str], options: Iterable[Option]
) -> tuple[dict[str, object], list[str]] | None:
    """Values by field and the other words, where options may stand before and after those. None:
    Typer has to look."""
    known = {name: option for option in options for name in option.names}
    values: dict[str, object] = {}
    others: list[str] = []
    rest = list(reversed(words))
    while rest:
        word = rest.pop()
        if not word.startswith("-"):
            others.append(word)
            continue
        name, equals, value = word.partition("=")
        option = known.get(name)
        valued = option is not None and option.kind in {"text", "words"}
        if option is not None and option.kind == "network":
            values[option.field] = network_of(name, value if equals else None, rest)
            continue
        if option is None or (equals and not (valued and name.startswith("--"))):
            return None
        if not valued:
            values[option.field] = not name.startswith("--no-") or option.kind == "switch"
            continue
        if not equals:
            if not rest or rest[-1].startswith("-"):
                return None
            value = rest.pop()
        keep(option, value, values)
    return values, others


def notebook_last(words: list[str]) -> list[str]:
    """The same command line with the options after a notebook's name before it: a notebook has
    no arguments that they could be. What is no option stays behind it."""
    known = {name: option for option in OPTIONS for name in option.names}
    given, rest = _options(words, known)
    if not rest or not rest[0].lower().endswith(".ipynb"):
        return words
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


def _options(words: list[str], known: Mapping[str, Option]) -> tuple[list[str], list[str]]:
    """The options that `words` begin with, with their values, and the rest."""
    at = 0
    while at < len(words) and words[at].startswith("-") and words[at] not in {"-", "--"}:
        name, equals, _ = words[at].partition("=")
        option = known.get(name)
        takes = option is not None and option.kind in {"text", "words"} and not equals
        takes |= words[at] == "--network" and not _NETWORKS.isdisjoint(words[at + 1 : at + 2])
        at += 2 if takes else 1
    return words[:at], words[at:]


def keep(option: Option, value: str, values: dict[str, object]) -> None:
    """The last of an option counts; of a repeatable one, all do."""
    earlier = values.get(option.field)
    if option.kind == "words":
        values[option.field] = (*earlier, value) if isinstance(earlier, tuple) else (value,)
    else:
        values[option.field] = value
