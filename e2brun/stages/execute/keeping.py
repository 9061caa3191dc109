"""A sandbox's run as JSON and back, so that a cache can keep it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from e2brun.primitives.base import Primitive
from e2brun.primitives.context import WorkflowContext
from e2brun.runs.plain import made, plain
from e2brun.runs.record import ExecutionRecord
from e2brun.sandbox.contract import Outcome
from e2brun.stages.execute.order import RunOrder
from e2brun.stages.execute.sandboxed import SandboxRun
from e2brun.stages.work import Collected, Probed

Kept = dict[str, Any]  # JSON values: what they are is known where they are read


@dataclass(frozen=True)
class Keeping(Primitive[RunOrder, Kept]):
    """The run of `primitive` as JSON. `success` says whether it is worth keeping."""

    primitive: Primitive[RunOrder, SandboxRun]

    async def execute(self, data: RunOrder, context: WorkflowContext) -> Kept:
        run = await self.primitive.execute(data, context)
        wanted = {Outcome.OK, Outcome.ERROR} if data.any_exit else {Outcome.OK}
        return {
            "success": run.record.outcome in wanted and not run.refused,
            "record": plain(run.record),
            "collected": {path: _collected(found) for path, found in run.collected.items()},
            "probed": {
                key: {**asdict(probed), "report": _collected(probed.report)}
                for key, probed in run.probed.items()
            },
        }


def restored(kept: Mapping[str, Any], fresh: bool) -> SandboxRun:
    probed: dict[str, Probed] = {
        key: replace(Probed(**entry), report=_found(entry["report"]))
        for key, entry in kept["probed"].items()
    }
    return SandboxRun(
        replace(made(ExecutionRecord, kept["record"]), cached=not fresh),
        {path: _found(entry) for path, entry in kept["collected"].items()},
        probed,
    )


def _collected(found: Collected) -> Kept:
    content = None if found.content is None else base64.b64encode(found.content).decode()
    return {**asdict(replace(found, content=None)), "content": content}


def _found(entry: Kept) -> Collected:
    content = entry["content"]
    given: Kept = {**entry, "content": None if content is None else base64.b64decode(content)}
    return Collected(**given)
