# ruff: noqa: E501  # programs as somebody may have written them
"""Programs that look at how they start and end: each prints the same however that came about.

One after the other in one text, each below its name.
"""

from __future__ import annotations

TEXT = r'''
## argv
import sys; print(sys.argv, sys.orig_argv, sys.executable, sys._base_executable)
## flags
import sys; print(sys.flags, sys.warnoptions, sys._xoptions, sys.dont_write_bytecode)
## path
import sys; print(sys.path, sys.prefix, sys.exec_prefix, sys.base_prefix, sys.pycache_prefix)
## modules
import sys; print(sorted(sys.modules))
## builtin modules
import sys; print(sys.builtin_module_names, sys.meta_path, sys.path_hooks)
## importers
import sys; print(sorted(map(str, sys.path_importer_cache.items())).__repr__()[:0], len(sys.path_importer_cache))
## main
import __main__, sys; print(sorted(vars(__main__)), __main__ is sys.modules["__main__"])
## names of main
print(__name__, __file__, __doc__, __package__, __spec__, __loader__.__class__, __builtins__.__class__)
## loader
print(__loader__.name, __loader__.path, __cached__)
## annotations
x: int = 3
print(__annotations__)
## docstring
"""What this is."""
print(__doc__)
## frames
import sys
f = sys._getframe()
print(f.f_back, f.f_lineno, f.f_code.co_filename, f.f_code.co_name, f.f_globals is globals())
## stack
import traceback; traceback.print_stack()
## source
import inspect
def f(x):
    return x + 1
print(inspect.getsource(f), inspect.getsourcefile(f), inspect.getmodule(f))
## depth
import sys
def f(n):
    try:
        return f(n + 1)
    except RecursionError:
        return n
print(f(0), sys.getrecursionlimit())
## too deep
def f(): f()
f()
## too deep in a lambda
f = lambda n: f(n + 1)
f(0)
## deep data
l = []
for _ in range(100000): l = [l]
print(repr(l))
## uncaught
def f(x): return 1 / x
f(0)
## uncaught chain
try:
    {}["a"]
except KeyError as error:
    raise ValueError("a\nb") from error
## uncaught context
try:
    [][1]
except IndexError:
    int("x")
## uncaught group
raise ExceptionGroup("both", [ValueError(1), TypeError(2)])
## uncaught note
e = ValueError("x"); e.add_note("more"); raise e
## uncaught of its own
class Mine(Exception):
    def __str__(self): return "mine"
raise Mine
## unprintable
class Mine(Exception):
    def __str__(self): raise ValueError
raise Mine
## interrupted inside
def f(): raise KeyboardInterrupt("now")
f()
## interrupt by a signal
import os, signal; os.kill(os.getpid(), signal.SIGINT)
## exit
raise SystemExit
## exit 3
import sys; sys.exit(3)
## exit text
import sys; sys.exit("no")
## exit tuple
raise SystemExit((1, 2))
## exit big
raise SystemExit(2**40)
## exit -1
exit(-1)
## exit of its own
class Left(SystemExit): pass
raise Left(5)
## exit in a thread
import threading, sys
t = threading.Thread(target=sys.exit, args=(4,)); t.start(); t.join(); print("on")
## _exit
import os; print("seen"); os._exit(6)
## killed
import os, signal; os.kill(os.getpid(), signal.SIGKILL)
## terminated
import os, signal; os.kill(os.getpid(), signal.SIGTERM)
## syntax error
x = (1,
## syntax error inside
def f():
    return 1 +
## indentation
if 1:
print(1)
## tab
if 1:
	x = 1
        y = 2
## await
await 1
## return
return 1
## nonlocal
nonlocal x
## bad escape
print("\d")
## is literal
print(1 is 1)
## unused future
from __future__ import braces
## future
from __future__ import annotations
def f(x: not_there) -> other: pass
print(f.__annotations__)
## form feed
print(1)
print(2)
## empty

## comment only
# nothing
## no such module
import not_there
## no such name
from os import not_there
## misspelt
import sys
print(sys.argb)
## misspelt name
value = 1
print(valu)
## main guard
if __name__ == "__main__":
    print("main")
## import itself
import p
print(p.__name__, __name__)
## streams
import sys
for s in (sys.stdin, sys.stdout, sys.stderr):
    print(s.name, s.mode, s.encoding, s.errors, s.line_buffering, s.write_through, s.isatty(), s.fileno())
## stream layers
import sys
for s in (sys.stdin, sys.stdout, sys.stderr):
    print(type(s), type(s.buffer), s.newlines, s.closed, s.seekable(), s.readable(), s.writable())
print(sys.stdin is sys.__stdin__, sys.stdout is sys.__stdout__, sys.stderr is sys.__stderr__)
## read stdin
import sys; print(repr(sys.stdin.read()))
## input
try: print(input("? "))
except EOFError as e: print("end", e)
## bytes
import sys; sys.stdout.buffer.write(b"\xff\0\n"); sys.stdout.write("\udcfe\n")
## surrogate
print("\ud800")
## unicode
print("äöü 漢字 🐍", "\N{SNOWMAN}")
## stdout closed
import sys; sys.stdout.close()
## stdout closed and used
import sys; sys.stdout.close(); print(1)
## stdout gone
import os; print("x"); os.close(1); print("y")
## stderr order
import sys; print("a"); print("b", file=sys.stderr); print("c")
## file that was left open
import os; print(os.path.getsize("left"))
## file freed
import os
def f(): open("freed", "w").write("y")
f(); print(open("freed").read())
## del at exit
class A:
    def __del__(self): print("gone", __name__ if "__name__" in globals() else None)
a = A()
## del at exit with modules
import os, sys
class A:
    def __del__(self): print(os is not None, sys is not None, sys.meta_path is None)
a = A(); b = [a]; b.append(b)
## generator at exit
def f():
    try: yield
    finally: print("closed")
g = f(); next(g)
## weakref at exit
import weakref
class A: pass
a = A(); r = weakref.ref(a, lambda _: print("gone")); weakref.finalize(a, print, "finalized")
## atexit
import atexit
atexit.register(print, "last"); atexit.register(print, "first"); print(atexit._ncallbacks())
## atexit that raises
import atexit
atexit.register(lambda: 1 / 0); atexit.register(print, "x")
## atexit that exits
import atexit, sys
atexit.register(sys.exit, 9)
## atexit after an error
import atexit
atexit.register(print, "still"); raise ValueError
## threads at exit
import threading, time
def f(): time.sleep(0.05); print("done")
threading.Thread(target=f).start(); print("main")
## daemon at exit
import threading, time
threading.Thread(target=time.sleep, args=(60,), daemon=True).start(); print("main")
## thread error
import threading
t = threading.Thread(target=lambda: 1 / 0, name="T"); t.start(); t.join()
## signals
import signal
print([(int(n), str(signal.getsignal(n))) for n in sorted(signal.valid_signals())])
## blocked signals
import signal; print(signal.pthread_sigmask(signal.SIG_BLOCK, []), signal.set_wakeup_fd(-1), signal.getitimer(signal.ITIMER_REAL))
## sigpipe
import os; r, w = os.pipe(); os.close(r); os.write(w, b"x")
## alarm
import signal, time; signal.alarm(1); time.sleep(5)
## alarm with handler
import signal, time
def handler(number, frame): print(number, frame.f_lineno)
signal.signal(signal.SIGALRM, handler); signal.setitimer(signal.ITIMER_REAL, 0.01); time.sleep(0.1)
## fork
import os
if os.fork() == 0: print("child"); os._exit(0)
os.wait(); print("parent")
## fork that returns
import os
pid = os.fork(); print("child" if pid == 0 else os.waitpid(pid, 0)[1])
'''
