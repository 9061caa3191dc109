"""Blocking work beside the event loop, ended when whoever waits for it is cancelled.

Not asyncio.to_thread: its pool has six threads on two cores, where sixty sandboxes in the cloud
may be waited for; and Python waits for a pool's threads when it exits.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


async def in_thread(
    work: Callable[[], T], *, stop: Callable[[], None] = lambda: None, grace: float = 2.0
) -> T:
    """What `work` returns or raises, in a thread of its own.

    When we are cancelled, `stop` is called in another thread so that `work` ends soon, which is
    waited for, `grace` seconds at most.
    """
    ended = _start(work)
    try:
        await asyncio.wait({ended})
    except asyncio.CancelledError:
        stopped = _start(stop)
        await _settled({ended, stopped}, grace)
        raise
    return ended.result()


def _start(work: Callable[[], T]) -> asyncio.Future[T]:
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        try:
            result = work()
        except StopIteration:  # no future takes it, and whoever waits would wait for ever
            tell(lambda: ended.set_exception(RuntimeError("the work raised StopIteration")))
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            tell(lambda error=error: ended.set_exception(error))  # type: ignore[misc]
        else:
            tell(lambda: ended.set_result(result))

    def tell(news: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(news)

    # A failure nobody came for, after a cancellation, is nobody's concern.
    ended.add_done_callback(lambda future: future.exception())
    copied = contextvars.copy_context()
    threading.Thread(target=copied.run, args=(run,), daemon=True, name="e2brun-step").start()
    return ended


async def _settled(futures: Collection[asyncio.Future[Any]], seconds: float) -> None:
    """Wait for them all, though we are cancelled again, so long at most."""
    clock = asyncio.get_running_loop().time
    end = clock() + seconds
    while not all(future.done() for future in futures) and (left := end - clock()) > 0:
        with suppress(asyncio.CancelledError):
            await asyncio.wait(futures, timeout=left)
