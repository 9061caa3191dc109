"""Every endpoint that takes a body or an id, as the tests of keys and of bodies walk them."""

from __future__ import annotations

CONTROL = [
    ("POST", "/v2/sandboxes"),
    ("POST", "/sandboxes"),
    ("GET", "/v2/sandboxes"),
    ("GET", "/sandboxes"),
    ("GET", "/sandboxes/metrics"),
    ("GET", "/sandboxes/{id}"),
    ("DELETE", "/sandboxes/{id}"),
    ("POST", "/sandboxes/{id}/connect"),
    ("POST", "/v2/sandboxes/{id}/connect"),
    ("POST", "/sandboxes/{id}/resume"),
    ("POST", "/sandboxes/{id}/timeout"),
    ("POST", "/sandboxes/{id}/refreshes"),
    ("POST", "/sandboxes/{id}/pause"),
    ("PUT", "/sandboxes/{id}/network"),
    ("POST", "/sandboxes/{id}/snapshots"),
    ("POST", "/sandboxes/{id}/fork"),
    ("GET", "/sandboxes/{id}/metrics"),
    ("GET", "/sandboxes/{id}/logs"),
    ("GET", "/v2/sandboxes/{id}/logs"),
    ("GET", "/snapshots"),
    ("DELETE", "/templates/{id}"),
    ("GET", "/templates"),
    ("GET", "/templates/aliases/{id}"),
    ("POST", "/v3/templates"),
    ("POST", "/volumes"),
    ("GET", "/volumes"),
    ("GET", "/volumes/{id}"),
    ("DELETE", "/volumes/{id}"),
    ("POST", "/secrets"),
    ("GET", "/no/such/endpoint"),
    ("GET", "/"),
    ("GET", "/teams"),
    ("GET", "/health"),
]

# What changes only the sandbox it names: safe to throw anything at.
BODIES = [
    (method, path)
    for method, path in CONTROL
    if method in {"POST", "PUT"} and not path.endswith(("/pause", "/fork", "/snapshots"))
]

UNARY = [
    "/process.Process/List",
    "/process.Process/SendInput",
    "/process.Process/SendSignal",
    "/process.Process/CloseStdin",
    "/process.Process/Update",
    "/filesystem.Filesystem/Stat",
    "/filesystem.Filesystem/ListDir",
    "/filesystem.Filesystem/MakeDir",
    "/filesystem.Filesystem/Move",
    "/filesystem.Filesystem/Remove",
    "/filesystem.Filesystem/CreateWatcher",
    "/filesystem.Filesystem/GetWatcherEvents",
    "/filesystem.Filesystem/RemoveWatcher",
]

STREAMS = [
    "/process.Process/Start",
    "/process.Process/Connect",
    "/process.Process/StreamInput",
    "/filesystem.Filesystem/WatchDir",
]
