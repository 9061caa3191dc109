"""The prompt of a later attempt: what was asked, and what was wrong with every earlier answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from e2brun.runs.record import AttemptRecord, ExecutionRecord, StepRecord, Verdict
from e2brun.stages.generate.fences import fence_for

_LOG_SHARE = 8  # logs get an eighth of an attempt's room, code the rest
_LEAST = 200  # characters of a part that is kept at all


def refined(prompt: str, earlier: Sequence[AttemptRecord], limit: int) -> str:
    """The prompt with every earlier attempt: its code, what was found, its output.

    At most about `limit` characters beside the prompt itself: each attempt has the same share,
    and of a part that is too long the beginning and the end stay. It holds no times and no ids,
    so that the same failures make the same prompt.
    """
    if not earlier:
        return prompt
    share = max(limit // len(earlier), 5 * _LEAST)
    parts = [prompt.rstrip(), ""]
    for attempt in earlier:
        parts += _attempt(attempt, share)
    parts.append(
        "Write the whole program again, with what was wrong corrected. "
        "Answer with one block of Python code and nothing else."
    )
    return "\n".join(parts) + "\n"


def _attempt(attempt: AttemptRecord, share: int) -> Iterator[str]:
    log = share // _LOG_SHARE
    yield f"## Attempt {attempt.number} did not pass. Its code was:"
    yield _fenced(attempt.code or "(no code)", share - 4 * log, "python")
    for step in attempt.steps:
        if step.verdict is Verdict.FAILED:
            yield from _failure(step, log)
    ran = next((s.execution for s in reversed(attempt.steps) if s.execution is not None), None)
    if ran is not None:
        yield from _logs(ran, log)
    yield ""


def _failure(step: StepRecord, room: int) -> Iterator[str]:
    yield f"It failed at {step.stage} ({step.step}): {shortened(step.message, room)}"
    if step.details and step.details.strip() != step.message.strip():
        yield _fenced(step.details, room)


def _logs(ran: ExecutionRecord, room: int) -> Iterator[str]:
    for name, text in (("stdout", ran.stdout), ("stderr", ran.stderr)):
        if text.strip() and text.strip() != ran.traceback.strip():
            yield f"Its {name} was:"
            yield _fenced(text, room)


def _fenced(text: str, room: int, language: str = "") -> str:
    text = shortened(text.rstrip("\n"), room)
    fence = fence_for(text)
    return f"{fence}{language}\n{text}\n{fence}"


def shortened(text: str, room: int) -> str:
    """The beginning and the end of a text that is longer than `room` characters."""
    room = max(room, _LEAST)
    if len(text) <= room:
        return text
    head = room // 2
    return f"{text[:head]}\n[... {len(text) - room} characters left out ...]\n{text[head - room :]}"
