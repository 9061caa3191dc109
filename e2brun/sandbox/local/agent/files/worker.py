"""The file worker: one request after the other, what takes long in a child of its own.

Requests are marshalled dictionaries from the host, with descriptors attached. An answer is one
or more messages `[number, errno, value, more]` in JSON, a newline, and perhaps raw bytes.
"""

from __future__ import annotations

import _socket
import errno
import marshal
import os
from _json import encode_basestring_ascii as quote

from ..descriptors import hand_over, received
from . import changes, entries, owned, transfers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    Request = dict[str, Any]

MESSAGE_LIMIT = 160 * 1024  # below the kernel's default socket buffer
_PAGE = 64 * 1024  # of an answer in several messages

# Each returns its answer as JSON text.
_QUICK: dict[str, Callable[[Request], str]] = {
    "stat": entries.stat,
    "stats": entries.stats,
    "write": transfers.write,
    "mkdir": changes.mkdir,
    "rename": changes.rename,
    "facts": owned.facts,
    "own": owned.own,
    "make": owned.make,
}
_SLOW = {
    "receive": transfers.receive,
    "pour": transfers.pour,
    "move": changes.move,
    "remove": changes.remove,
    "empty": changes.empty,
    "usage": owned.usage,
}
_PAGED = {"list": entries.listing, "entries": owned.listing}


def serve(descriptor: int, first_files: dict[str, bytes] | None = None) -> None:
    """Obey until the host closes its end. `first_files`: see `trees.save`."""
    channel = _socket.socket(fileno=descriptor)
    while True:
        message, descriptors = received(channel, MESSAGE_LIMIT, 4)
        if not message:
            return
        try:
            request = {**marshal.loads(message), "first_files": first_files or {}}
            _Answer(channel, request, descriptors).give()
        finally:
            for number in descriptors:
                os.close(number)


class _Answer:
    """One request and the way back."""

    def __init__(self, channel: _socket.socket, request: Request, descriptors: list[int]) -> None:
        self._channel, self._request, self._descriptors = channel, request, descriptors
        self._child = False

    def give(self) -> None:
        """Do what is asked and say how it went; in a child that ends with it if need be."""
        try:
            self._do(self._request["do"])
        except OSError as error:
            self._fail(error.errno or 0, error.strerror or str(error))
        except Exception as error:
            self._fail(errno.EINVAL, f"{type(error).__name__}: {error}")
        finally:
            if self._child:
                os._exit(0)

    def _do(self, name: str) -> None:
        if name in _QUICK:
            self._send(_QUICK[name](self._request))
        elif name == "peek":
            self._send(*transfers.peek(self._request))
        elif name in _PAGED:
            self._pages(_PAGED[name](self._request))
        elif name not in _SLOW:
            self._special(name)
        elif self._apart():
            self._send(_SLOW[name](self._request, self._descriptors))

    def _special(self, name: str) -> None:
        """What is asked for so rarely that its module is read only then."""
        if name == "watch":
            from . import watching

            inotify = self._descriptors[0] if self._descriptors else watching.instance()
            try:
                rights = [] if self._descriptors else [inotify]
                self._pages(watching.watch(self._request, inotify), rights)
            finally:
                if not self._descriptors:
                    os.close(inotify)
            return
        from . import trees

        operations: dict[str, Callable[[Request, int], str]] = {
            "save": trees.save,
            "restore": trees.restore,
            "unpack": trees.unpack,
        }
        if self._apart():
            self._send(operations[name](self._request, self._descriptors[0]))

    def _apart(self) -> bool:
        """Let a child go on, or where no process can be had, ourselves: True for who does."""
        try:
            pid = os.fork()
        except OSError:
            return True
        self._child = pid == 0
        return self._child

    def _pages(self, values: Iterator[str], rights: list[int] | None = None) -> None:
        """Send them in messages of bounded size: one here, more than that from a child."""
        page: list[str] = []
        size, first = 0, True
        for value in values:
            page.append(value)
            size += len(value) + 1
            if size < _PAGE:
                continue
            if first and not self._apart():
                return
            first = False
            self._send("[" + ",".join(page) + "]", more=True)
            page, size = [], 0
        self._send("[" + ",".join(page) + "]", rights=rights)

    def _send(
        self,
        value: str,
        payload: bytes = b"",
        *,
        more: bool = False,
        rights: list[int] | None = None,
    ) -> None:
        head = f"[{self._request['id']},0,{value},{'true' if more else 'false'}]\n".encode("ascii")
        self._emit([head, payload], rights or [])

    def _fail(self, number: int, text: str) -> None:
        head = f"[{self._request['id']},{number or errno.EIO},{quote(text[:2000])},false]\n"
        self._emit([head.encode("ascii")], [])

    def _emit(self, parts: list[bytes], rights: list[int]) -> None:
        try:
            hand_over(self._channel, parts, rights)
        except OSError:
            os._exit(0)  # nobody is left to tell
