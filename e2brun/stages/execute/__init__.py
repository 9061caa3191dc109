"""The candidate runs, in a sandbox."""

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
