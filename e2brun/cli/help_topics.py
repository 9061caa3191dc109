"""`e2brun help TOPIC`: the Markdown files in `topics/`, which README links to as they are.

The first line of each is its name and, after a colon, what it is about.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from e2brun.cli.signals import write_line
from e2brun.errors import UsageError

_DIRECTORY = Path(__file__).parent / "topics"


def topics() -> dict[str, Path]:
    return {path.stem: path for path in sorted(_DIRECTORY.glob("*.md"))}


def list_topics() -> int:
    found = topics()
    width = max(map(len, found))
    lines = [f"  {name:<{width}}  {_about(path)}" for name, path in found.items()]
    write_line("\n".join(["e2brun help TOPIC explains one of", "", *lines, "", _OF_COMMANDS]))
    return 0


_OF_COMMANDS = "`e2brun help COMMAND`, or `e2brun COMMAND --help`, lists a command's options."


def show_topic(name: str, commands: Iterable[str]) -> int:
    """Print one. Raises UsageError: there is none of that name, nor a command."""
    found = topics()
    if name not in found:
        from e2brun.values import suggestion

        raise UsageError(
            f"there is no topic {name!r}{suggestion(name, {*found, *commands})}",
            hint="See `e2brun help`.",
        )
    write_line(found[name].read_text(encoding="utf-8").rstrip())
    return 0


def _about(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        return file.readline().partition(": ")[2].strip()
