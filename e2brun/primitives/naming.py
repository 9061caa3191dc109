"""What a mistyped name was probably meant to be."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` is nearly."""
    import difflib

    near = difflib.get_close_matches(name, sorted(known), n=1)
    return near[0] if near else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`did you mean code?`, or all the names there are."""
    near = nearest(name, known := sorted(known))
    return f"did you mean {near!r}?" if near else f"known are {', '.join(known)}"
