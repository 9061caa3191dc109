"""What is asked of a candidate that ran: its exit, its output, its files, its values, tests of its.

In come the evidence of a run and what is expected; out go findings, each in one line. Nothing of
the candidate runs here but its tests, and those in a sandbox of their own.
"""

from typing import TYPE_CHECKING

from e2brun.stages.lazy import lazy

if TYPE_CHECKING:
    from e2brun.stages.check.exits import Completed, ExitCode, NoStderr
    from e2brun.stages.check.files import FileCheck
    from e2brun.stages.check.json_text import JsonCheck
    from e2brun.stages.check.limits import MaxMemory, MaxTime
    from e2brun.stages.check.numbers import NumbersCheck
    from e2brun.stages.check.results import ResultsCheck
    from e2brun.stages.check.tests import TestsCheck
    from e2brun.stages.check.text import TextCheck

__all__ = [
    "Completed",
    "ExitCode",
    "FileCheck",
    "JsonCheck",
    "MaxMemory",
    "MaxTime",
    "NoStderr",
    "NumbersCheck",
    "ResultsCheck",
    "TestsCheck",
    "TextCheck",
]

__getattr__ = lazy(
    __name__,
    {
        "Completed": "exits",
        "ExitCode": "exits",
        "FileCheck": "files",
        "JsonCheck": "json_text",
        "MaxMemory": "limits",
        "MaxTime": "limits",
        "NoStderr": "exits",
        "NumbersCheck": "numbers",
        "ResultsCheck": "results",
        "TestsCheck": "tests",
        "TextCheck": "text",
    },
)
