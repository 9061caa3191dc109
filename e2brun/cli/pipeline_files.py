"""The pipeline commands that run nothing: validate, show, init, schema, list."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from e2brun.cli.pipeline_run import refuse
from e2brun.cli.signals import notice, print_document, write_line
from e2brun.errors import E2brunError, UsageError
from e2brun.report.safe import one_line
from e2brun.values import is_table

if TYPE_CHECKING:
    from e2brun.pipeline.loader import Pipeline

_SHOWN_CASES = 30


def validate_file(
    file: Path, settings: Sequence[str], variables: Sequence[str], *, as_json: bool
) -> int:
    """Say whether it is right."""
    from e2brun.pipeline.loader import load

    try:
        pipeline = load(file, settings, variables)
    except E2brunError as error:
        return refuse(error, as_json=as_json)
    cases = len(pipeline.cases)
    if as_json:
        name = pipeline.document.pipeline.name
        print_document({"schema": 1, "success": True, "exit_code": 0, "pipeline": name,
                        "file": str(file), "cases": cases, "error": None})  # fmt: skip
    else:
        write_line(f"{file}: ok, {cases} case{'s' * (cases != 1)}")
    return 0


def show_file(file: Path, settings: Sequence[str], variables: Sequence[str], *, toml: bool) -> int:
    """Draw what would run, or write it as TOML."""
    from e2brun.pipeline.loader import load

    try:
        pipeline = load(file, settings, variables)
    except E2brunError as error:
        return refuse(error, as_json=False)
    if toml:
        import tomli_w

        write_line(tomli_w.dumps(pipeline.tables, multiline_strings=True).rstrip())
    else:
        _draw(pipeline)
    return 0


def _draw(pipeline: Pipeline) -> None:
    from rich.console import Console
    from rich.text import Text
    from rich.tree import Tree

    from e2brun.pipeline.compiler import outline
    from e2brun.settings import load_settings

    plain = not load_settings().colors(1)
    console = Console(file=sys.stdout, no_color=plain, highlight=False, markup=False)
    table = pipeline.document.pipeline
    title = one_line(table.name) + (f": {one_line(table.description)}" if table.description else "")
    tree = Tree(Text(title, style="bold"))
    for stage, lines in outline(pipeline.document).items():
        branch = tree.add(Text(stage, style="cyan"))
        for line in lines:
            branch.add(Text(one_line(line)))
    cases = tree.add(Text(f"cases: {len(pipeline.cases)}", style="cyan"))
    for case in pipeline.cases[:_SHOWN_CASES]:
        cases.add(Text(one_line(case.id)))
    if len(pipeline.cases) > _SHOWN_CASES:
        cases.add(Text(f"and {len(pipeline.cases) - _SHOWN_CASES} more", style="dim"))
    console.print(tree, soft_wrap=True)


def write_template(template: str, output: Path | None) -> int:
    """Write it; what is there is not overwritten. Raises UsageError, E2brunError."""
    from e2brun.values import suggestion

    directory = Path(__file__).parents[1] / "pipeline" / "templates"
    known = {path.stem: path for path in sorted(directory.glob("*.toml"))}
    if template not in known:
        raise UsageError(f"there is no template {template!r}{suggestion(template, known)}")
    target = output or Path(f"{template}.toml")
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(known[template].read_text(encoding="utf-8"))
    except FileExistsError as error:
        raise UsageError(f"{target} is there already and is not overwritten") from error
    except OSError as error:
        raise E2brunError(f"{target}: {error.strerror}") from error
    notice(f"wrote {target}; run it with: e2brun pipeline run {target}")
    return 0


def print_schema() -> int:
    """On stdout, for a file."""
    import json

    from e2brun.pipeline.json_schema import json_schema

    write_line(json.dumps(json_schema(), indent=2))
    return 0


def list_pipelines(directory: Path) -> int:
    """Those in `directory` and in `pipelines/` below it."""
    from e2brun.runs.store import looked_up
    from e2brun.settings import load_settings

    if not directory.is_dir():
        raise UsageError(f"{directory}: no such directory")
    settings = load_settings()
    runs = looked_up(settings.store, lambda store: store.runs("pipeline")) or []
    last = {run.record.file: run.counts for run in reversed(runs)}
    count = 0
    for file in (*sorted(directory.glob("*.toml")), *sorted(directory.glob("pipelines/*.toml"))):
        described = _described(file)
        if described is None:
            continue
        count += 1
        counts = last.get(str(file.absolute()))
        how = ", ".join(f"{n} {word}" for word, n in (counts or {}).items()) or "never run"
        write_line(f"{file}  {one_line(described)}  ({how})")
    if not count:
        notice(f"no pipelines in {directory}; write one with: e2brun pipeline init")
    return 0


def _described(file: Path) -> str | None:
    """Its name and description; None for a TOML that is no pipeline."""
    import tomllib

    try:
        table = tomllib.loads(file.read_text(encoding="utf-8")).get("pipeline")
    except (OSError, ValueError):
        return None
    if not is_table(table) or "name" not in table:
        return None
    words = [str(table["name"])]
    if table.get("description"):
        words.append(str(table["description"]))
    return ": ".join(words)
