"""How a process of the host becomes one that sandboxes come of: by whom it is forked, what it has.

Linux sends the parent-death signal when the *thread* that forked ends (prctl(2),
PR_SET_PDEATHSIG), and bubblewrap's --die-with-parent is built on it: a sandbox started by a
worker thread would die with the worker. So they are forked by a thread that lasts.
"""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from e2brun.sandbox.local.isolation import rootfs, syscalls

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

# Both drivers have pid 1 look like this: the command line can be read inside, as /proc/1/cmdline.
# Long, for what is written over another one cannot be longer than that was (see `plain_start`).
FIRST_WORDS = ("-I", "-S", "-c", "exec(open(4, 'rb').read())  # e2brun".ljust(240, "."))
_FIRST_TO_GO = "1000"  # proc(5), oom_score_adj
_lasting: list[ThreadPoolExecutor] = []


def in_lasting_thread(start: Callable[[], int]) -> int:
    """Call `start` in the main thread if that is ours, else in one kept for this."""
    threading = sys.modules.get("threading")  # not imported: there is but one thread
    if threading is None or threading.current_thread() is threading.main_thread():
        return start()
    from concurrent.futures import ThreadPoolExecutor

    if not _lasting:
        _lasting.append(ThreadPoolExecutor(1, "e2brun-spawn"))
    return _lasting[0].submit(start).result()


def place(descriptors: tuple[int, ...]) -> None:
    """In a forked child: 0 and 1 from /dev/null, these from 2 on, and no other."""
    end = 2 + len(descriptors)
    # Out of the way first, on numbers the kernel knows to be free: a target may be a source.
    high = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, end) for descriptor in descriptors]
    null = os.open("/dev/null", os.O_RDWR)
    for target, source in enumerate((null, null, *high)):
        os.dup2(source, target)
    os.closerange(end, 1 << 20)


def be_expendable() -> None:
    """In a forked child: what becomes of us is the first to go when memory is short, and leaves
    no core. With a core size of 0 the kernel still starts the program that core_pattern names, as
    root and outside (core(5)); 1 is the value at which it does not."""
    import resource

    rootfs.write("/proc/self/oom_score_adj", _FIRST_TO_GO)
    with suppress(OSError):  # no keys in this kernel, or too many: keyctl is refused inside
        syscalls.leave_keyring()
    with suppress(ValueError, OSError):  # the caller's own hard limit is 0
        resource.setrlimit(resource.RLIMIT_CORE, (1, 1))


def memory_file(name: str, content: bytes) -> int:
    """A descriptor to read this from."""
    descriptor = os.memfd_create(name)
    os.write(descriptor, content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
