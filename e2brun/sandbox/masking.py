"""Texts without secrets: what bears a secret's name, and every place where its value stands.

A value is found as it is, line by line where it has several, and as JSON, Python's repr or an
address spells it; not encoded otherwise (base64, reversed, ...), and not where it is so short that
half of every text would be hidden.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

HIDDEN = "***"
_SHORTEST = 4
_SHORTEST_OF_OTHERS = 8  # nobody said that the variables of our own environment are secrets
_SHORTEST_LINE = 8  # of a key in several lines
_WORDS = frozenset({"authorization", "cookie", "key", "pat", "token", "tokens"})
_PARTS = ("apikey", "credential", "passphrase", "passwd", "password", "secret")


class Mask:
    """Hides `secrets`, the longest first: one may be part of another."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        found = {form for secret in secrets for form in _forms(secret)}
        self._texts = tuple(sorted(found, key=len, reverse=True))
        self._bytes = tuple(text.encode("utf-8", "surrogateescape") for text in self._texts)

    @property
    def longest(self) -> int:
        """Bytes of the longest: what is masked piece by piece must hold one less back."""
        return max(map(len, self._bytes), default=0)

    def __call__(self, text: str) -> str:
        for secret in self._texts:
            text = text.replace(secret, HIDDEN)
        return text

    def of_bytes(self, data: bytes) -> bytes:
        """The same for what may be no text."""
        for secret in self._bytes:
            data = data.replace(secret, HIDDEN.encode())
        return data

    def words(self, words: Iterable[str]) -> tuple[str, ...]:
        """A command line: also `NAME=VALUE`, `--name=VALUE` and `--name VALUE` by the name."""
        hidden: list[str] = []
        before = ""
        for word in words:
            name, equals, _ = word.partition("=")
            if equals and is_secret_name(name):
                hidden.append(f"{name}={HIDDEN}")
            elif before.startswith("--") and "=" not in before and is_secret_name(before):
                hidden.append(HIDDEN)
            else:
                hidden.append(self(word))
            before = word
        return tuple(hidden)


def is_secret_name(name: str) -> bool:
    """Whether what has this name is usually kept to oneself: `GITHUB_TOKEN`, `--api-key`."""
    lowered = name.lower()
    words = lowered.replace("-", "_").replace(".", "_").split("_")
    return not _WORDS.isdisjoint(words) or any(part in lowered for part in _PARTS)


def secrets_in(environment: Mapping[str, object]) -> Iterator[str]:
    """The values of what bears a secret's name."""
    for name, value in environment.items():
        if isinstance(value, str) and is_secret_name(name):
            yield value


def secrets_of_others(environment: Mapping[str, str]) -> Iterator[str]:
    """The same of an environment that nobody gave us for the purpose."""
    return (value for value in secrets_in(environment) if len(value) >= _SHORTEST_OF_OTHERS)


def _forms(secret: str) -> Iterator[str]:
    if len(secret.strip()) < _SHORTEST:
        return
    yield secret
    lines = secret.splitlines()
    if len(lines) > 1:
        yield from (line for line in lines if len(line.strip()) >= _SHORTEST_LINE)
    if not (secret.isascii() and secret.replace("_", "").replace("-", "").isalnum()):
        import json
        from urllib.parse import quote, quote_plus

        yield from (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1])
        yield from (repr(secret)[1:-1], quote(secret, safe="", errors="replace"))
        yield from (quote(secret, errors="replace"), quote_plus(secret, errors="replace"))
