"""One cell: from its source to code objects, and through them."""

from __future__ import annotations

import _ast
import builtins

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from types import CodeType
    from typing import Any

globals()["__builtins__"] = dict(vars(builtins))  # ours work on whatever a cell does to its own

CO_COROUTINE = 0x80  # inspect.CO_COROUTINE, without the import
NEED_LOOP = frozenset({"create_task", "ensure_future", "get_running_loop"})
START_LOOP = frozenset({"run", "run_until_complete"})


class Compiler:
    """Compiles cells; a `from __future__` import holds for the cells after it."""

    def __init__(self) -> None:
        self._future = 0

    def compile(self, source: str, name: str) -> list[tuple[CodeType, bool]]:
        """The parts of a cell in order, and whether the value of each is to be shown. Raises
        whatever Python raises on bad source."""
        flags = _ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | self._future
        tree: Any = compile(source, name, "exec", flags | _ast.PyCF_ONLY_AST, dont_inherit=True)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], _ast.Expr) else None
        parts: list[tuple[CodeType, bool]] = []
        if tree.body:
            code = compile(tree, name, "exec", flags, dont_inherit=True)
            if "__future__" in source:
                self._remember_future(code)
                flags |= self._future
            parts.append((code, False))
        if last is not None:
            value = compile(_ast.Expression(last.value), name, "eval", flags, dont_inherit=True)
            parts.append((value, not _is_quiet(source, last)))
        return parts

    def _remember_future(self, code: CodeType) -> None:
        import __future__

        for name in __future__.all_feature_names:
            self._future |= code.co_flags & getattr(__future__, name).compiler_flag
        # A mandatory feature's flag may be CO_NESTED, which compile() does not take.
        self._future &= ~0x10


def dedented(source: str) -> str:
    """The source without the indentation of its first line, as a notebook takes it."""
    lines = source.split("\n")
    first = next((line for line in lines if line.strip()), "")
    margin = first[: len(first) - len(first.lstrip(" \t"))]
    if not margin:
        return source
    return "\n".join(line[len(margin) :] if line.startswith(margin) else line for line in lines)


def _is_quiet(source: str, last: _ast.Expr) -> bool:
    """Whether a `;` follows the last expression."""
    end_line, end_column = last.end_lineno or 1, last.end_col_offset or 0
    lines = source.replace("\r\n", "\n").replace("\r", "\n").split("\n")[end_line - 1 :]
    # Columns count UTF-8 bytes. Past the end of the last expression a # starts a comment.
    rest = [lines[0].encode("utf-8", "replace")[end_column:].decode("utf-8", "replace"), *lines[1:]]
    return "".join(line.split("#", 1)[0] for line in rest).rstrip().endswith(";")


class Runner:
    """Runs code objects in one namespace and, where they await, on one event loop for good."""

    def __init__(self, namespace: dict[str, Any]) -> None:
        self._namespace = namespace
        self._loop: AbstractEventLoop | None = None

    def run(self, parts: list[tuple[CodeType, bool]]) -> object:
        """The value of the part to be shown, or None. Raises what the cell raises."""
        if any(_needs_loop(code) for code, _ in parts):
            return self._run_on_loop(parts)
        value: object = None
        for code, shown in parts:
            given = eval(code, self._namespace)  # noqa: S307 - this is what the sandbox is for
            value = given if shown else None
        return value

    async def _awaited(self, parts: list[tuple[CodeType, bool]]) -> object:
        value: object = None
        for code, shown in parts:
            given: Any = eval(code, self._namespace)  # noqa: S307 - see run
            if code.co_flags & CO_COROUTINE:
                given = await given
            value = given if shown else None
        return value

    def _run_on_loop(self, parts: list[tuple[CodeType, bool]]) -> object:
        import asyncio

        if self._loop is None or self._loop.is_closed():
            self._loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self._loop)
        loop = self._loop
        task = loop.create_task(self._awaited(parts))
        try:
            return loop.run_until_complete(task)
        except KeyboardInterrupt:
            if task.done():
                task.exception()  # else asyncio complains that nobody asked
                raise
        except SystemExit:
            if task.done() and not task.cancelled():
                task.exception()
            raise
        # It hit the loop while the cell was waiting: the cell is cancelled where it stands, and
        # that place is what the user wants to see.
        place = None
        task.cancel()
        try:
            loop.run_until_complete(task)
        except BaseException as stopped:  # noqa: BLE001 - CancelledError, or what they made of it
            place = stopped.__traceback__
        raise KeyboardInterrupt().with_traceback(place)

    def close(self) -> None:
        """Cancel the tasks that cells left behind, as `asyncio.run` does at its end."""
        loop = self._loop
        if loop is None or loop.is_closed():
            return
        import asyncio

        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        try:
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            loop.run_until_complete(loop.shutdown_asyncgens())
        except BaseException:  # noqa: BLE001 - theirs, and nobody is left to tell
            return
        finally:
            loop.close()


def _needs_loop(code: CodeType) -> bool:
    """It awaits, or schedules something at its top level as one may in a notebook; but a cell
    that starts a loop of its own gets none from us."""
    if code.co_flags & CO_COROUTINE:
        return True
    return not NEED_LOOP.isdisjoint(code.co_names) and START_LOOP.isdisjoint(code.co_names)
