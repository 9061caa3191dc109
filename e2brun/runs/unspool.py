"""The lines that `exec` left beside the store become runs in it."""

from __future__ import annotations

import ast
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import closing, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from e2brun.errors import StoreUnusable
from e2brun.runs.origin import Origin, StoredRun
from e2brun.runs.record import (
    AttemptRecord,
    CaseRecord,
    ExecutionRecord,
    RunRecord,
    StepRecord,
    Verdict,
)
from e2brun.runs.spool import files_of, lock, spool_of
from e2brun.runs.store import Store

_INFRASTRUCTURE = frozenset({"infrastructure", "lost"})


def unspool(store: Store) -> None:
    """Take in every line. Lines that nobody can read are passed over. Raises StoreUnusable.

    The file is taken away first, so that no writer waits. Killed in between, or done by two at
    once, the same lines are taken in again: that changes nothing.
    """
    spool = spool_of(store.path)
    _take_away(spool)
    for file in sorted(spool.parent.glob(f"{spool.name}.*")):
        with store.together():
            done = [entry["run"] for entry in _entries(file) if _take(store, entry)]
        file.unlink(missing_ok=True)
        for run_id in done:  # compressed copies are in the store now
            for name in ("source", "stdout", "stderr"):
                (files_of(store.path, run_id) / name).unlink(missing_ok=True)


def unspool_if_possible(path: Path) -> None:
    """The same for the store in `path`, by one who has other things to do."""
    with suppress(StoreUnusable), closing(Store(path)) as store:
        unspool(store)


def _take_away(spool: Path) -> None:
    try:
        descriptor = os.open(spool, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return  # there is none
    try:
        lock(descriptor, fcntl.LOCK_EX)  # nobody is in the middle of a line
        with suppress(FileNotFoundError):  # another was quicker
            spool.rename(f"{spool}.{os.urandom(6).hex()}")
    except TimeoutError:
        return  # next time
    finally:
        os.close(descriptor)


def _entries(file: Path) -> Iterator[dict[str, Any]]:
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return  # another has taken it in
    with open(descriptor, "rb") as lines:
        for line in lines:
            try:
                entry = ast.literal_eval(line.decode("ascii").strip())
                if isinstance(entry, dict) and isinstance(entry["run"], str):
                    yield entry
            except (KeyError, MemoryError, RecursionError, SyntaxError, TypeError, ValueError):
                continue  # half a line of one that was killed, or none of ours


def _take(store: Store, entry: dict[str, Any]) -> bool:
    """Whether it was the end of a run."""
    run_id: str = entry["run"]
    try:
        if "started" in entry:
            name, code = entry["name"], _bytes(store, run_id, "source", entry)
            run = RunRecord(run_id, name, entry["file"], entry["backend"], entry["started"])
            origin = Origin(
                "exec", tuple(entry["command"]), entry["directory"], sha256(code).hexdigest()
            )
            store.begin(run, origin, version=entry["version"], owner=entry["owner"])
            return False
        stored = store.run(run_id)
        if stored is None or stored.record.finished is not None:  # removed, or taken in before
            return stored is not None
        store.keep(run_id, _case(store, stored, entry))
        store.finish(run_id, entry["code"], at=entry["finished"])
    except (KeyError, TypeError, ValueError):
        return False
    return True


def _case(store: Store, stored: StoredRun, entry: dict[str, Any]) -> CaseRecord:
    run_id = stored.record.id
    outcome: str = entry["outcome"]
    error: dict[str, Any] = entry["error"] or {}
    said = ": ".join(filter(None, (error.get("name"), error.get("value"))))
    execution = ExecutionRecord(
        entry["sandbox"],
        stored.record.backend,
        outcome,
        entry["exit_code"],
        _text(_bytes(store, run_id, "stdout", entry)),
        _text(_bytes(store, run_id, "stderr", entry)),
        entry["execution_time"],
        said or None,
        error.get("traceback", ""),
        error.get("hint"),
        tuple(json.loads(entry["results"])),
        entry["truncated"],
        peak_memory=entry["peak_memory"],
    )
    verdict = _verdict(outcome)
    seconds = entry["finished"] - stored.record.started
    message = "" if verdict is Verdict.PASSED else said or entry["detail"] or outcome
    step = StepRecord(
        "execute", entry["how"], verdict, seconds, message.splitlines()[0] if message else "",
        entry["detail"], execution=execution,
    )  # fmt: skip
    code = _text(_bytes(store, run_id, "source", entry))
    attempt = AttemptRecord(1, code, (step,))
    name = stored.record.pipeline
    return CaseRecord(name, stored.record.file, {}, (attempt,), seconds, stored.record.started)


def _verdict(outcome: str) -> Verdict:
    if outcome in _INFRASTRUCTURE:
        return Verdict.INFRASTRUCTURE
    return Verdict.PASSED if outcome == "ok" else Verdict.FAILED


def _bytes(store: Store, run_id: str, name: str, entry: dict[str, Any]) -> bytes:
    """What the line has of it, or its file has."""
    inline: bytes | None = entry.get(name)
    path: Path = files_of(store.path, run_id) / name
    try:
        return path.read_bytes() if inline is None else inline
    except OSError:
        return b""


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
