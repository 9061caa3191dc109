"""A file worker in hostile hands says what it wants; the host keeps so much of it, and no more."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest

from e2brun.sandbox.local.host.file_worker import FileTrouble, WorkerGone, _Worker

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("waited_for", [True, False])
async def test_an_answer_without_end_is_given_up(waited_for: bool) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.setblocking(False)
    worker = _Worker(ours, lambda: None)
    call = await worker.begin("list", [], {})
    answer = asyncio.ensure_future(call.answer(60)) if waited_for else None
    message = json.dumps([1, 0, [[[] for _ in range(10_000)]], True]).encode()
    lists = 0
    while not (worker.closed or (answer is not None and answer.done())):
        try:
            theirs.send(message)
            lists += 10_000
        except BlockingIOError:
            pass
        except OSError:
            break
        await asyncio.sleep(0)
    assert lists < 6_000_000
    with pytest.raises((FileTrouble, WorkerGone)):
        await (answer or call.answer(60))
    worker.close()
    theirs.close()
