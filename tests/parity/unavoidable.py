"""What E2B's protocol cannot tell, and what is compared of such a run all the same."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """Why two runs differ, and the keys of their documents in which they may; with a tilde what
    is seen beside the document."""

    reason: str
    keys: tuple[str, ...]


UNAVOIDABLE = {
    "memory": Entry(
        "E2B's kernel kills a process for want of memory, and envd says `signal: killed`",
        ("outcome", "exit_code", "signal", "error", "detail"),
    ),
    "special files": Entry(
        "envd gives FIFOs, sockets and devices no type, and its SDK leaves them out of a list",
        ("~stderr",),
    ),
    "root": Entry(
        "envd reads files as root, so that no mode keeps a file from being fetched",
        ("error", "success", "~code", "~stderr", "~files"),
    ),
}
