"""`setfattr` and `getfattr` inside a sandbox whose host has none: metadata of files are extended
attributes, and programs written for E2B use these to see and set it.

Without -R and --restore; values are printed as text wherever they can be.
"""

from __future__ import annotations

import getopt
import os
import re
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

_LONG = [
    "name=", "value=", "remove=", "match=", "encoding=", "no-dereference", "dump",
    "only-values", "absolute-names",
]  # fmt: skip
_SHORT = {f"--{name.rstrip('=')}": f"-{name[0]}" for name in _LONG[:-2]} | {
    "--remove": "-x", "--no-dereference": "-h",
}  # fmt: skip


def set_attribute() -> NoReturn:
    """setfattr -n NAME [-v VALUE] [-h] FILE... or setfattr -x NAME [-h] FILE..."""
    options, files = _command_line("n:v:x:h")
    if ("-n" in options) == ("-x" in options) or not files:
        _end("usage: setfattr {-n name [-v value] | -x name} [-h] file...")
    follow = "-h" not in options

    def change(file: str) -> None:
        if "-x" in options:
            os.removexattr(file, options["-x"], follow_symlinks=follow)
        else:
            value = _decoded(options.get("-v", ""))
            os.setxattr(file, options["-n"], value, follow_symlinks=follow)

    _for_each(files, change)


def get_attribute() -> NoReturn:
    """getfattr [-d | -n NAME] [-m PATTERN] [-e ENCODING] [-h] [--only-values] FILE..."""
    options, files = _command_line("n:dm:e:h")
    if not files:
        _end("usage: getfattr [-d | -n name] [-m pattern] [-e text|hex] [-h] file...")
    follow = "-h" not in options

    def show(file: str) -> None:
        pattern = options.get("-m", r"^user\.")
        names = [options["-n"]] if "-n" in options else _names(file, pattern, follow)
        lines = [name if not options.keys() & {"-d", "-n"} else "" for name in names]
        for index, name in enumerate(names):
            if not lines[index]:
                value = os.getxattr(file, name, follow_symlinks=follow)
                if "--only-values" in options:
                    sys.stdout.buffer.write(value)
                lines[index] = f"{name}={_encoded(value, options.get('-e', 'text'))}"
        if names and "--only-values" not in options:
            place = file if "--absolute-names" in options else file.lstrip("/")
            sys.stdout.write("\n".join([f"# file: {place}", *lines]) + "\n\n")

    _for_each(files, show)


def _command_line(short: str) -> tuple[dict[str, str], list[str]]:
    try:
        options, files = getopt.gnu_getopt(sys.argv[1:], short, _LONG)
    except getopt.GetoptError as error:
        _end(str(error))
    return {_SHORT.get(name, name): value for name, value in options}, files


def _names(file: str, pattern: str, follow: bool) -> list[str]:
    wanted = re.compile("" if pattern == "-" else pattern)
    return [name for name in os.listxattr(file, follow_symlinks=follow) if wanted.search(name)]


def _decoded(value: str) -> bytes:
    if value[:2].lower() == "0x":
        return bytes.fromhex(value[2:])
    if value[:2].lower() == "0s":
        import base64

        return base64.b64decode(value[2:])
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = re.sub(r"\\(.)", r"\1", value[1:-1])
    return os.fsencode(value)


def _encoded(value: bytes, encoding: str) -> str:
    text = value.decode("utf-8", "replace")
    if encoding == "hex" or not text.isprintable():
        return f"0x{value.hex()}"
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _for_each(files: list[str], action: Callable[[str], None]) -> NoReturn:
    failed = False
    for file in files:
        try:
            action(file)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            sys.stderr.write(f"{os.path.basename(sys.argv[0])}: {file}: {reason}\n")
            failed = True
    sys.exit(int(failed))


def _end(message: str) -> NoReturn:
    sys.stderr.write(message + "\n")
    sys.exit(2)
