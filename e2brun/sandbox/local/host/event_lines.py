"""The events of one execution as lines of JSON (E2B_PROTOCOL 6.2), in ASCII: the clients split
lines by Unicode's rules and decode pieces without state."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from e2brun.sandbox.contract import Result

KEEPALIVE: bytes = b'{"type":"keepalive"}\n'
END: bytes = b'{"type":"end_of_execution"}\n'


def _line(event: dict[str, object]) -> bytes:
    return json.dumps(event, separators=(",", ":")).encode("ascii") + b"\n"


def count(number: int) -> bytes:
    """The cell was taken."""
    return b'{"type":"number_of_executions","execution_count":%d}\n' % number


def output(stream: str, text: str) -> bytes:
    """Something was printed; `stream` is stdout or stderr."""
    return _line({"type": stream, "text": text, "timestamp": datetime.now(UTC).isoformat()})


def result(shown: Result) -> bytes:
    return _line({"type": "result", "is_main_result": False, "extra": {}, **shown})


def error(name: str, value: str, traceback: str) -> bytes:
    """The cell failed; at most one of a cell."""
    return _line({"type": "error", "name": name, "value": value, "traceback": traceback})
