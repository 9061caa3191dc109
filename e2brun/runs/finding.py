"""Which run is meant: an id, the beginning of one, or `@last`, `@last~1` for the one before."""

from __future__ import annotations

from e2brun.errors import UsageError
from e2brun.runs.origin import Kind, StoredRun
from e2brun.runs.store import Store

_LAST = "@last"
_SHOWN = 5


def find(store: Store, text: str, kind: Kind | None = None) -> StoredRun:
    """The run, among those of a kind. Raises UsageError: there is none, or there are several."""
    if text.startswith(_LAST):
        return _last(store, text, kind)
    ids = store.ids(text, _SHOWN + 1, kind) if text else []
    exact = store.run(text)
    if exact is not None and kind not in {None, exact.origin.kind}:
        exact = None
    if exact is None and len(ids) == 1:
        exact = store.run(ids[0])
    if exact is not None:
        return exact
    if not ids:
        raise UsageError(f"{text}: there is no such run", hint="See `e2brun runs list`.")
    more = ", ..." if len(ids) > _SHOWN else ""
    raise UsageError(f"{text} may be any of {', '.join(ids[:_SHOWN])}{more}: write more of it")


def _last(store: Store, text: str, kind: Kind | None) -> StoredRun:
    back = text.removeprefix(_LAST).removeprefix("~") or "0"
    if text not in {_LAST, f"{_LAST}~{back}"} or not (back.isascii() and back.isdecimal()):
        raise UsageError(f"{text}: write {_LAST}, or {_LAST}~1 for the one before it")
    runs = store.runs(kind, limit=int(back) + 1)
    if len(runs) <= int(back):
        raise UsageError(f"{text}: only {len(runs)} runs are kept", hint="See `e2brun runs list`.")
    return runs[-1]
