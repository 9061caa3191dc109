"""Our own security rules on the syntax tree: what names stand for, not how they are written.

No static reading finds everything; the sandbox holds whatever gets through. As a script it reads
a job from stdin, for sources that may take a parser down.
"""

from __future__ import annotations

import ast
import json
import sys
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from e2brun.runs.record import Finding, Severity
from e2brun.stages.validate import rules
from e2brun.stages.validate.names import Names, text_of
from e2brun.stages.validate.rules import Rule

_TAKES_NAMES = {
    "builtins.getattr": 1, "builtins.setattr": 1, "builtins.delattr": 1, "builtins.hasattr": 1,
    "operator.attrgetter": 0, "operator.methodcaller": 0, "inspect.getattr_static": 1,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Policy:
    """Which modules may be imported: all but the denied; with `allow`, only those."""

    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] = ()


def inspect(source: bytes, policy: Policy, file: str) -> list[Finding]:
    """Every finding; one that says so when the source cannot be read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            tree = ast.parse(source)
            return list(_Inspection(tree, policy, file).findings())
        except (SyntaxError, ValueError, OverflowError) as error:
            line = getattr(error, "lineno", None) or 0
            return [unreadable(file, f"it cannot be parsed: {error}".split("\n")[0], line)]
        except (RecursionError, MemoryError, SystemError):
            return [unreadable(file, "it is nested too deeply to be looked through")]


def unreadable(file: str, message: str, line: int = 0) -> Finding:
    """Nobody can vouch for this source."""
    return Finding(file, line, 0, "unreadable", Severity.HIGH, message)


class _Inspection:
    def __init__(self, tree: ast.Module, policy: Policy, file: str) -> None:
        self._tree, self._policy, self._file = tree, policy, file
        self._names = Names(tree)

    def findings(self) -> Iterator[Finding]:
        """One for each place and rule."""
        seen: set[tuple[int, int, str]] = set()
        for node in ast.walk(self._tree):
            for rule, subject in self._rules(node):
                line, column = getattr(node, "lineno", 0), getattr(node, "col_offset", -1) + 1
                if (line, column, rule.name) not in seen:
                    seen.add((line, column, rule.name))
                    message = f"{subject[:100]} {rule.message}"
                    yield Finding(self._file, line, column, rule.name, rule.severity, message)

    def _rules(self, node: ast.AST) -> Iterator[tuple[Rule, str]]:
        match node:
            case ast.Import(names=aliases):
                for alias in aliases:
                    yield from self._import(alias.name)
            case ast.ImportFrom(module=module, level=level, names=aliases):
                if not level:
                    yield from self._import(str(module))
                    yield from self._from_import(str(module), aliases)
            case ast.Name() | ast.Attribute() | ast.Subscript():
                yield from self._reference(node)
            case ast.Call():
                yield from self._call(node)
            case ast.Constant(value=str(text)) if rules.dunder_in_format(text):
                yield rules.DUNDER, "a format string with such a name"
            case _:
                pass

    def _import(self, module: str) -> Iterator[tuple[Rule, str]]:
        parts = module.split(".")
        prefixes = {".".join(parts[:length]) for length in range(1, len(parts) + 1)}
        allow = self._policy.allow
        if prefixes & set(self._policy.deny) or (allow is not None and not prefixes & set(allow)):
            yield rules.DENIED, module
        elif allow is None:
            for prefix in sorted(prefixes & rules.MODULES.keys()):
                yield rules.MODULES[prefix], module

    def _from_import(self, module: str, aliases: list[ast.alias]) -> Iterator[tuple[Rule, str]]:
        for alias in aliases:
            name = f"{module}.{alias.name}"
            if alias.name == "*":
                yield rules.STAR, name
            elif rule := rules.rule_for(name):
                yield rule, name
            if name in self._policy.deny:
                yield rules.DENIED, name
            elif rule := rules.MODULES.get(name):
                yield rule, name

    def _reference(
        self, node: ast.Name | ast.Attribute | ast.Subscript
    ) -> Iterator[tuple[Rule, str]]:
        if isinstance(node, ast.Attribute) and node.attr in rules.DUNDERS:
            yield rules.DUNDER, node.attr
        if isinstance(node, ast.Subscript) and text_of(node.slice) in rules.DUNDERS:
            yield rules.DUNDER, str(text_of(node.slice))
        if isinstance(node, ast.Name) and node.id == "__builtins__":
            yield rules.DUNDER, node.id
        for name in sorted(self._names.meanings(node)):
            if rule := rules.rule_for(name):
                yield rule, name.removeprefix("builtins.")

    def _call(self, node: ast.Call) -> Iterator[tuple[Rule, str]]:
        called = self._names.meanings(node.func)
        for name in sorted(called & _TAKES_NAMES.keys()):
            yield from self._named(name, node.args[_TAKES_NAMES[name] :])
        # What the call itself stands for: getattr(os, "system"), __import__("os")
        for name in sorted(self._names.meanings(node)):
            if rule := rules.rule_for(name):
                yield rule, name
            yield from self._import(name.split(".")[0])
        if any(name.split(".")[-2:-1] == ["subprocess"] for name in called):
            yield from self._shell(node, sorted(called)[0])

    def _named(self, function: str, names: list[ast.expr]) -> Iterator[tuple[Rule, str]]:
        function = function.removeprefix("builtins.")
        for argument in names[:1]:
            text = text_of(argument)
            if text is None:
                if not isinstance(argument, ast.Constant):
                    yield rules.COMPUTED_ATTRIBUTE, function
                continue
            parts = set(text.split("."))
            hidden = {part for part in parts if part.startswith("__")} - rules.HARMLESS_DUNDERS
            for part in sorted(hidden | (parts & rules.DUNDERS)):
                yield rules.DUNDER, f"{function} of {part}"

    def _shell(self, node: ast.Call, name: str) -> Iterator[tuple[Rule, str]]:
        for keyword in node.keywords:
            off = isinstance(keyword.value, ast.Constant) and not keyword.value.value
            if keyword.arg == "shell" and not off:
                yield rules.SHELL_TRUE, name


def main() -> None:
    """Inspect the source in the job on stdin; findings, as JSON, on stdout."""
    from e2brun.stages.validate.compiling import limit_this_process

    limit_this_process()
    job, _, source = sys.stdin.buffer.read().partition(b"\n")
    words = json.loads(job)
    allow = None if words["allow"] is None else tuple(words["allow"])
    found = inspect(source, Policy(allow, tuple(words["deny"])), words["file"])
    sys.stdout.write(json.dumps([asdict(finding) for finding in found[:1000]]))
