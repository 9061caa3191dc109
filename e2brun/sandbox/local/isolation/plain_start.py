"""A zygote whose programs need no start: an interpreter that was started as for a program.

Python is started where zygotes live (`confinement`), with a program's environment and the name of
a file, so `site` finds what it would find in a sandbox. Just before the file is opened, at the
audit event `cpython.run_file`, our hook takes over, and is a zygote from there on. A program is
forked off and returns from the hook (the agent's `programs/warm.py`).

The hook is set by a usercustomize in that root's home; each sandbox has a home of its own.
"""

from __future__ import annotations

import marshal
import os
from typing import NoReturn

from e2brun.sandbox.local.isolation import confinement, rootfs
from e2brun.sandbox.local.isolation.driver import CONTROL_FD, Jail
from e2brun.sandbox.local.isolation.environment import environment
from e2brun.sandbox.local.isolation.launching import FIRST_WORDS

_OLDEST, _NEWEST = (3, 11), (3, 13)  # those it has been tried with
FACTS_FD, CODE_FD = 4, 5
_WORD = "python3"
_HOOK = f"""
import sys
def hook(event, arguments):
    if event == "cpython.run_file" and not heard:
        heard.append(event)
        before = dict(sys.modules)
        sys.path.insert(0, "/proc/self/fd/{CODE_FD}")
        from e2brun.sandbox.local.isolation.plain_zygote import take_over
        take_over(hook, before, arguments[0])
heard = []
sys.addaudithook(hook)
"""
_CHANGE_START = (".pth", "sitecustomize", "usercustomize")


def is_worth_it(jail: Jail) -> bool:
    """Whether programs can be forked from a zygote of this template; contexts need none."""
    return (
        not jail.notebook
        and _OLDEST <= jail.interpreter.version[:2] <= _NEWEST
        and not (jail.layer is not None and _changes_start(jail.layer))
    )


def _changes_start(layer: str) -> bool:
    return any(
        name.endswith(_CHANGE_START[0]) or name.startswith(_CHANGE_START[1:])
        for name in os.listdir(layer)
    )


def become(jail: Jail) -> NoReturn:
    """Move in and start a Python there, for a zygote of this template; descriptor 2 is for
    complaints, 3 its socket. Raises OSError."""
    parent = os.path.abspath(__file__).rpartition("/e2brun/")[0]
    code = os.open(parent, os.O_PATH | os.O_CLOEXEC)
    shared = confinement.move_in(jail, {f"{rootfs.user_site(jail)}/usercustomize.py": _HOOK})
    facts, told = os.pipe()  # which holds 64 KiB
    os.write(told, marshal.dumps([jail.packed(), shared]))
    os.close(told)
    # 0 from nowhere and 1 a pipe, as programs mostly have them: Python looks. 2 is one already.
    given = (os.open(os.devnull, os.O_RDONLY), os.pipe()[1], 2, CONTROL_FD, facts, code)
    high = [os.dup2(descriptor, 20 + at) for at, descriptor in enumerate(given)]
    for target, descriptor in enumerate(high):
        os.dup2(descriptor, target)
    os.closerange(CODE_FD + 1, 1 << 20)
    room = sum(len(word) + 1 for word in (jail.interpreter.executable, *FIRST_WORDS))
    name = "/".ljust(room - len(_WORD) - 2, "x")
    os.execve(f"/opt/e2brun/bin/{_WORD}", [_WORD, name], environment(jail, ""))
