"""What a job needs of Python: which one, and which packages, from options and from the source."""

from __future__ import annotations

import sys
from collections.abc import Container, Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from e2brun.errors import UsageError
from e2brun.frozen import Frozen
from e2brun.jobs.source import Kind, Source, SourceUnfit
from e2brun.sandbox.contract import HOME, Upload

if TYPE_CHECKING:
    from e2brun.jobs.requirements import ScriptMetadata


_DEEPEST = 8  # parts of a module's name; no package is known by more


class Wanted(Frozen):
    """What was asked for beside the source."""

    install: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()  # requirements.txt
    auto: bool = False  # what the code imports as well
    python: str | None = None
    cloud: bool = False  # it will not run on this machine


class Fetched(Frozen):
    """What comes with the sandbox: the packages of the default template that may be fetched."""

    template: str | None
    cells: bool
    fetch: bool


class Needs(Frozen):
    """The interpreter (None: the usual one), and the requirements with their rules."""

    python: str | None
    install: tuple[str, ...]
    own: tuple[str, ...]  # those of `install` that the source itself asks for
    requires_python: str | None = None  # to be asked of a sandbox whose Python is not known here


class _Present(Frozen):
    """Modules that no registry is asked for."""

    sent: set[str]
    beside: Container[str]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (name in self.sent or name in self.beside)


def needs_of(
    source: Source,
    codes: Sequence[str | bytes],
    wanted: Wanted,
    uploads: Sequence[Upload],
    fetched: Fetched,
) -> Needs:
    """`codes`: all Python there is to look at. Raises UsageError, SourceUnfit."""
    python, own, rules = wanted.python, list[str](), tuple[str, ...]()
    requires = None
    if b"# /// script" in source.content and source.kind is Kind.PYTHON:
        metadata = _metadata(source, cloud=wanted.cloud)
        own += metadata.dependencies
        rules = metadata.rules
        if wanted.cloud:
            requires = metadata.requires_python
        elif metadata.requires_python:
            python = _suitable_python(metadata.requires_python, python, source.name)
    if wanted.auto:
        own += _of_others(_imported(source, codes, python, uploads), codes, wanted, fetched)
    if not (own or wanted.install or wanted.files):
        return Needs(python, (), (), requires)
    from e2brun.jobs.requirements import requirements_from_file
    from e2brun.sandbox.requirement import parse_requirement

    asked = list(wanted.install)
    for file in wanted.files:
        asked += requirements_from_file(file)
    for text in (*asked, *own):
        parse_requirement(text)
    install = tuple(dict.fromkeys((*asked, *own, *rules)))
    return Needs(python, install, tuple(dict.fromkeys(own)), requires)


def _metadata(source: Source, *, cloud: bool) -> ScriptMetadata:
    from e2brun.jobs.requirements import inline_metadata
    from e2brun.sandbox.requirement import CONSTRAINT, divided

    try:
        found = inline_metadata(source.content, source.name)
    except UsageError as error:
        raise SourceUnfit(str(error), hint=error.hint) from error
    unkept = set(divided(found.rules)[1]) - {CONSTRAINT}
    if cloud and unkept:
        raise SourceUnfit(
            f"{source.name}: [tool.uv] {', '.join(sorted(unkept))[2:]} is not kept to at E2B",
            hint="Write exact versions in dependencies, or run with --on local.",
        )
    return found


def _imported(
    source: Source, codes: Iterable[str | bytes], python: str | None, uploads: Iterable[Upload]
) -> Iterable[str]:
    from e2brun.jobs.local_modules import Beside
    from e2brun.sandbox.local.interpreter import current_interpreter
    from e2brun.sandbox.local.pythons import find_interpreter

    version = (find_interpreter(python) if python else current_interpreter()).version[:2]
    # A module that lies beside the source is not somebody's package of that name.
    beside = () if source.directory is None else Beside(source.directory)
    present = _Present(modules_of(uploads), beside)
    found: dict[str, None] = {}
    for code in codes:
        found |= dict.fromkeys(missing_imports(code, python_version=version, present=present))
    return found


def _of_others(
    imported: Iterable[str], codes: Iterable[str | bytes], wanted: Wanted, fetched: Fetched
) -> list[str]:
    """What is imported or, in cells, what pip is asked for; but not the packages of the default
    template, which are to have its versions."""
    from e2brun.jobs.pip_lines import requirements_of
    from e2brun.sandbox.local.templates import is_default, member
    from e2brun.sandbox.requirement import name_of

    asked = [code for code in codes if isinstance(code, str)] if fetched.cells else []
    found = list(requirements_of(asked))
    names = {name_of(text) for text in found}
    found += (name for name in imported if name_of(name) not in names)
    if fetched.fetch and not wanted.cloud and is_default(fetched.template):
        found = [text for text in found if member(text) is None]
    return found


def modules_of(uploads: Iterable[Upload]) -> set[str]:
    """The modules that uploaded files may be, wherever they are put."""
    found: set[str] = set()
    for upload in uploads:
        path = PurePosixPath(upload.path.removeprefix(f"{HOME}/"))
        parts = [part for part in path.parts if part not in {"/", ".", ".."}]
        if path.suffix == ".py":
            found.update(parts[:-1], (path.stem,))
        else:
            found.update(part.removesuffix(".py") for part in parts[:1])
    return found


def _suitable_python(wanted: str, asked: str | None, name: str) -> str | None:
    """The interpreter for a script's `requires-python`: ours, the one asked for, or one found."""
    from e2brun.jobs.requirements import check_requires_python
    from e2brun.sandbox.local.interpreter import current_interpreter
    from e2brun.sandbox.local.pythons import find_interpreter

    if asked is not None:
        check_requires_python(wanted, find_interpreter(asked).version, name)
        return asked
    try:
        check_requires_python(wanted, current_interpreter().version, name)
    except SourceUnfit:
        for minor in range(20, 7, -1):
            try:
                found = find_interpreter(f"3.{minor}")
                check_requires_python(wanted, found.version, name)
            except UsageError:
                continue
            return found.executable
        raise
    return None


def missing_imports(
    source: str | bytes, *, python_version: tuple[int, ...], present: Container[str] = ()
) -> tuple[str, ...]:
    """Packages for the imports that neither the standard library nor `present` can serve.

    Read, never run. Found in functions and `try` blocks as well, but not under
    `if TYPE_CHECKING:`. A source that cannot be parsed imports nothing.
    """
    from e2brun.jobs.parsing import imported

    found = {
        name: _distribution(name, python_version)
        for name in imported(source)
        if not name.startswith(".")
        and name not in present
        and name.partition(".")[0] not in present
    }
    return tuple(sorted({package for package in found.values() if package}, key=str.lower))


def _distribution(name: str, version: tuple[int, ...]) -> str:
    """The package that has a module; "" for none."""
    from e2brun.jobs.distributions import ADDED_MODULES, DISTRIBUTIONS, NAMESPACES, REMOVED_MODULES

    parts = name.split(".", _DEEPEST)[:_DEEPEST]
    top = parts[0]
    if top in REMOVED_MODULES:
        since, package = REMOVED_MODULES[top]
        return package if version[:2] >= since else ""
    if top in sys.stdlib_module_names or top in ADDED_MODULES or top == "__main__":
        return ""
    for length in range(len(parts), 0, -1):
        known = DISTRIBUTIONS.get(".".join(parts[:length]))
        if known is not None:
            return known
    if namespace := next((n for n in NAMESPACES if f"{name}.".startswith(f"{n}.")), ""):
        return _in_namespace(parts, namespace)
    # Private modules, and a bare namespace, are in no package of their name.
    return "" if top.startswith("_") or top == "google" or not top.isascii() else top


def _in_namespace(parts: list[str], namespace: str) -> str:
    """`azure.storage.blob.BlobClient` is in azure-storage-blob: up to the first class or name. A
    lower-case function at the end of a `from` import cannot be told from a module."""
    from e2brun.jobs.distributions import DOTTED

    root = namespace.split(".")
    inner = [part for part in parts[len(root) :] if part.islower()]
    depth = 2 if root == ["azure"] and inner[:1] in (["storage"], ["mgmt"], ["ai"]) else 1
    if not inner:
        return ""
    separator = "." if parts[0] in DOTTED else "-"
    return separator.join([*root, *inner[:depth]]).replace("_", "-")
