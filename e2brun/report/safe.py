"""Make what a sandbox says harmless to whoever displays it, and lose nothing that is visible.

A terminal obeys escape sequences, a reader obeys what bidirectional controls make of a line, and
what reads the log of a CI job obeys commands in it. The filters are incremental: any chunking of
the same bytes comes out the same.
"""

from __future__ import annotations

import codecs
import re
from functools import cache
from typing import TextIO

from e2brun.values import is_sequence, is_table, valid_unicode

INERT = "\u200b"
"""Zero width space: put inside a command, no reader of a log knows it any longer."""

_MARK = INERT.encode()
_CLEAN = bytes([*b"\t\n\r", *range(0x20, 0x7F)])
_ASCII = str.maketrans({"·": "-", "…": "..."})
_MAX_DEPTH = 64
_MAX_BITS = 4096


# ZWNJ and ZWJ (200C, 200D) stay: Persian, Indic scripts and emoji are spelled with them.
# Tag characters (E0000-E007F) do not: they smuggle whole invisible texts. Patterns are given to
# `re` where they are used, which keeps them compiled: most runs need none.
_HIDDEN = (
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e"
    "\u2060-\u206f\ufeff\ufff9-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e007f]"
)


def visible(text: str) -> str:
    """Show every control character but newline, tab and carriage return, and bidi controls."""
    return re.sub(_HIDDEN, _shown, text)


def _shown(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)  # Control Pictures: ESC is U+241B
    if code == 0x7F:
        return "\u2421"
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


class TerminalFilter:
    """Output made safe for a terminal: UTF-8, no control character but \\n, \\t and \\r. Holds back
    the first bytes of a character that is split over chunks, and nothing else."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._pending = False

    def feed(self, data: bytes) -> bytes:
        if not self._pending and not data.translate(None, _CLEAN):
            return data  # nearly all output there is; five times as fast as a regex
        text = self._decoder.decode(data)
        self._pending = bool(self._decoder.getstate()[0])
        return visible(text).encode()

    def finish(self) -> bytes:
        """What is left of a character that never came to its end."""
        self._pending = False
        return visible(self._decoder.decode(b"", final=True)).encode()


# What .NET's TrimStart takes for white space, and what decoding may drop: a byte order mark.
# Line ends are left out: after one, a new line is matched from its own start. No possessive group
# of it: in Python 3.11.0 to 3.11.4 those do not match all that they should (gh-106052).
_SPACE = (
    rb"[\t\v\f\x1c-\x20]+|\xc2[\x85\xa0]|\xe1(?:\x9a\x80|\xa0\x8e)|(?:\xe3\x80\x80)+"
    rb"|\xef\xbb\xbf|\xe2(?:\x80[\x80-\x8b\xa8\xa9\xaf]|\x81[\x9f\xa0])"
)


# What stands anywhere in a line, each with the byte that makes it a command.
_OPENINGS = (b"##[", b"##vso[", b"##teamcity[", b"section_start:0", b"section_end:0")
_LONGEST = max(map(len, _OPENINGS))


_ANYWHERE = rb"##(?i:vso|teamcity)?(?=\[)|section_(?:start|end):(?=[0-9])"
# The first of the first two colons of a line, with what stands before them.
_COLONS = rb"[\r\n][^:\r\n]*+:(?=:)"
# Of a line that is white space so far: a colon, or the first bytes of one more.
_OPEN_HEAD = rb"(?::|\xc2|\xe1[\x9a\xa0]?|\xe2[\x80\x81]?|\xe3\x80?|\xef\xbb?)?\Z"


def _first_in_line(match: re.Match[bytes]) -> bytes:
    found = match[0]
    return found + _MARK if _after_space(found, 1) == len(found) - 1 else found


def _after_space(text: bytes, start: int) -> int:
    """Where the white space ends that begins there."""
    match = re.compile(_SPACE).match
    while blank := match(text, start):
        start = blank.end()
    return start


@cache
def _begun() -> re.Pattern[bytes]:
    """The first bytes of an opening at the end of a text."""
    begun = {opening[:size] for opening in _OPENINGS for size in range(1, len(opening))}
    longest_first = sorted(begun, key=len, reverse=True)
    return re.compile(rb"(?i:" + b"|".join(map(re.escape, longest_first)) + rb")\Z")


class LogFilter:
    """Output in which no reader of a CI job's log finds a command; nothing is held back.

    GitHub's runner obeys `::name::` as the first thing of a line but white space, and `##[name]`
    anywhere (actions/runner, ActionCommand.cs); Azure's agent `##vso[area.event]` and
    `##[name]`, TeamCity `##teamcity[name]`, GitLab `section_start:TIME:name`. A zero width space
    goes between the colons, before the bracket or the time; whatever the reader makes of it
    (.NET may compare as if it were not there), what follows is no command's name.
    """

    def __init__(self) -> None:
        self._carry = b""  # a short text that stands for everything before: what matters of it

    def feed(self, data: bytes) -> bytes:
        if not data:
            return data
        # The runner decodes by a byte order mark: one of UTF-16 or 32 would hide all that follows.
        start = _MARK if not self._carry and data[0] in b"\x00\xfe\xff" else b""
        carry = self._carry or b"\n"
        text = carry + data
        self._carry = self._rest(text)
        if b"::" in text or b"##" in text or b"section_" in text:
            text = re.sub(_ANYWHERE, rb"\g<0>" + _MARK, text)
            text = re.sub(_COLONS, _first_in_line, text)
        return start + text[len(carry) :]

    @staticmethod
    def _rest(text: bytes) -> bytes:
        line = max(text.rfind(b"\n"), text.rfind(b"\r")) + 1
        if line and (head := re.compile(_OPEN_HEAD).match(text, _after_space(text, line))):
            return b"\n" + head[0]
        begun = _begun().search(text, max(len(text) - _LONGEST, 0))
        return b"x" + (begun[0] if begun is not None else b"")


def inert(text: str) -> str:
    """The text with nothing in it that a reader of a CI job's log would obey."""
    return LogFilter().feed(text.encode("utf-8", "backslashreplace")).decode()


def shown(text: str) -> str:
    """Text from the sandbox, fit to be shown among lines of our own: nothing in it is active."""
    return inert(visible(text))


def one_line(text: str, limit: int = 300) -> str:
    """A name or message from the sandbox, fit for a line of our own: one line, nothing active."""
    flat = re.sub(r"[\r\n\t]+", " ", text[: limit * 4]).strip()
    line = visible(flat.encode("utf-8", "backslashreplace").decode())
    if len(line) > limit or len(text) > limit * 4:
        line = f"{line[: limit - 1]}…"
    return inert(line)


def encodable(line: str, stream: TextIO) -> str:
    """It, or in ASCII where the stream cannot say it."""
    try:
        line.encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return line.translate(_ASCII).encode("ascii", "backslashreplace").decode()
    return line


def shortened(value: str, room: int) -> str:
    """At most `room` characters, and a word of how many there are more."""
    if len(value) <= room:
        return value
    return f"{value[:room]}\n… {len(value) - room} more characters"


def ascii_json(document: object) -> str:
    """One line of strict ASCII JSON that no command to a CI system can hide in."""
    import json

    line = json.dumps(json_safe(document), ensure_ascii=True, allow_nan=False)
    if "##" in line:  # which only occurs in strings: the value stays the same
        line = re.sub(r"(##(?i:vso|teamcity)?)\[", r"\1\\u005b", line)
    return line


def json_safe(value: object, depth: int = 0) -> object:
    """The value with all that strict JSON cannot say replaced; never raises. Not-finite numbers
    become null, lone surrogates U+FFFD, keys text, other objects their text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return valid_unicode(value)
    if isinstance(value, int):  # str() of a huge one raises
        return value if value.bit_length() <= _MAX_BITS else hex(value)
    if isinstance(value, float):
        return value if value - value == 0 else None
    return _json_safe_container(value, depth)


def _json_safe_container(value: object, depth: int) -> object:
    if depth >= _MAX_DEPTH:
        return "(nested too deeply)"
    if is_table(value):
        return {_key(key): json_safe(item, depth + 1) for key, item in value.items()}
    if is_sequence(value):
        return [json_safe(item, depth + 1) for item in value]
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode("utf-8", "replace")
    return valid_unicode(str(value))


def _key(key: object) -> str:
    if key is None or isinstance(key, bool):
        return {None: "null", True: "true", False: "false"}[key]
    return str(json_safe(key))
