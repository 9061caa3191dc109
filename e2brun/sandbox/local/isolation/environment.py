"""What every program in an embedded sandbox finds around it: its environment, its limits, the files
in /etc and in the homes.

Of those files none is what the host's user has made of it: they are ours, or such of the host's as
programs cannot do without and nobody calls secret.
"""

from __future__ import annotations

import os

from e2brun.sandbox.contract import HOME, USER, SandboxSpec
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
    "pnpm_config_registry": f"{_INDEX}/npm/",  # pnpm 12
    "YARN_NPM_REGISTRY_SERVER": f"{_INDEX}/npm/",  # Yarn 2 and later
    "YARN_UNSAFE_HTTP_WHITELIST": "127.0.0.1",
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
LOADER_CACHE = "/etc/ld.so.cache"  # where pid 1, too, finds libraries
_OF_THE_HOST = (
    "ld.so.cache", "localtime", "timezone", "mime.types", "protocols", "services", "os-release",
    "debian_version", "lsb-release", "alpine-release", "arch-release", "redhat-release",
)  # fmt: skip
_PASSWD = f"""root:x:0:0:root:/root:/bin/bash
{USER}:x:1000:1000:{USER}:{HOME}:/bin/bash
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
"""
_GROUP = f"root:x:0:\n{USER}:x:1000:\nnogroup:x:65534:\n"
_HOSTS = "127.0.0.1 localhost {name}\n::1 localhost ip6-localhost\n"
_NSSWITCH = "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n"
_RESOLV = "nameserver 10.0.2.3\n"  # slirp4netns answers there
# A Debian Python refuses pip, as it would change the system's packages: here nothing can. Without a
# network pip is to say so at once, and still sees what is there already.
_PIP = "[global]\nbreak-system-packages = true\ndisable-pip-version-check = true\n"
_PIP_ALONE = "no-index = true\nretries = 0\n"
# Enough for `openssl req`, which does nothing without; the host's may name its keys.
_OPENSSL = """[req]
distinguished_name = name
x509_extensions = authority
string_mask = utf8only
[name]
commonName = Common Name
[authority]
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always, issuer
basicConstraints = critical, CA:true
"""
_LOGIN_DEFS = "MAIL_DIR /var/mail\nUMASK 022\nUID_MIN 1000\nGID_MIN 1000\nENCRYPT_METHOD SHA512\n"
# As Debian's, but for PATH: that is what the program was started with. Read by each command of a
# service: short.
_PROFILE = """if [ "${PS1-}" ] && [ "${BASH-}" ] && [ "$BASH" != /bin/sh ]; then
  . /etc/bash.bashrc
fi
for i in /etc/profile.d/*.sh; do
  [ -r "$i" ] && . "$i"
done
unset i
"""
_SYSTEM_BASHRC = """[ -z "${PS1-}" ] && return
shopt -s checkwinsize
PS1='\\u@\\h:\\w\\$ '
"""
_DOT_FILES = {
    ".bash_logout": "# when a login shell ends\n",
    ".bashrc": """case $- in *i*) ;; *) return ;; esac
HISTCONTROL=ignoreboth
shopt -s histappend checkwinsize
alias ls='ls --color=auto' grep='grep --color=auto' ll='ls -alF' la='ls -A' l='ls -CF'
[ -f ~/.bash_aliases ] && . ~/.bash_aliases
""",
    ".profile": """[ -n "$BASH_VERSION" ] && [ -f ~/.bashrc ] && . ~/.bashrc
[ -d ~/bin ] && PATH="$HOME/bin:$PATH"
:
""",
}
_PROCESSORS = "/sys/devices/system/cpu"
_TOPOLOGY = ("core_id", "physical_package_id", "thread_siblings", "core_siblings")
CGROUPS = "/sys/fs/cgroup/cgroup.controllers"  # of version 2, where there are any
SOCKET_BUFFER = 212_992  # bytes, in one direction: the kernel's default


def search_path(jail: Jail) -> str:
    python = jail.interpreter
    places = [f"{HOME}/.local", "/opt/e2brun"]  # what was installed inside comes first
    if jail.layer and python.purelib:
        places.append(python.purelib)
    if not python.prefix.startswith("/usr"):
        places.append(python.prefix)
    own = "".join(f"{place}/bin:" for place in places)
    return f"{own}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def environment(jail: Jail, template: str) -> dict[str, str]:
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


def environment_as_asked(jail: Jail, spec: SandboxSpec) -> dict[str, str]:
    """The same with what was asked for."""
    return {**environment(jail, spec.template or "python"), **spec.env}


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


def first_files(*, online: bool) -> dict[str, bytes]:
    """Path -> content of the files that all sandboxes have in /etc."""
    texts = {
        "passwd": _PASSWD,
        "group": _GROUP,
        "shells": "/bin/sh\n/bin/bash\n/usr/bin/sh\n/usr/bin/bash\n",
        "login.defs": _LOGIN_DEFS,
        "environment": "",
        "profile": _PROFILE,
        "bash.bashrc": _SYSTEM_BASHRC,
        "nsswitch.conf": _NSSWITCH,
        "pip.conf": _PIP if online else _PIP + _PIP_ALONE,
        "ssl/openssl.cnf": _OPENSSL,
        "pki/tls/openssl.cnf": _OPENSSL,
        **({"resolv.conf": _RESOLV} if online else {}),
    }
    files = {f"/etc/{name}": text.encode() for name, text in texts.items()}
    files[LOADER_CACHE] = b""  # there, or somebody could put one there
    for name in _OF_THE_HOST:
        if content := _content(f"/etc/{name}"):
            files[f"/etc/{name}"] = content
    files |= dot_files("/etc/skel")
    files["/run/e2b/.E2B_SANDBOX"] = b"false\n"  # at E2B: whether this is a virtual machine
    return files | _processors()


def _processors() -> dict[str, bytes]:
    """What lscpu needs of /sys to count cores, for joblib and so scikit-learn, which ask it:
    nothing that /proc/cpuinfo does not tell."""
    topologies = [f"cpu{n}/topology" for n in range(os.cpu_count() or 1)]
    names = [f"{place}/{name}" for place in topologies for name in _TOPOLOGY]
    paths = [f"{_PROCESSORS}/{name}" for name in ("possible", "online", *names)]
    return {path: content for path in paths if (content := _content(path))}


def dot_files(home: str) -> dict[str, bytes]:
    """The same of a home."""
    return {f"{home}/{name}": text.encode() for name, text in _DOT_FILES.items()}


def own_etc(sandbox_id: str) -> dict[str, bytes]:
    """The files in /etc that differ from sandbox to sandbox."""
    hosts = _HOSTS.format(name=sandbox_id)
    return {"/etc/hosts": hosts.encode(), "/etc/hostname": f"{sandbox_id}\n".encode()}


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
