"""The environment in which a command finds the service's names, and trusts its authority."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from e2brun.server.https.authority import DOMAIN, Authority

NAMES = Path(__file__).with_name("names")
_BUNDLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "PIP_CERT")


def environment(
    given: Mapping[str, str], authority: Authority, https_port: int, proxy_port: int, key: str
) -> dict[str, str]:
    """What is added to `given`."""
    trusted = given.get("SSL_CERT_FILE") or given.get("REQUESTS_CA_BUNDLE")
    bundle = str(authority.bundle(Path(trusted) if trusted else None))
    proxy = f"http://e2b:{quote(key, safe='')}@127.0.0.1:{proxy_port}"
    added = dict.fromkeys(_BUNDLES, bundle)
    added |= {
        "E2B_DOMAIN": f"{DOMAIN}:{https_port}",
        "E2BRUN_HTTPS_DOMAIN": DOMAIN,
        "NODE_EXTRA_CA_CERTS": str(authority.certificate),
        "PYTHONPATH": _joined(":", str(NAMES), given.get("PYTHONPATH")),
        "NODE_OPTIONS": _joined(
            " ", given.get("NODE_OPTIONS"), f'--require "{NAMES / "names.cjs"}"'
        ),
        "HTTPS_PROXY": proxy,
        "https_proxy": proxy,
    }
    return added


def upstream(given: Mapping[str, str]) -> tuple[str, int, str] | None:
    """The proxy that the caller's environment names for https."""
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        parts = urlsplit(given.get(name, ""))
        if parts.hostname and parts.scheme in ("http", ""):
            return parts.hostname, parts.port or 80, _authorization(parts.netloc)
    return None


def _authorization(netloc: str) -> str:
    user, separator, _ = netloc.rpartition("@")
    return "Basic " + base64.b64encode(unquote(user).encode()).decode() if separator else ""


def _joined(separator: str, *parts: str | None) -> str:
    return separator.join(part for part in parts if part)
