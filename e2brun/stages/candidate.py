"""What is known of a candidate before anything runs: its bytes, and what kind of program it is."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from e2brun.errors import UsageError
from e2brun.jobs.source import Kind, Source, kind_of
from e2brun.stages.work import Work

MAIN = "main.py"


def content(work: Work) -> bytes:
    """The candidate as it was read. Raises UsageError: nothing made one."""
    if work.code is None:
        raise UsageError("there is no candidate: the pipeline has no [generate]")
    return work.code.encode("utf-8", "surrogateescape")


def source(work: Work, name: str = MAIN) -> Source:
    """The candidate as something to run; code that is in no file is called `name`.

    Raises SourceUnfit for a file of no known kind.
    """
    data = content(work)
    path = Path(PurePosixPath(work.file).name or name)
    directory = None if work.case.file is None else work.case.file.parent
    return Source(work.file or name, data, kind_of(path, data), path, directory)


def is_python(work: Work) -> bool:
    try:
        return source(work).kind is Kind.PYTHON
    except UsageError:  # of no known kind
        return False
