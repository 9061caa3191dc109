"""What a terminal is not to be told by a shell in a sandbox.

A full-screen program needs escape sequences, so a PTY's output cannot be made plain. But the
sequences that carry a string - OSC, DCS, APC, PM, SOS - set the clipboard and the title, or make
the terminal answer with what it was told: none of them gets through.
"""

from __future__ import annotations

_ESC, _BEL, _CAN, _SUB, _C1 = 0x1B, 0x07, 0x18, 0x1A, 0xC2
_STRINGS = b"]PX^_"  # after ESC
_C1_STRINGS = b"\x90\x98\x9d\x9e\x9f"  # the same as one character, U+0090 and so on
_ST, _C1_ST = 0x5C, 0x9C

RESET = (
    b"\x1b[?1047l\x1b[?25h\x1b[?2004l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1l\x1b>"
    b"\x1b(B\x1b[0m"
)
"""Ends what a program that was cut off may have begun: the other screen, a hidden cursor, mouse
reports, colours."""


class StringFilter:
    """Output without such strings. Holds back at most one byte: the start of a sequence."""

    def __init__(self) -> None:
        self._inside = False  # a string
        self._held = 0  # ESC or 0xC2, of which the next byte decides

    def feed(self, data: bytes) -> bytes:
        if not self._inside and not self._held and _ESC not in data and _C1 not in data:
            return data
        kept = bytearray()
        for byte in data:
            if self._held:
                self._decide(byte, kept)
            elif byte in {_ESC, _C1}:
                self._held = byte
            elif not self._inside:
                kept.append(byte)
            elif byte in {_BEL, _CAN, _SUB}:
                self._inside = False
        return bytes(kept)

    def _decide(self, byte: int, kept: bytearray) -> None:
        held, self._held = self._held, 0
        opens, closes = (_STRINGS, _ST) if held == _ESC else (_C1_STRINGS, _C1_ST)
        if byte in opens:
            self._inside = True
        elif byte == closes:
            self._inside = False
        elif byte in {_ESC, _C1}:
            self._held = byte  # the first one is void
        elif held == _ESC:
            self._inside = False  # another sequence, and it is to be obeyed
            kept += bytes((held, byte))
        elif not self._inside:
            kept += bytes((held, byte))
