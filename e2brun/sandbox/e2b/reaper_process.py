"""Kill the sandboxes of a process that is gone: a script of its own, standard library only.

It is started by `reaper.py` in its own session, reads its orders from its standard input, and
ends within `LAST` seconds of that input's end, whatever happens. The first two lines are the url
and the key; then one order a line:

    creating TOKEN     a sandbox with the metadata e2brun_create=TOKEN may come into being
    nothing TOKEN      it certainly did not
    lost TOKEN         nobody will hear of it: look for it, and end it
    own ID TOKEN       it did, and this is its id
    kill ID            end it now
    release ID         it may outlive us, or has ended

Most reapers have nothing to ask, as their owner ends its sandboxes itself: what it takes to ask is
imported by who does, and `signal` would import enum.
"""

from __future__ import annotations

import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    import threading
    from collections.abc import Callable, Iterable
else:
    import _signal

LAST = 28  # seconds between the end of the orders and ours
SEARCH = 12.0  # seconds for which a sandbox that was being created may still turn up
PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
WAITED_FOR = frozenset({408, 425, 429, 500, 502, 503, 504})


class Hopeless(Exception):
    """The key is not accepted: asking again changes nothing."""


class Api:
    """The two calls of E2B's control plane that a reaper needs."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url.rstrip("/")
        self._key = key

    def _ask(self, method: str, path: str) -> tuple[int, bytes]:
        import http.client
        import urllib.error
        import urllib.request

        request = urllib.request.Request(  # noqa: S310 - the scheme is the user's own setting
            self._url + path, method=method, headers={"X-API-KEY": self._key}
        )
        try:
            with urllib.request.urlopen(request, timeout=8) as answer:  # noqa: S310 - as above
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                if error.code in {401, 403}:
                    raise Hopeless from None
                return error.code, b""
        except (OSError, http.client.HTTPException, ValueError):
            return 0, b""

    def kill(self, sandbox: str) -> bool:
        """True once it is certainly gone."""
        import urllib.parse

        status, _ = self._ask("DELETE", f"/sandboxes/{urllib.parse.quote(sandbox, safe='')}")
        return status not in WAITED_FOR and status != 0

    def find(self, token: str) -> list[str]:
        """The ids of the sandboxes created with this token."""
        import json
        import urllib.parse

        # E2B unquotes this filter three times: as a query, as a form, and each of its parts.
        pair = urllib.parse.urlencode({"e2brun_create": urllib.parse.quote(token)})
        query = urllib.parse.urlencode({"metadata": pair})
        status, body = self._ask("GET", f"/v2/sandboxes?{query}")
        if status != 200:
            return []
        try:
            found = json.loads(body)
            return [str(one["sandboxID"]) for one in found]
        except (ValueError, TypeError, KeyError):
            return []


class ReaperProcess:
    """Follows the orders, and after the last one ends what is still owned."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._owned: set[str] = set()
        self._expected: set[str] = set()
        self._killing: dict[str, threading.Thread] = {}

    def obey(self, line: str) -> None:
        match line.split():
            case ["creating", token]:
                self._expected.add(token)
            case ["nothing", token]:
                self._expected.discard(token)
            case ["lost", token]:
                _in_thread(self._search, token)
            case ["own", sandbox, token]:
                self._expected.discard(token)
                self._owned.add(sandbox)
            case ["release", sandbox]:
                self._owned.discard(sandbox)
            case ["kill", sandbox]:
                self._kill(sandbox)
            case _:
                pass

    def finish(self, deadline: float) -> None:
        """End what is owned, and what was still being created when the orders ended."""
        for sandbox in list(self._owned):
            self._kill(sandbox)
        until = min(time.monotonic() + SEARCH, deadline)
        while self._expected and time.monotonic() < until:
            for token in list(self._expected):
                self._look_for(token)
            if self._expected:
                time.sleep(0.5)
        for thread in list(self._killing.values()):
            thread.join(max(0.0, deadline - time.monotonic()))

    def _search(self, token: str) -> None:
        """What does not turn up now is looked for once more at the end."""
        for pause in PAUSES[:4]:
            self._look_for(token)
            if token not in self._expected:
                return
            time.sleep(pause)

    def _look_for(self, token: str) -> None:
        try:
            found = self._api.find(token)
        except Hopeless:
            self._expected.clear()
            return
        for sandbox in found:
            self._expected.discard(token)
            self._kill(sandbox)

    def _kill(self, sandbox: str) -> None:
        self._owned.discard(sandbox)
        if sandbox not in self._killing:
            self._killing[sandbox] = _in_thread(self._end, sandbox)

    def _end(self, sandbox: str) -> None:
        for pause in (*PAUSES, 0.0):
            try:
                if self._api.kill(sandbox):
                    return
            except Hopeless:
                return
            time.sleep(pause)


def _in_thread(target: Callable[[str], None], about: str) -> threading.Thread:
    import threading

    thread = threading.Thread(target=target, args=(about,), daemon=True)
    thread.start()
    return thread


def main(orders: Iterable[str]) -> None:
    for number in (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP, _signal.SIGPIPE):
        _signal.signal(number, _signal.SIG_IGN)
    lines = iter(orders)
    url, key = next(lines, ""), next(lines, "")
    if not key.endswith("\n"):
        return  # our owner ended before it had anything to own
    reaper = ReaperProcess(Api(url.strip(), key.strip()))
    for line in lines:
        reaper.obey(line)
    # Whatever hangs below, a name lookup for one, has no right to keep a process alive: it dies.
    _signal.signal(_signal.SIGALRM, _signal.SIG_DFL)
    _signal.alarm(LAST)
    reaper.finish(time.monotonic() + LAST)


if __name__ == "__main__":
    main(sys.stdin)
