# ruff: noqa: E501  # programs as somebody may have written them
"""Programs that look at what is around them, as `looks_at_start_and_end` has others."""

from __future__ import annotations

TEXT = r"""
## multiprocessing fork
import multiprocessing as m
def f(x): return x * x
if __name__ == "__main__":
    with m.get_context("fork").Pool(2) as p: print(p.map(f, range(4)))
## subprocess
import subprocess, sys; print(subprocess.run([sys.executable, "-c", "import sys; print(sys.argv, sys.flags)"], capture_output=True, text=True))
## system
import os; os.system("echo $0 $HOME $PYTHONUNBUFFERED")
## exec
import os, sys; os.execv(sys.executable, [sys.executable, "-c", "import sys; print(sys.argv)"])
## environ
import os; print(list(os.environ), os.environ["PATH"], os.environb[b"HOME"])
## environ of a child
import os; os.environ["X"] = "1"; del os.environ["USER"]; print(os.popen("env | grep -v _ID | sort").read())
## environ changed
import os, time; os.environ["TZ"] = "Asia/Tokyo"; time.tzset(); print(time.strftime("%Z", time.gmtime(0)), time.tzname)
## process
import os; print(os.getppid(), os.getpgrp() == os.getpid(), os.getsid(0) == os.getpid(), os.nice(0), os.getcwd(), os.umask(0))
## descriptors
import os; print(sorted(os.listdir("/proc/self/fd"))[:4], [os.get_inheritable(n) for n in range(3)])
## next descriptor
import os; print(os.open("/dev/null", 0), os.dup(0))
## command line
print(open("/proc/self/cmdline").read().split("\0")); print(open("/proc/self/comm").read())
## locale
import locale; print(locale.getlocale(), locale.getpreferredencoding(), locale.setlocale(locale.LC_ALL), locale.localeconv()["decimal_point"])
## encodings
import sys; print(sys.getdefaultencoding(), sys.getfilesystemencoding(), sys.getfilesystemencodeerrors())
## encode
print("ä".encode("latin-1"), "x".encode("idna"), b"\xe4".decode("cp1252"))
## big number
print(10**5000)
## hash of numbers
print(hash(1), hash(1.5), hash((1, 2)), hash(2**61))
## tracing
import sys; print(sys.gettrace(), sys.getprofile(), sys.getswitchinterval(), sys.get_asyncgen_hooks(), sys.is_finalizing())
## audit
import sys
sys.addaudithook(lambda event, args: print(event) if event == "import" else None)
import string, heapq
## excepthook
import sys
sys.excepthook = lambda *a: print("caught", a[0])
raise ValueError
## last
import sys, atexit
atexit.register(lambda: print(hasattr(sys, "last_type"), hasattr(sys, "last_value")))
raise ValueError
## unraisable
class A:
    def __del__(self): raise ValueError("x")
A()
## gc
import gc; print(gc.isenabled(), gc.get_threshold(), gc.get_debug(), gc.garbage, gc.get_freeze_count())
## gc objects
import gc; print([o for o in gc.get_objects() if "e2brun" in str(type(o))], len(gc.get_objects()) > 1000)
## subclasses
print(len(object.__subclasses__()), [c for c in object.__subclasses__() if "agent" in c.__module__])
## warnings
import warnings; warnings.warn("beware"); warnings.warn("again", stacklevel=2); print(warnings.filters)
## deprecated
import warnings
def f(): warnings.warn("old", DeprecationWarning, stacklevel=2)
f()
## resource warning
import warnings; warnings.simplefilter("always"); open("/dev/null")
## logging
import logging; logging.warning("w"); logging.getLogger().info("i"); logging.error("%s", 1, stack_info=True)
## time
import time; print(time.process_time() < 5, time.thread_time() < 5, time.tzname, time.get_clock_info("time"))
## asyncio
import asyncio
async def main(): await asyncio.sleep(0); return 5
print(asyncio.run(main()))
## asyncio error
import asyncio
async def main(): raise ValueError
asyncio.run(main())
## typing
import typing, collections; print(typing.List[int], typing.Optional[str], collections.Counter("abca").most_common(1))
## typing and its modules
import typing, sys; print(sorted(sys.modules))
## submodule
import collections; print(collections.abc.Mapping, hasattr(collections, "Counter"))
## enum
import enum
class E(enum.Enum): A = 1
print(E.A, list(E), E(1))
## named tuple
import collections; P = collections.namedtuple("P", "x y"); print(P(1, 2), P.__module__)
## random state
import random; random.seed(5); print(random.random(), random.sample(range(100), 5))
## eval
print(eval("1+1"), compile("1", "x", "eval").co_filename); exec("print(__name__)")
## dynamic import
print(__import__("string").digits, __import__("os.path").name)
## class repr
class A: pass
print(A, A.__module__, A.__qualname__)
## assert
assert __debug__; assert False, "so"
## memory error
x = "a" * (1 << 62)
## intern
import sys; print(sys.intern("abc") is "abc"[:], "a" "b" is "ab")
"""
