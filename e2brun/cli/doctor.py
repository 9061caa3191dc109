"""`e2brun doctor`: every check printed as it is done, or all of them as one JSON document."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

from e2brun.cli.signals import print_document, write_line
from e2brun.errors import SandboxError, UsageError
from e2brun.report.columns import painted
from e2brun.report.safe import one_line
from e2brun.sandbox.check import Check, Status
from e2brun.settings import Settings, load_settings

_WIDTH, _INDENT = 80, 22  # status and name stand in the first 22 columns
_TOLD = ("name", "status", "found", "remedy")
_COLORS = {Status.OK: "green", Status.WARN: "yellow", Status.FAIL: "red"}


def examine(*, as_json: bool, fix: bool, yes: bool) -> int:
    """Look at everything and say it; with `fix`, repair, and look again. Returns the exit code."""
    settings, wrong = _settings()
    found = _told(wrong, settings, as_json=as_json)
    if fix:
        from e2brun.cli.repair import repair

        if repair(found, ask=not yes):
            if not as_json:
                write_line("")
            found = _told(wrong, settings, as_json=as_json)
    works = not wrong and any(check.proves for check in found)
    if as_json:
        _print_json(found, works=works)
    elif works:
        write_line("\ne2brun can run code here.")
    else:
        write_line("\ne2brun cannot run code here; what failed above says what to do.")
    return 0 if works else SandboxError.exit_code


def _settings() -> tuple[Settings, list[Check]]:
    """The settings; where a file or a variable spoils them, the defaults, and what is wrong."""
    try:
        return load_settings(), []
    except UsageError as error:
        settings = load_settings(Path("/"), environ={})
        return settings, [Check("settings", Status.FAIL, str(error), error.hint)]


def _told(before: list[Check], settings: Settings, *, as_json: bool) -> list[Check]:
    from e2brun.sandbox.e2b import endpoint
    from e2brun.sandbox.local import health

    found: list[Check] = []
    proof = map(health.proof, [settings])  # made when it is asked for, after the others
    for check in chain(before, health.examine(settings), endpoint.examine(settings), proof):
        found.append(check)
        if not as_json:
            _print_check(check, settings)
    return found


def _print_check(check: Check, settings: Settings) -> None:
    lines = [*_wrapped(check.found, ""), *_wrapped(check.remedy, "-> ")]
    status = f"{check.status:<4}"
    if settings.colors(1):
        status = painted(status, _COLORS[check.status])
    write_line(f"{status} {check.name:<{_INDENT - 6}} " + f"\n{'':{_INDENT}}".join(lines))


def _wrapped(text: str, mark: str) -> list[str]:
    """`text` in lines that fit beside the name; paths and commands stay whole."""
    import textwrap

    return textwrap.wrap(
        one_line(text, 1000),
        width=_WIDTH - _INDENT,
        initial_indent=mark,
        subsequent_indent=" " * len(mark),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _print_json(found: list[Check], *, works: bool) -> None:
    from e2brun import __version__

    document = {
        "schema": 1,
        "ok": works,
        "version": __version__,
        "checks": [{name: getattr(check, name) for name in _TOLD} for check in found],
    }
    print_document(document)
