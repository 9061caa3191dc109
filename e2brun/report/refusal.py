"""What `--json` says of a pipeline that was not run."""

from __future__ import annotations

from collections.abc import Sequence

from e2brun.errors import E2brunError
from e2brun.runs.record import Verdict

SCHEMA = 1


def refusal_document(error: E2brunError, problems: Sequence[tuple[str, str]]) -> dict[str, object]:
    """The keys of a run's document; `problems` are (place, message) in the pipeline's file."""
    listed = [{"where": where, "message": message} for where, message in problems]
    return {
        "schema": SCHEMA,
        "id": None,
        "pipeline": None,
        "file": None,
        "backend": None,
        "started": None,
        "finished": None,
        "cases": [],
        "notes": [],
        "counts": {verdict.value: 0 for verdict in Verdict},
        "success": False,
        "exit_code": error.exit_code,
        "error": {
            "name": type(error).__name__,
            "value": str(error),
            "hint": error.hint or None,
            "problems": listed,
        },
    }
