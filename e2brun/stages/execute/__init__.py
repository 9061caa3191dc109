"""The candidate runs, in a sandbox.

In come a candidate and the settings of the step; out go evidence (what was printed, which files
came back, how it ended) and the record of it. `sandboxed` is the primitive that runs it.
"""

from typing import TYPE_CHECKING

from e2brun.stages.lazy import lazy

if TYPE_CHECKING:
    from e2brun.stages.execute.settings import ExecuteSettings, Retry
    from e2brun.stages.execute.stage import ExecuteStage

__all__ = [
    "ExecuteSettings",
    "ExecuteStage",
    "Retry",
]

__getattr__ = lazy(
    __name__,
    {
        "ExecuteSettings": "settings",
        "ExecuteStage": "stage",
        "Retry": "settings",
    },
)
