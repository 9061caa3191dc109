"""What uv writes when it fails, as one line for a person, without anybody's credentials. Both
shapes are read: `error: … / cause: …` of newer releases and the `× … ╰─▶ …` tree of older ones."""

from __future__ import annotations

import re

from e2brun.values import clipped

_LIMIT = 600
_NETWORK = (
    "error sending request",
    "client error (connect)",
    "tcp connect error",
    "dns error",
    "failed to lookup address",
    "connection refused",
    "connection reset",
    "network is unreachable",
    "operation timed out",
    "network timeout",
    "http status server error",
)
_NOISE = re.compile(r"^(Using (CPython|Python)|Resolved |Prepared |warning: |Downloading )")
_STEP = re.compile(r"^\s*(?:error:|Caused by:|cause:|×|[├╰]─▶|╰─>|├─>)\s*")
_HINT = re.compile(r"^\s*hint:", re.IGNORECASE)
_CREDENTIALS = re.compile(r"://[^/@\s]+@")
_CONCLUSION = ", we can conclude that your requirements are unsatisfiable"


def is_network_failure(text: str) -> bool:
    """Whether the registry was not reached (and not: that it said no)."""
    lowered = text.lower()
    return any(words in lowered for words in _NETWORK)


def reason(text: str) -> str:
    """The cause of the failure, in one line."""
    steps = _steps(text)
    if not steps:
        return "uv failed and did not say why"
    if len(steps) > 1 and steps[0].startswith("No solution found"):
        return clipped(_plain(" ".join(steps[1:])), _LIMIT)
    if is_network_failure(text):  # the first cause names the URL, the last one the trouble
        return clipped(f"{steps[0]} ({steps[-1]})" if len(steps) > 1 else steps[0], _LIMIT)
    return clipped(": ".join(step.rstrip(":.") for step in steps), _LIMIT)


def hint(text: str) -> str:
    """What to do about it, where uv's reason leaves that open."""
    if "no usable wheels" in text or "has no wheels" in text or "no-build" in text:
        return (
            "Only wheels are installed: to build a package would run its code on this machine. "
            "Try another version of it, or another Python with --python."
        )
    if "not found in the package registry" in text:
        return "Check the spelling; the name to install is not always the name to import."
    return ""


def _steps(text: str) -> list[str]:
    steps: list[str] = []
    for line in _CREDENTIALS.sub("://", text).splitlines():
        if _HINT.match(line):
            break  # the reason is complete; ours says more about this tool
        if not line.strip() or _NOISE.match(line):
            continue
        if _STEP.match(line) or not steps:
            steps.append(_STEP.sub("", line).strip())
        else:  # wrapped at the width of a terminal
            steps[-1] += f" {line.strip().lstrip('│').strip()}"
    return [step for step in steps if step]


def _plain(sentence: str) -> str:
    """uv's derivation without the words around it, when it has a single step."""
    if not sentence.startswith("Because ") or sentence.count("we can conclude") > 1:
        return sentence.rstrip(".")
    said = sentence.removeprefix("Because ").partition(_CONCLUSION)[0]
    return re.sub(r" and you require \S+$", "", said).rstrip(".")
