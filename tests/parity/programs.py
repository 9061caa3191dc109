"""Programs: arguments, streams, encodings, ends, signals, limits, environment, children."""

from __future__ import annotations

from tests.parity.sides import Case


def program(name: str, code: str | bytes, *arguments: str, **how: object) -> Case:
    """`exec OPTIONS prog.py ARGUMENTS`; `options` are e2brun's own, `file` another name."""
    file = str(how.pop("file", "prog.py"))
    options: tuple[str, ...] = how.pop("options", ())  # type: ignore[assignment]
    files: dict[str, str | bytes] = {file: code, **how.pop("files", {})}  # type: ignore[dict-item]
    return Case(name, (*options, file, *arguments), files, **how)  # type: ignore[arg-type]


TAKING_TURNS = program(
    "one stream after the other",
    "import sys, time\nfor i in range(3):\n    print(i, flush=True); time.sleep(0.2)\n"
    "    print(i, file=sys.stderr, flush=True); time.sleep(0.2)",
)
_ARGV = "import sys; print(ascii(sys.argv))"
_STREAMS = [
    program("nothing", ""),
    program("a line on each stream", "import sys; print('o'); print('e', file=sys.stderr)"),
    program("arguments", _ARGV, "a", "b c", "", "-x", "--", "*", "$HOME", "'\"", "ü", "\n"),
    program("an argument that is no text", _ARGV, "a\udcffb"),
    program("two hundred arguments", _ARGV, *map(str, range(200))),
    program("options of ours after the file", _ARGV + "; sys.exit(1)", "--json", ends="error"),
    program("no newline at the end", "print('x', end='')"),
    program("every byte", "import sys; sys.stdout.buffer.write(bytes(range(256)))"),
    program("bad utf-8", "import os; os.write(1, b'a\\xff\\xc3b\\xed\\xa0\\x80c')"),
    program("a character in two pieces",
            "import os, time\nfor b in '€'.encode(): os.write(1, bytes([b])); time.sleep(0.02)"),
    program("NUL, escapes, emoji and combining",
            "print('\\0 \\x1b[31mred\\x1b[0m \\x1b]0;t\\x07 \\x9b \\u2028')\n"
            "print('👩‍👩‍👧 e\\u0301 \\U0001F600')"),
    program("surrogates cannot be printed", "print('\\ud800')", ends="error"),
    program("carriage returns", "print('a\\rb\\r\\nc')"),
    program("a long line", "print('x' * 1_000_000)"),
    program("many lines", "for i in range(20_000): print(i)"),
    program("more than may be kept", "print('x' * 3000); print('y' * 10)",
            options=("--max-output", "1K")),
    program("more on both streams", "import sys; print('x' * 3000, file=sys.stderr); print(1)",
            options=("--max-output", "1K")),
    program("closes its stdout", "import os; os.write(1, b'a'); os.close(1); os._exit(3)",
            ends="error"),
    program("closes everything", "import os; os.closerange(0, 256); os._exit(0)"),
    program("encoding declared", "# -*- coding: latin-1 -*-\nprint('é')".encode("latin-1")),
    program("not utf-8, not declared", b"print('\xe9')", ends="error"),
    program("byte order mark", b"\xef\xbb\xbfprint('bom')"),
    program("windows line ends", "x = 1\r\nif x:\r\n    print('ok')\r\n"),
    program("terminals and encodings",
            "import sys, locale; print(sys.stdout.isatty(), sys.stdin.isatty(),"
            " sys.stdout.encoding, sys.stdin.encoding, sys.getfilesystemencoding(),"
            " locale.getpreferredencoding())"),
]  # fmt: skip
_INPUT = [
    program("stdin is empty", "import sys; print(repr(sys.stdin.read()))"),
    program("input() without input", "input('name? ')", ends="error"),
    program("stdin passed on", "import sys; print(sys.stdin.read().upper())",
            options=("-i",), stdin=b"one\ntwo\n"),
    program("binary stdin passed on", "import sys; print(len(sys.stdin.buffer.read()))",
            options=("-i",), stdin=bytes(range(256)) * 2000),
    program("stdin that nobody reads", "print('done')", options=("-i",), stdin=b"x" * 300_000),
    Case("a program from stdin", ("-",), stdin=b"import sys; print(sys.argv); 1/0", ends="error"),
    Case("a program from stdin with arguments", ("-", "a", "b"),
         stdin=b"import sys; print(sys.argv, __name__)"),
    Case("-i and a program from stdin", ("-i", "-"), ends="usage"),
]  # fmt: skip
_ENDS = [
    program("sys.exit('words')", "import sys; sys.exit('words')", ends="error"),
    program("exit code 256", "import sys; sys.exit(256)"),
    program("exit codes of ours", "import sys; sys.exit(125)", ends="error"),
    program("exit code 139 without a signal", "import sys; sys.exit(139)", ends="error"),
    program("exit code 2", "import sys; sys.exit(2)", ends="error"),
    program("os._exit", "import os; print('lost'); os._exit(7)", ends="error"),
    program("an exception", "def f():\n    raise ValueError('a\\nb')\nf()", ends="error"),
    program("a chained exception", "try:\n    1/0\nexcept Exception as e:\n"
            "    raise KeyError('k') from e", ends="error"),
    program("an exception group", "raise ExceptionGroup('g', [ValueError(1), TypeError(2)])",
            ends="error"),
    program("a note on an exception", "e = ValueError('x'); e.add_note('note'); raise e",
            ends="error"),
    program("a syntax error", "print('x'\nprint(", ends="error"),
    program("an indentation error", "if 1:\nprint(1)", ends="error"),
    program("a recursion error", "def f(): f()\nf()", ends="error"),
    program("a missing module", "import nonesuch.deep", ends="error"),
    program("an exception that cannot be shown",
            "class E(Exception):\n    def __str__(self): raise OSError\nraise E", ends="error"),
    program("KeyboardInterrupt", "raise KeyboardInterrupt", ends="error"),
    program("an exception in a thread", "import threading\n"
            "t = threading.Thread(target=lambda: 1/0, name='t'); t.start(); t.join()"),
    program("atexit and finally", "import atexit\natexit.register(print, 'bye')\n"
            "try:\n    raise SystemExit(4)\nfinally:\n    print('f')", ends="error"),
    program("a warning", "import warnings; warnings.warn('careful')"),
    program("os.abort", "import os; os.abort()", ends="error"),
    program("a segmentation fault", "import os; os.kill(os.getpid(), 11)", ends="error"),
    program("SIGTERM to itself", "import os; os.kill(os.getpid(), 15)", ends="error"),
    program("SIGINT to itself", "import os; os.kill(os.getpid(), 2)", ends="error"),
    program("SIGKILL to itself", "import os; os.kill(os.getpid(), 9)", ends="killed"),
    program("SIGPIPE to itself", "import os, signal; signal.signal(13, signal.SIG_DFL);"
            " os.kill(os.getpid(), 13)", ends="error"),
    program("SIGXCPU to itself", "import os; os.kill(os.getpid(), 24)", ends="timeout"),
    program("a signal for real time", "import os; os.kill(os.getpid(), 40)", ends="error"),
    program("signals are as a program expects them", "import signal\n"
            "print([(n, str(signal.getsignal(n))) for n in (1, 2, 13, 15, 17)],"
            " signal.pthread_sigmask(0, []))"),
    program("time limit", "import time; print('in', flush=True); time.sleep(30)", ends="timeout",
            options=("--timeout", "1")),
    program("time limit in C", "print('in', flush=True)\nwhile True: pass", ends="timeout",
            options=("--timeout", "1")),
    program("last words at the time limit", "import signal, sys, time\n"
            "signal.signal(15, lambda *_: (print('bye', flush=True), sys.exit(0)))\n"
            "time.sleep(30)", ends="timeout", options=("--timeout", "1")),
    program("deaf at the time limit", "import signal, time\nsignal.signal(15, signal.SIG_IGN)\n"
            "print('deaf', flush=True)\ntime.sleep(30)", ends="timeout",
            options=("--timeout", "1")),
    program("MemoryError", "x = bytearray(10**18)", ends="error"),
    program("out of memory", "x = [bytearray(b'1') * 10_000_000 for _ in range(10**6)]",
            ends="oom", unavoidable="memory"),
]  # fmt: skip
_SURROUNDINGS = [
    program("where it is", "import os, sys; print(os.getcwd(), __file__, __name__, sys.path[0])"),
    program("--cwd that is there", "import os; print(os.getcwd(), os.listdir())",
            options=("--file", "d.txt:data/d.txt", "--cwd", "data"), files={"d.txt": "x"}),
    program("--cwd that is made", "import os; print(os.getcwd(), os.listdir())",
            options=("--cwd", "a/b c/ü")),
    program("--cwd with a tilde", "import os; print(os.getcwd())", options=("--cwd", "~/w")),
    program("--cwd outside the home directory", "import os; print(os.getcwd(),"
            " os.stat('.').st_uid == os.getuid()); open('x', 'w')", options=("--cwd", "/data/x y")),
    program("--cwd that cannot be made", "1", options=("--cwd", "/etc/passwd"),
            ends="infrastructure"),
    program("--cwd in /tmp", "import os; print(os.getcwd())", options=("--cwd", "/tmp")),
    program("a module beside it that was not sent", "import helper", ends="error",
            files={"helper.py": ""}),
    program("a package beside it that was not sent", "import pkg.sub", ends="error",
            files={"pkg/__init__.py": "", "pkg/sub.py": ""}),
    program("--with-imports", "import helper, pkg.sub; print(helper.x, pkg.sub.y)",
            options=("--with-imports", "-v"), files={
                "helper.py": "from pkg.sub import y as x", "pkg/__init__.py": "",
                "pkg/sub.py": "y = 2",
            }),
    program("text in another encoding that it does not name", b"print('\xe4')", ends="error"),
    program("a file outside the home directory", "import os; print(os.listdir('/data/in'))",
            options=("--file", "d.txt:/data/in/d.txt"), files={"d.txt": "x"}),
    program("--cwd in the way", "print('never')", ends="usage",
            options=("--file", "d.txt", "--cwd", "d.txt"), files={"d.txt": "x"}),
    program("who it is, in its own session", "import os, pwd; print(os.getuid(), os.getgid(),"
            " pwd.getpwuid(os.getuid()).pw_name, os.path.expanduser('~'),"
            " os.getpid() == os.getsid(0) == os.getpgrp())"),
    program("environment", "import os; print({k: os.environ[k] for k in ('A', 'B', 'HOME')})",
            options=("--env", "A=1", "--env", "B=x y\n'$")),
    program("environment from a file", "import os; print(os.environ['A'], os.environ['B'])",
            options=("--env-file", "e.env"), files={"e.env": "A=1\n# c\nB='two words'\n"}),
    program("all of the environment", "import os\nprint(sorted(k for k in os.environ"
            " if not k.startswith('E2B')))"),
    program("PATH of the user's", "import subprocess; print(subprocess.check_output('tool'))",
            options=("--env", "PATH=/home/user/bin:/usr/bin:/bin", "--file", "tool:bin/tool"),
            files={"tool": "#!/bin/sh\necho tool"}),
    program("the caller's environment stays out", "import os; print(os.environ.get('MINE'))",
            env={"MINE": "secret"}),
    program("time zone, locale, umask and descriptors", "import os, time\n"
            "print(time.tzname, os.environ.get('LANG'), oct(os.umask(0)))\n"
            "print(sorted(os.listdir('/proc/self/fd'))[:3])"),
    program("no network", "import socket; socket.create_connection(('10.255.255.1', 80), 3)",
            ends="error"),
    program("a file name with a dash", "import sys; print(sys.argv)", "x", file="-prog.py",
            options=("--",)),
    program("a file name in a directory", "print(__file__)", file="deep/er/prog.py"),
    program("a file name with spaces", "print(__file__)", file="my ünï prog.py"),
]  # fmt: skip
_CHILDREN = [
    program("a child's output, and no other children", "import os, subprocess\n"
            "subprocess.run(['echo', 'child'])\n"
            "try: os.wait()\nexcept ChildProcessError: print('none')"),
    program("a child's exit code", "import subprocess, sys\n"
            "sys.exit(subprocess.run(['sh', '-c', 'exit 9']).returncode)", ends="error"),
    program("a child of a signal", "import subprocess; print(subprocess.run(['sh', '-c',"
            " 'kill -9 $$']).returncode)"),
    program("a child that holds its output", "import subprocess\nprint('out')\n"
            "subprocess.Popen(['sleep', '60'])"),
    program("a failed program whose child holds its output", "import subprocess, sys\n"
            "subprocess.Popen(['sleep', '60'])\nsys.exit(3)", ends="error"),
    program("a killed program whose child holds its output", "import os, subprocess\n"
            "subprocess.Popen(['sleep', '60'])\nos.kill(os.getpid(), 11)", ends="error"),
    program("a daemon", "import os, time\nif os.fork() == 0:\n    os.setsid()\n"
            "    if os.fork() == 0: time.sleep(60)\n    os._exit(0)\nos.wait()\nprint('left')"),
    program("kill 0", "import os; os.kill(0, 15)", ends="error"),
    program("multiprocessing", "import multiprocessing as m\n"
            "if __name__ == '__main__':\n    with m.Pool(2) as p: print(p.map(abs, [-1, -2]))"),
    program("threads", "import threading\nts = [threading.Thread(target=print, args=(i,))"
            " for i in range(3)]\nfor t in ts: t.start(); t.join()"),
    program("asyncio's subprocess", "import asyncio\nasync def f():\n"
            "    p = await asyncio.create_subprocess_exec('true')\n"
            "    return await p.wait()\nprint(asyncio.run(f()))"),
    program("its own loopback, sqlite, temporary files",
            "import socket\ns = socket.create_server(('127.0.0.1', 0))\n"
            "c = socket.create_connection(s.getsockname()); print(s.accept()[1][0])\n"
            "import sqlite3; print(sqlite3.connect('x.db').execute('select 1+1').fetchall())\n"
            "import tempfile\nwith tempfile.NamedTemporaryFile() as f:\n"
            "    f.write(b'x'); f.flush(); print(open(f.name).read())"),
]  # fmt: skip
_OTHERS = [
    program("a shell script", "echo \"$0 $#\" \"$@\"; exit 4", "a b", "c", file="s.sh",
            ends="error"),
    program("a shell script with a shebang", "#!/bin/bash\necho ${BASH_VERSION:0:1} | grep -c .",
            file="s.sh"),
    program("a failing command in a script", "set -e\nnonesuch\necho never", file="s.sh",
            ends="error"),
    program("a signal in a script", "kill -TERM $$", file="s.sh", ends="error"),
    program("a script's child holds its output", "sleep 60 &\necho started", file="s.sh"),
    program("a script reads stdin", "read a; echo \"got $a\"", file="s.sh", options=("-i",),
            stdin=b"line\n"),
    program("a script known by its first line", "#!/usr/bin/env python3\nprint('py')",
            file="tool"),
    program("a shell script known by its first line", "#!/bin/sh\necho sh", file="tool"),
    program("javascript", "console.log(process.argv.slice(2)); process.exit(5)", "x", file="j.js",
            ends="error"),
    program("javascript that throws", "throw new TypeError('no')", file="j.js", ends="error"),
    program("a module of javascript", "import fs from 'fs'; console.log(typeof fs.readFileSync,"
            " await 7)", file="j.mjs"),
    Case("a file that is not there", ("nonesuch.py",), ends="usage"),
    Case("a file of no known kind", ("x.xyz",), {"x.xyz": "?"}, ends="usage"),
    Case("a directory", ("d",), {"d/x": "?"}, ends="usage"),
    Case("nothing to run", (), ends="usage"),
    Case("an option that there is not", ("--nonesuch", "x.py"), ends="usage"),
    Case("a time limit that is none", ("--timeout", "soon", "x.py"), {"x.py": ""}, ends="usage"),
]  # fmt: skip
PROGRAMS = [*_STREAMS, *_INPUT, *_ENDS, *_SURROUNDINGS, *_CHILDREN, *_OTHERS]
