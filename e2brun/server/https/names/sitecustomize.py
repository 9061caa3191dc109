"""For programs under `e2brun serve --https -- ...`: names of the service are this machine. Found
through PYTHONPATH; the sitecustomize that it hides is run as well."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import socket
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_DOMAIN = os.environ.get("E2BRUN_HTTPS_DOMAIN", "")
_resolve = socket.getaddrinfo


def _getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:
    name: Any = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    if _DOMAIN and isinstance(name, str):
        plain = name.lower().rstrip(".")
        if plain == _DOMAIN or plain.endswith("." + _DOMAIN):
            host = "127.0.0.1"
    return _resolve(host, *arguments, **options)


socket.getaddrinfo = _getaddrinfo


def _run_hidden() -> None:
    here = os.path.dirname(os.path.abspath(__file__))
    others = [path for path in sys.path if os.path.abspath(path or ".") != here]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", others)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


_run_hidden()
