"""`--report`: which kind goes where, and writing it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from e2brun.errors import E2brunError, UsageError
from e2brun.runs.record import RunRecord

_BY_EXTENSION = {
    ".json": "json",
    ".xml": "junit",
    ".sarif": "sarif",
    ".md": "markdown",
    ".html": "html",
}
KINDS = ("json", "junit", "sarif", "github", "markdown", "html")


@dataclass(frozen=True, slots=True)
class Report:
    """One report to write."""

    kind: str
    file: Path


def parse_report(text: str) -> Report:
    """`FILE`, by its extension, or `kind:FILE`. Raises UsageError."""
    kind, colon, name = text.partition(":")
    if colon and kind in KINDS:
        if not name:
            raise UsageError(f"--report {text}: there is no file after the colon")
        return Report(kind, Path(name))
    file = Path(text)
    found = "sarif" if text.endswith(".sarif.json") else _BY_EXTENSION.get(file.suffix.lower())
    if found is None:
        raise UsageError(
            f"--report {text}: no kind of report is known by that name; end it in "
            f"{' '.join(_BY_EXTENSION)}, or write KIND:FILE with one of {', '.join(KINDS)}"
        )
    return Report(found, file)


def write_report(report: Report, record: RunRecord, exit_code: int) -> None:
    """Write it whole. Raises E2brunError naming the file."""
    text = _text(report.kind, record, exit_code)
    with E2brunError.of_system(f"--report {report.file}: it cannot be written"):
        report.file.write_bytes(text.encode("utf-8", "replace"))


def append_summary(file: Path, record: RunRecord) -> None:
    """Add to GitHub's step summary. Raises E2brunError."""
    from e2brun.report.markdown import markdown

    with E2brunError.of_system(f"GITHUB_STEP_SUMMARY {file}"), file.open("ab") as summary:
        summary.write(markdown(record).encode("utf-8", "replace"))


def _text(kind: str, record: RunRecord, exit_code: int) -> str:
    """Each imports its own parts."""
    match kind:
        case "json":
            from e2brun.report.run_json import run_document
            from e2brun.report.safe import ascii_json

            return ascii_json(run_document(record, exit_code)) + "\n"
        case "junit":
            from e2brun.report.junit import junit_xml

            return junit_xml(record)
        case "sarif":
            import json

            from e2brun.report.sarif import sarif_document

            return json.dumps(sarif_document(record), indent=1, allow_nan=False) + "\n"
        case "github":
            from e2brun.report.github import workflow_commands

            return "".join(f"{line}\n" for line in workflow_commands(record))
        case "markdown":
            from e2brun.report.markdown import markdown

            return markdown(record)
        case _:
            from e2brun.report.html.page import page

            return "".join(page(record, exit_code, lambda: record.cases))
