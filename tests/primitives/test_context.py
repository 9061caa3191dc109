from __future__ import annotations

import dataclasses

import pytest

from e2brun import WorkflowContext, create_test_context
from tests.primitives.steps import Adds, Recorder


def test_ids_are_there_by_default_and_never_the_same() -> None:
    one, other = WorkflowContext(), WorkflowContext()
    assert len({one.correlation_id, other.correlation_id, one.workflow_id, other.workflow_id}) == 4


def test_a_child_shares_the_state_and_adds_to_the_metadata() -> None:
    parent = WorkflowContext("c", "w", metadata={"a": 1})
    child = parent.child(metadata={"b": 2})
    child.state["seen"] = True
    assert parent.state == {"seen": True}
    assert (child.correlation_id, child.workflow_id) == ("c", "w")
    assert (dict(parent.metadata), dict(child.metadata)) == ({"a": 1}, {"a": 1, "b": 2})


def test_a_child_may_have_ids_of_its_own() -> None:
    child = WorkflowContext("c", "w").child(correlation_id="c-1", workflow_id="w-1")
    assert (child.span.correlation_id, child.span.workflow_id) == ("c-1", "w-1")


def test_a_context_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        WorkflowContext().correlation_id = "x"  # type: ignore[misc]


@pytest.mark.anyio
async def test_a_child_within_a_step_stays_below_that_step() -> None:
    recorder = Recorder()
    inside = create_test_context(recorder).enter(None, "outer")
    await Adds(1).execute(1, inside.child(metadata={"n": 1}))
    assert recorder.events[0].parent_span_id == inside.span.span_id
