"""What a name in a source stands for, as far as it can be read: `o.system` after `import os as o`.

Names are followed through imports, assignments, `getattr`, `__import__`, `vars` and the like,
without regard to scopes: a name that is anything dangerous anywhere counts as that everywhere.
"""

from __future__ import annotations

import ast
import builtins

_BUILTINS = frozenset(dir(builtins)) | {"__builtins__"}
_MOST = 8  # meanings of one name
_PASSES = 3  # assignments of assignments


def text_of(node: ast.expr) -> str | None:  # noqa: PLR0911 - one for each form
    """The text of an expression that is constant, also when it is put together from pieces."""
    match node:
        case ast.Constant(value=str(constant)):
            return constant
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            first, second = text_of(left), text_of(right)
            return None if first is None or second is None else (first + second)[:1000]
        case ast.JoinedStr(values=values):
            pieces = [text_of(value) for value in values]
            return "".join(p or "" for p in pieces)[:1000] if None not in pieces else None
        case ast.FormattedValue(value=value, format_spec=None):
            return text_of(value)
        case ast.Call(
            func=ast.Attribute(value=separator, attr="join"),
            args=[ast.List(elts=items) | ast.Tuple(elts=items)],
        ):
            parts = [text_of(item) for item in (separator, *items)]
            known = [part for part in parts if part is not None]
            return known[0].join(known[1:])[:1000] if len(known) == len(parts) else None
        case ast.Subscript(
            value=value, slice=ast.Slice(lower=None, upper=None, step=ast.UnaryOp(op=ast.USub()))
        ):
            text = text_of(value)
            return None if text is None else text[::-1]
        case _:
            return None


class Names:
    """The meanings of the names of one module."""

    def __init__(self, tree: ast.Module) -> None:
        self._meanings: dict[str, set[str]] = {}
        self._stars: list[str] = []
        nodes = list(ast.walk(tree))
        for node in nodes:
            self._imported(node)
        for _ in range(_PASSES):
            before = sum(map(len, self._meanings.values()))
            for node in nodes:
                self._assigned(node)
            if sum(map(len, self._meanings.values())) == before:
                break

    def _imported(self, node: ast.AST) -> None:
        match node:
            case ast.Import(names=aliases):
                for alias in aliases:
                    top = alias.name.split(".")[0]
                    self._add(alias.asname or top, {alias.name if alias.asname else top})
            case ast.ImportFrom(module=str(module), names=aliases):
                for alias in aliases:
                    if alias.name == "*":
                        self._stars.append(module)
                    else:
                        self._add(alias.asname or alias.name, {f"{module}.{alias.name}"})
            case _:
                pass

    def _assigned(self, node: ast.AST) -> None:
        match node:
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    self._bind(target, value)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                self._bind(target, value)
            case ast.NamedExpr(target=target, value=value):
                self._bind(target, value)
            case ast.withitem(context_expr=value, optional_vars=ast.Name() as target):
                self._bind(target, value)
            case _:
                pass

    def _bind(self, target: ast.expr, value: ast.expr) -> None:
        match target, value:
            case ast.Name(id=name), _:
                self._add(name, self.meanings(value))
            case (
                (ast.Tuple(elts=left) | ast.List(elts=left)),
                (ast.Tuple(elts=right) | ast.List(elts=right)),
            ) if len(left) == len(right):
                for one, other in zip(left, right, strict=True):
                    self._bind(one, other)
            case _:
                pass

    def _add(self, name: str, meanings: set[str]) -> None:
        known = self._meanings.setdefault(name, set())
        known.update(sorted(meanings)[: max(0, _MOST - len(known))])

    def meanings(self, node: ast.expr) -> set[str]:  # noqa: PLR0911 - one for each form
        """Every dotted name an expression may stand for."""
        match node:
            case ast.Name(id=name):
                return self._of_name(name)
            case ast.Attribute(value=value, attr=attribute):
                return self._below(value, attribute)
            case ast.Call(func=function, args=arguments):
                return self._of_call(function, arguments)
            case ast.Subscript(value=value, slice=key):
                return self._of_item(value, text_of(key))
            case ast.NamedExpr(value=value):
                return self.meanings(value)
            case ast.IfExp(body=one, orelse=other):
                return self.meanings(one) | self.meanings(other)
            case _:
                return set()

    def _of_name(self, name: str) -> set[str]:
        found = set(self._meanings.get(name, ()))
        if not found and name in _BUILTINS:
            found.add("builtins" if name == "__builtins__" else f"builtins.{name}")
        return found | {f"{module}.{name}" for module in self._stars}

    def _below(self, value: ast.expr, attribute: str) -> set[str]:
        return {f"{name}.{attribute}" for name in self.meanings(value) if len(name) < 1000}

    def _of_call(self, function: ast.expr, arguments: list[ast.expr]) -> set[str]:
        called = self.meanings(function)
        if called & {"builtins.getattr"} and len(arguments) >= 2:
            name = text_of(arguments[1])
            return self._below(arguments[0], name) if name else set()
        if called & {"builtins.__import__", "importlib.import_module", "importlib.__import__"}:
            name = text_of(arguments[0]) if arguments else None
            return {name} if name else set()
        if called & {"builtins.vars"} and len(arguments) == 1:
            return self._below(arguments[0], "__dict__")
        return {"globals()"} if called & {"builtins.globals"} else set()

    def _of_item(self, value: ast.expr, key: str | None) -> set[str]:
        found: set[str] = set()
        for container in self.meanings(value) if key else ():
            if container == "sys.modules":
                found.add(str(key))
            elif container in {"globals()"}:
                found |= self._of_name(str(key))
            elif container == "builtins" or container.endswith(".__dict__"):
                found.add(f"{container.removesuffix('.__dict__')}.{key}")
        return found
