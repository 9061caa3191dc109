"""What a program needs: PEP 723 metadata, requirements files, --install values, its imports.

Everything wrong is a UsageError with the file and line. `packaging` (20 ms) and `tomllib` are
imported only for a source or a requirement that is really there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from e2brun.errors import UsageError
from e2brun.jobs.source import SourceUnfit
from e2brun.sandbox.requirement import parse_requirement
from e2brun.values import is_list, is_table, toml_problem, toml_tables

_MARK = b"# /// script"
_OPENING = re.compile(r"# /// [a-zA-Z0-9-]+")
_LONGEST = 64 * 1024  # characters of metadata
_MOST_STEPS = 1_000_000  # tomllib walks down every part of a table's name for each of its keys


@dataclass(frozen=True)
class ScriptMetadata:
    """What a script says about itself in a `# /// script` block."""

    dependencies: tuple[str, ...] = ()
    requires_python: str | None = None
    rules: tuple[str, ...] = ()  # of `[tool.uv]`: see `sandbox.requirement`


def inline_metadata(source: str | bytes, file: str = "<script>") -> ScriptMetadata:
    """The PEP 723 metadata of a script; empty when it has none."""
    data = source.encode("utf-8", "surrogatepass") if isinstance(source, str) else source
    if _MARK not in data:
        return ScriptMetadata()
    text = data.decode("utf-8-sig", "replace").replace("\r\n", "\n").replace("\r", "\n")
    blocks = list(_script_blocks(text))
    if not blocks:
        return ScriptMetadata()
    first, lines = blocks[-1]
    if len(blocks) > 1:
        raise UsageError(f"{file}:{first}: a script may have only one `# /// script` block")
    content = "".join(f"{line[2:]}\n" for line in lines)
    steps = max(line.count(".") for line in lines) * (len(lines) + 1000)
    if len(content) > _LONGEST or steps > _MOST_STEPS:
        raise UsageError(f"{file}:{first}: the script's metadata is too long")
    return _metadata(content, file, first)


def _script_blocks(text: str) -> Iterator[tuple[int, list[str]]]:
    """(number of the opening line, lines between it and the closing one), as the specification's
    expression finds them; that takes time by the square of the marks."""
    lines = [*text.split("\n"), ""]  # an end for a run of comments that has none
    opening = closing = -1
    for number, line in enumerate(lines):
        if line == "#" or line.startswith("# "):
            if opening < 0 and _OPENING.fullmatch(line):
                opening = number
            elif line == "# ///" and number > opening + 1:
                closing = number
            continue
        if 0 <= opening < closing and lines[opening] == "# /// script":
            yield opening + 1, lines[opening + 1 : closing]
        opening = closing = -1


def _metadata(content: str, file: str, first: int) -> ScriptMetadata:
    """`first` is the line of the opening mark; the TOML starts on the next one."""
    try:
        table = toml_tables(content)
    except ValueError as error:
        line, problem = toml_problem(error, content)
        raise UsageError(f"{file}:{first + line}: {problem} (in the script's metadata)") from None

    def at(text: str) -> str:
        lines = content.splitlines()
        offset = next((n for n, line in enumerate(lines, 1) if text in line), 0)
        return f"{file}:{first + offset}"

    dependencies = _dependencies(table.get("dependencies", []), at)
    python: object = table.get("requires-python")
    if python is not None and not isinstance(python, str):
        raise UsageError(f"{at('requires-python')}: requires-python is not a string")
    if python is not None:
        _contains(python, "3", at("requires-python"))  # or say at which line it cannot be read
    return ScriptMetadata(dependencies, python, _rules(table, at))


def _dependencies(given: object, at: Callable[[str], str]) -> tuple[str, ...]:
    if not is_list(given):
        raise UsageError(f"{at('dependencies')}: dependencies is not a list of strings")
    found: list[str] = []
    for entry in given:
        if not isinstance(entry, str):
            raise UsageError(f"{at('dependencies')}: dependencies is not a list of strings")
        try:
            parse_requirement(entry)
        except UsageError as error:  # only then, since looking its line up takes time
            raise UsageError(f"{at(entry)}: {error}", hint=error.hint) from None
        found.append(entry)
    return tuple(found)


def _rules(table: Mapping[str, object], at: Callable[[str], str]) -> tuple[str, ...]:
    tools = table.get("tool")
    uv: object = tools.get("uv") if is_table(tools) else None
    if uv is None:
        return ()
    if not is_table(uv):
        raise UsageError(f"{at('uv')}: [tool.uv] is not a table")
    from e2brun.jobs.uv_table import rules_of

    return rules_of(uv, at)


def check_requires_python(spec: str, version: tuple[int, ...], file: str) -> None:
    """SourceUnfit, with the remedy, unless this Python version satisfies the specifier."""
    running = ".".join(map(str, version))
    if not _contains(spec, running, file):
        raise SourceUnfit(
            f"{file} requires Python {spec}, and this is {running}",
            hint="Name one that suits it: --python 3.13 on this machine, --template NAME at E2B.",
        )


def _contains(spec: str, version: str, where: str) -> bool:
    from packaging.specifiers import SpecifierSet

    try:
        return SpecifierSet(spec).contains(version, prereleases=True)
    except ValueError:  # InvalidSpecifier, or a number of too many digits
        raise UsageError(f"{where}: requires-python {spec!r} is not a version specifier") from None


def requirements_from_file(path: Path) -> tuple[str, ...]:
    """The requirements in a requirements.txt, those of its `-r` files in their place.

    Of pip's options only `-r` is known: hashes would not be checked, and an index or a
    constraint would silently not count, so each of them is an error that says so.
    """
    return tuple(_requirements(path, ()))


def _requirements(path: Path, opened: tuple[Path, ...]) -> Iterator[str]:
    real = path.resolve()
    if real in opened:
        raise UsageError(f"{path}: this requirements file includes itself")
    with UsageError.of_system(f"{path}: this requirements file cannot be read"):
        text = path.read_text(encoding="utf-8-sig")
    for number, line in _logical_lines(text.splitlines()):
        where = f"{path}:{number}"
        included = re.match(r"(?:-r|--requirement)(?:\s+|=|(?<=-r))(.+)", line)
        if included:
            yield from _requirements(path.parent / included[1].strip(), (*opened, real))
            continue
        _reject_options(line, where)
        parse_requirement(line, where)
        yield line


def _logical_lines(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """(number of its first line, line) without comments and continuations."""
    joined, start = "", 0
    for number, line in enumerate(lines, 1):
        start = start or number
        comment = line.lstrip().startswith("#")
        if line.endswith("\\") and not comment:
            joined += line[:-1]
            continue
        # As pip does, a comment line ends a continuation, and a comment needs a blank before it.
        joined += "" if comment else line
        text = re.sub(r"(?<!\s)(^|\s+)#.*$", "", joined).strip()
        if text:
            yield start, text
        joined, start = "", 0
    if joined.strip():
        yield start, joined.strip()


_REJECTED = (
    (r"(^|\s)--hash\b", "--hash is not supported: hashes would not be checked"),
    (r"(-c|--constraint)", "constraints (-c) are not supported: write them as requirements"),
    (r"(-e|--editable)", "editable installs (-e) are not supported: name a package"),
    (
        r"(-i|-f|--(extra-)?index-url|--find-links|--no-index)",
        "indexes are not read from here: set UV_DEFAULT_INDEX, UV_INDEX or UV_FIND_LINKS",
    ),
)


def _reject_options(line: str, where: str) -> None:
    for pattern, problem in _REJECTED:
        if re.search(pattern, line) if "hash" in pattern else re.match(pattern, line):
            raise UsageError(f"{where}: {problem}")
    option = re.search(r"(?:^|\s)(--?[a-zA-Z][\w-]*)", line)
    if option:
        raise UsageError(f"{where}: the option {option[1]} is not supported in requirements files")
