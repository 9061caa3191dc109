"""From a TOML file to a pipeline in which everything is checked, before anything runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from e2brun.errors import UsageError
from e2brun.pipeline import cases as expanding
from e2brun.pipeline import variables as naming
from e2brun.pipeline.places import BrokenPipeline, Problem
from e2brun.pipeline.places import Path as KeyPath
from e2brun.pipeline.reader import TomlReader
from e2brun.pipeline.schema import Document
from e2brun.stages.work import Case
from e2brun.values import suggestion, toml_problem, toml_tables

_MAX_SIZE = 64 * 1024 * 1024


@dataclass(frozen=True)
class Pipeline:
    """A file that was read and checked."""

    file: Path
    document: Document
    cases: tuple[Case, ...]
    recipe: str = field(repr=False)  # all but the cases, as JSON: equal recipes do the same
    tables: Mapping[str, object] = field(repr=False)  # the TOML, with what was given over it

    @property
    def directory(self) -> Path:
        """What its paths are relative to."""
        return self.file.parent

    def fingerprint(self, case: Case) -> str:
        """Changes with whatever decides how this case ends: recipe, variables, candidate."""
        import hashlib

        digest = hashlib.sha256(self.recipe.encode())
        digest.update(json.dumps(case.variables, sort_keys=True, default=str).encode())
        if case.file is not None:
            digest.update(case.file.read_bytes())
        return digest.hexdigest()


def load(
    file: Path,
    settings: Sequence[str] = (),
    given: Sequence[str] = (),
    ahead: Callable[[Document], None] | None = None,
) -> Pipeline:
    """Read it; `settings` are those of --set, `given` those of --var.

    `ahead` is told the tables once they and the cases are found right: before the stages, which
    take longest to import, have looked at their settings. It raises UsageError for a template that
    there is not.

    Raises BrokenPipeline with all that is wrong, and UsageError where it cannot be read at all.
    """
    text = _text(file)
    raw = _tables(file, text)
    labels = naming.apply(raw, settings)
    check = _Check(file, text, raw, labels)
    document = check.document()
    variables = dict(map(naming.parse_var, given))
    found = check.cases(document, variables)
    check.end()
    if ahead is not None:
        check.told(document, ahead)
    check.stages(document)
    check.end()
    recipe = _recipe(document, raw, file.parent)
    tables = {**raw, "vars": {**document.vars, **variables}} if variables else raw
    return Pipeline(file, document, tuple(found.cases), recipe, tables)


class _Check:
    """One file's reading: collects problems, and raises them where there is no going on."""

    def __init__(
        self, file: Path, text: str, raw: Mapping[str, object], labels: Mapping[KeyPath, str]
    ) -> None:
        self._file, self._text, self._raw, self._labels = file, text, raw, labels
        self._reader = TomlReader(file.parent)
        self._elsewhere: list[Problem] = []

    def document(self) -> Document:
        document = self._reader.table(Document, self._raw)
        if document is None:
            self.end()
            raise AssertionError("nothing is wrong, yet there is no document")
        for number, name in enumerate(document.execute.files if document.execute else ()):
            self._upload(name, ("execute", "files", number))
        return document

    def cases(self, document: Document, given: Mapping[str, str]) -> expanding.Found:
        try:
            shared = naming.resolved({**document.vars, **given})
        except naming.VariableError as error:
            self._reader.note(("vars", error.variable), str(error))
            shared = {**document.vars, **given}
        found = expanding.expand(document, self._file.parent, shared)
        if given:
            found.cases = [replace(c, variables={**c.variables, **given}) for c in found.cases]
        self._reader.problems += found.at_paths
        self._elsewhere += found.elsewhere
        if found.cases:
            self._variables(document, found, given)
        return found

    def told(self, document: Document, ahead: Callable[[Document], None]) -> None:
        """`ahead` gets the tables; what it finds wrong with their template has its line."""
        try:
            ahead(document)
        except UsageError as error:
            tables = {"execute": document.execute, "sandbox": document.sandbox}
            named = [name for name, table in tables.items() if table and table.template]
            if not named:
                raise
            self._reader.note((named[0], "template"), str(error))

    def stages(self, document: Document) -> None:
        """What only the stages themselves know to be wrong."""
        from e2brun.pipeline import compiler

        compiler.try_out(document, self._file.parent, self._reader.note)

    def end(self) -> None:
        """Raise what was found, in the order of lines."""
        if not (self._reader.problems or self._elsewhere):
            return
        from e2brun.pipeline.places import Places

        places = Places(self._text)
        located = sorted(
            {(self._label(path), places.line(path), text) for path, text in self._reader.problems}
        )
        problems = [
            Problem(label or f"{self._file}:{line}", message) for label, line, message in located
        ]
        raise BrokenPipeline([*problems, *self._elsewhere])

    def _label(self, path: KeyPath) -> str:
        """The option of the command line that is to blame, if one is."""
        for given, label in self._labels.items():
            if path[: len(given)] == given or given[: len(path)] == path != ():
                return label
        return ""

    def _variables(
        self, document: Document, found: expanding.Found, given: Mapping[str, str]
    ) -> None:
        used = naming.used(self._raw)
        if document.generate.prompt_file is not None:
            from e2brun.stages.template import placeholders

            text = document.generate.prompt_file.read_text(encoding="utf-8", errors="replace")
            used |= dict.fromkeys(placeholders(text), ("generate", "prompt_file"))
        for name in given:
            if name not in used and name not in document.vars:
                hint = suggestion(name, used)
                self._elsewhere.append(
                    Problem(f"--var {name}", f"no {{{{{name}}}}} is used in {self._file}{hint}")
                )
        known = {name for case in found.cases for name in case.variables}
        for name in sorted(used.keys() - known):
            where = ".".join(str(part) for part in used[name] if isinstance(part, str))
            hint = suggestion(name, known)
            self._reader.note(used[name], f"{where} uses {{{{{name}}}}}, which no case has{hint}")
        for case in found.cases:
            for name in (used.keys() & known) - case.variables.keys():
                source = found.sources[case.id]
                message = f"case {case.id!r} has no {name!r}" + suggestion(name, case.variables)
                if isinstance(source, str):
                    self._elsewhere.append(Problem(source, message))
                else:
                    self._reader.note(source, message)

    def _upload(self, name: str, path: KeyPath) -> None:
        local = name.rpartition(":")[0] or name
        if "{{" in name or (self._file.parent / name).exists():
            return
        if not (self._file.parent / local).exists():
            from e2brun.pipeline.kinds import missing

            self._reader.note(path, f"{local}: {missing(self._file.parent / local)}")


def _text(file: Path) -> str:
    with UsageError.of_system(file):
        if not file.exists():
            from e2brun.pipeline.kinds import missing

            raise UsageError(f"{file}: {missing(file)}")
        if file.stat().st_size > _MAX_SIZE:
            raise UsageError(f"{file}: over {_MAX_SIZE} bytes; give the cases a file of their own")
        return file.read_bytes().decode("utf-8-sig")


def _tables(file: Path, text: str) -> dict[str, object]:
    try:
        return toml_tables(text)
    except ValueError as error:
        line, why = toml_problem(error, text)
        raise BrokenPipeline([Problem(f"{file}:{line}", f"not valid TOML: {why}")]) from error


def _recipe(document: Document, raw: Mapping[str, object], directory: Path) -> str:
    """All of the file that decides how a case ends, and the state of the files it names."""
    tables = {
        key: raw[key] for key in sorted(raw) if key not in {"case", "cases", "matrix", "vars"}
    }
    stamps = [[str(path), *_stamp(path)] for path in _local_files(document, directory)]
    return json.dumps([tables, stamps], sort_keys=True, default=str)


def _local_files(document: Document, directory: Path) -> Iterable[Path]:
    from e2brun.pipeline.schema import TestsTable

    if document.generate.prompt_file is not None:
        yield document.generate.prompt_file
    for table in document.check:
        tests = table.tests
        if tests is not None:
            yield tests.file if isinstance(tests, TestsTable) else tests
    for name in document.execute.files if document.execute else ():
        whole = directory / name
        yield whole if whole.exists() else directory / (name.rpartition(":")[0] or name)


def _stamp(path: Path) -> Sequence[int]:
    try:
        found = path.stat()
    except OSError:
        return ()
    return (found.st_size, found.st_mtime_ns)
