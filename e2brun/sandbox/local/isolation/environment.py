"""What every program in an embedded sandbox finds around it: its environment and its limits."""

from __future__ import annotations

from e2brun.sandbox.contract import HOME, USER
from e2brun.sandbox.local.isolation.driver import INDEX_PORT, Jail
from e2brun.values import Network

_INDEX = f"http://127.0.0.1:{INDEX_PORT}"
# For `Network.PACKAGES`. The index is near, and knows at once when it cannot help.
_PACKAGES = {
    "PIP_INDEX_URL": f"{_INDEX}/simple/",
    "PIP_NO_INDEX": "false",  # over pip.conf
    "PIP_RETRIES": "1",
    "PIP_TIMEOUT": "60",
    "UV_DEFAULT_INDEX": f"{_INDEX}/simple/",
    "UV_HTTP_TIMEOUT": "60",
    "npm_config_registry": f"{_INDEX}/npm/",
    "npm_config_fetch_retries": "1",
    "npm_config_omit_lockfile_registry_resolved": "true",  # no address of ours in a lock file
    # What else npm would ask for.
    "npm_config_audit": "false",
    "npm_config_fund": "false",
    "npm_config_update_notifier": "false",
}
_WITHIN = {
    Network.NONE: {"npm_config_fetch_retries": "0"},  # npm would try for 70 s
    Network.PACKAGES: _PACKAGES,
    Network.INTERNET: {},
}
SOCKET_BUFFER = 212_992  # bytes, in one direction: the kernel's default


def search_path(jail: Jail) -> str:
    """PATH inside."""
    path = f"{HOME}/.local/bin:/opt/e2brun/bin:/usr/local/bin:/usr/bin:/bin"
    prefix = jail.interpreter.prefix
    if not prefix.startswith("/usr"):
        path = path.replace("/opt/e2brun/bin:", f"/opt/e2brun/bin:{prefix}/bin:")
    if jail.layer and jail.interpreter.purelib:
        path = f"{jail.interpreter.purelib}/bin:{path}"
    return path


def environment(jail: Jail, template: str) -> dict[str, str]:
    """The environment that every program starts from."""
    return {
        "PATH": search_path(jail),
        "HOME": HOME,
        "USER": USER,
        "LOGNAME": USER,
        "SHELL": "/bin/bash",
        "LANG": "C.UTF-8",
        # What was printed before a timeout or a kill is seen, and seen when it is printed.
        "PYTHONUNBUFFERED": "1",
        "E2B_SANDBOX": "true",
        "E2B_SANDBOX_ID": jail.sandbox_id,
        "E2B_TEMPLATE_ID": template,
        "E2B_EVENTS_ADDRESS": "http://192.0.2.1",  # E2B's own value; nobody answers there
        # Where packages go: what root installs is there for everybody, as at E2B.
        "PYTHONUSERBASE": f"{HOME}/.local",
        "npm_config_prefix": f"{HOME}/.local",
        **_WITHIN[jail.network],
    }


def resource_limits(jail: Jail) -> dict[str, int]:
    """RLIMIT name -> value, for everything inside."""
    limits = jail.limits
    return {
        # Ours not counted: the agent, and in a service a file worker and a Python context.
        "RLIMIT_NPROC": limits.processes + (3 if jail.service else 1),
        "RLIMIT_NOFILE": limits.open_files,
        "RLIMIT_FSIZE": max(limits.disk, limits.memory),
        # Page tables are memory as well: no process maps more than this. Generous, since
        # runtimes reserve address space they never touch (node 20: more than 1 GiB).
        "RLIMIT_AS": max(64 * 1024**3, 4 * limits.memory),
        "RLIMIT_MEMLOCK": 8 * 1024**2,
        # Kernel objects, and where sandboxes have one owner counted for all of them together.
        "RLIMIT_SIGPENDING": 2048,
    }
