"""Text and elements of HTML. Nothing that is put in becomes markup."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from e2brun.report.safe import visible


def text(value: str) -> str:
    """As it is to be read: control and bidirectional characters are shown, markup is text."""
    return escape(visible(value).encode("utf-8", "replace").decode())


def element(name: str, content: str, attributes: Mapping[str, str] | None = None) -> str:
    given = "".join(f' {key}="{text(value)}"' for key, value in (attributes or {}).items())
    return f"<{name}{given}>{text(content)}</{name}>"
