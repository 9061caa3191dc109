"""One PEP 508 requirement, of whatever origin: a name of the registry, or one line of why not.

Among the requirements of a sandbox may stand rules, which choose among versions and ask for no
package: an option of uv's and its value, as in a requirements file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from e2brun.errors import UsageError

if TYPE_CHECKING:
    from packaging.requirements import Requirement


def parse_requirement(text: str, where: str = "") -> Requirement:
    """One PEP 508 requirement. Raises UsageError (after `where`, such as FILE:LINE)."""
    from packaging.requirements import Requirement

    text, prefix = text.strip(), f"{where}: " if where else ""
    shown = repr(re.sub(r"://[^/@\s]+@", "://", text))  # nobody's credentials in a message
    if text.startswith("-"):
        raise UsageError(
            f"{prefix}{shown} is an option, not a requirement",
            hint="Package indexes and the like are set in uv.toml or UV_* variables.",
        )
    if re.match(r"(\.|/|~|file:|[a-z+]+://)", text) or re.search(r"^[^@;]*[/\\]", text):
        raise UsageError(
            f"{prefix}{shown} is a path or URL, not a requirement",
            hint="Name a package of the registry, such as numpy or 'numpy>=2'.",
        )
    try:
        return Requirement(text)
    except (ValueError, RecursionError) as error:  # InvalidRequirement, or a marker without end
        problem = str(error).splitlines()[0]
        raise UsageError(f"{prefix}{shown} is not a requirement: {problem}") from None


CONSTRAINT, OVERRIDE = "--constraint", "--override"
EXCLUDE_NEWER, EXCLUDE_NEWER_PACKAGE = "--exclude-newer", "--exclude-newer-package"
_RULES = (CONSTRAINT, OVERRIDE, EXCLUDE_NEWER, EXCLUDE_NEWER_PACKAGE)


def rule(option: str, value: str) -> str:
    """A rule as it stands among requirements."""
    return f"{option} {value}"


def divided(requirements: Iterable[str]) -> tuple[list[str], dict[str, list[str]]]:
    """The requirements proper, and the rules: values by option."""
    plain: list[str] = []
    rules: dict[str, list[str]] = {}
    for text in requirements:
        option, _, value = text.partition(" ")
        if option in _RULES:
            rules.setdefault(option, []).append(value)
        else:
            plain.append(text)
    return plain, rules


def name_of(requirement: str) -> str:
    """`Foo.Bar[x]>=1` is foo-bar."""
    match = re.match(r"\s*([A-Za-z0-9._-]+)", requirement)
    return normalized(match[1]) if match else ""


def normalized(name: str) -> str:
    """The one spelling of a name that an index has."""
    return re.sub(r"[-_.]+", "-", name).lower()
