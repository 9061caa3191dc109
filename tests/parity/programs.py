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
    program("arguments", _ARGV, "a", "b c", "", "-x", "--", "*", "$HOME", "'\"", "ü", "\n",
            "a\udcffb", *map(str, range(200))),
    program("options of ours after the file", _ARGV + "; sys.exit(1)", "--json", ends="error"),
    program("a character in two pieces",
            "import os, time\nfor b in '€'.encode(): os.write(1, bytes([b])); time.sleep(0.02)"),
    program("NUL, escapes, emoji and combining",
            "print('\\0 \\x1b[31mred\\x1b[0m \\x1b]0;t\\x07 \\x9b \\u2028')\n"
            "print('👩‍👩‍👧 e\\u0301 \\U0001F600')"),
    program("surrogates cannot be printed", "print('\\ud800')", ends="error"),
    program("bytes of every kind, and no newline at the end",
            "import os; os.write(1, bytes(range(256)) + b'\\xff\\xc3b\\xed\\xa0\\x80c\\rd\\r\\n')"),
    program("many lines and a long one",
            "for i in range(20_000): print(i)\nprint('x' * 1_000_000)"),
    program("more than may be kept", "import sys\nprint('x' * 3000); print('y' * 10)\n"
            "print('x' * 3000, file=sys.stderr)",
            options=("--max-output", "1K")),
    program("closes its stdout", "import os; os.write(1, b'a'); os.close(1); os._exit(3)",
            ends="error"),
    program("closes everything", "import os; os.closerange(0, 256); os._exit(0)"),
    program("not utf-8, not declared", b"print('\xe9')", ends="error"),
]  # fmt: skip
_INPUT = [
    program("input() without input", "input('name? ')", ends="error"),
    program("binary stdin passed on", "import sys; print(len(sys.stdin.buffer.read()))",
            options=("-i",), stdin=bytes(range(256)) * 2000),
    program("stdin that nobody reads", "print('done')", options=("-i",), stdin=b"x" * 300_000),
    Case("a program from stdin with arguments", ("-", "a", "b"),
         stdin=b"import sys; print(sys.argv, __name__); 1/0", ends="error"),
    Case("-i and a program from stdin", ("-i", "-"), ends="usage"),
]  # fmt: skip
_ENDS = [
    program("sys.exit('words')", "import sys; sys.exit('words')", ends="error"),
    program("exit code 256", "import sys; sys.exit(256)"),
    program("exit code 139 without a signal", "import sys; sys.exit(139)", ends="error"),
    program("os._exit", "import os; print('lost'); os._exit(7)", ends="error"),
    program("an exception", "def f():\n    raise ValueError('a\\nb')\nf()", ends="error"),
    program("a group of exceptions with a note, raised from another",
            "try:\n    1/0\nexcept Exception as e:\n"
            "    g = ExceptionGroup('g', [ValueError(1), TypeError(2)]); g.add_note('note')\n"
            "    raise g from e", ends="error"),
    program("a missing module", "import nonesuch.deep", ends="error"),
    program("KeyboardInterrupt", "raise KeyboardInterrupt", ends="error"),
    program("a warning, an exception in a thread, atexit and finally",
            "import atexit, threading, warnings\natexit.register(print, 'bye')\n"
            "warnings.warn('careful')\n"
            "t = threading.Thread(target=lambda: 1/0, name='t'); t.start(); t.join()\n"
            "try:\n    raise SystemExit(4)\nfinally:\n    print('f')", ends="error"),
    program("SIGKILL to itself", "import os; os.kill(os.getpid(), 9)", ends="killed"),
    program("SIGXCPU to itself", "import os; os.kill(os.getpid(), 24)", ends="timeout"),
    program("a signal for real time", "import os; os.kill(os.getpid(), 40)", ends="error"),
    program("time limit", "import time; print('in', flush=True); time.sleep(30)", ends="timeout",
            options=("--timeout", "1")),
    program("last words at the time limit", "import signal, sys, time\n"
            "signal.signal(15, lambda *_: (print('bye', flush=True), sys.exit(0)))\n"
            "time.sleep(30)", ends="timeout", options=("--timeout", "1")),
    program("deaf at the time limit", "import signal, time\nsignal.signal(15, signal.SIG_IGN)\n"
            "print('deaf', flush=True)\ntime.sleep(30)", ends="timeout",
            options=("--timeout", "1")),
    program("out of memory", "x = [bytearray(b'1') * 10_000_000 for _ in range(10**6)]",
            ends="oom", unavoidable="memory"),
]  # fmt: skip
_SURROUNDINGS = [
    program("where and who it is, and its streams and signals",
            "import locale, os, pwd, signal, sys\n"
            "print(os.getcwd(), __file__, __name__, sys.path[0])\n"
            "print(os.getuid(), os.getgid(), pwd.getpwuid(os.getuid()).pw_name,"
            " os.path.expanduser('~'), os.getpid() == os.getsid(0) == os.getpgrp())\n"
            "print(sys.stdout.isatty(), sys.stdin.isatty(), sys.stdout.encoding,"
            " sys.stdin.encoding, sys.getfilesystemencoding(), locale.getpreferredencoding())\n"
            "print([(n, str(signal.getsignal(n))) for n in (1, 2, 13, 15, 17)],"
            " signal.pthread_sigmask(0, []))"),
    program("--cwd that is made", "import os; print(os.getcwd(), os.listdir())",
            options=("--cwd", "~/a/b c/ü")),
    program("--cwd outside the home directory", "import os; print(os.getcwd(),"
            " os.stat('.').st_uid == os.getuid()); open('x', 'w')", options=("--cwd", "/data/x y")),
    program("--cwd that cannot be made", "1", options=("--cwd", "/etc/passwd"),
            ends="infrastructure"),
    program("a module beside it that was not sent", "import helper", ends="error",
            files={"helper.py": ""}),
    program("--with-imports", "import helper, pkg.sub; print(helper.x, pkg.sub.y)",
            options=("--with-imports", "-v"), files={
                "helper.py": "from pkg.sub import y as x", "pkg/__init__.py": "",
                "pkg/sub.py": "y = 2",
            }),
    program("--cwd in the way", "print('never')", ends="usage",
            options=("--file", "d.txt", "--cwd", "d.txt"), files={"d.txt": "x"}),
    program("environment, from a file as well, and nothing of the caller's",
            "import os; print({k: os.environ.get(k) for k in ('A', 'B', 'C', 'HOME', 'MINE')})",
            options=("--env", "A=1", "--env", "B=x y\n'$", "--env-file", "e.env"),
            files={"e.env": "A=2\n# c\nC='two words'\n"}, env={"MINE": "secret"}),
    program("all of the environment", "import os\nprint(sorted(k for k in os.environ"
            " if not k.startswith('E2B')))"),
    program("PATH of the user's", "import subprocess; print(subprocess.check_output('tool'))",
            options=("--env", "PATH=/home/user/bin:/usr/bin:/bin", "--file", "tool:bin/tool"),
            files={"tool": "#!/bin/sh\necho tool"}),
    program("time zone, locale, umask and descriptors", "import os, time\n"
            "print(time.tzname, os.environ.get('LANG'), oct(os.umask(0)))\n"
            "print(sorted(os.listdir('/proc/self/fd'))[:3])"),
    program("no network", "import socket; socket.create_connection(('10.255.255.1', 80), 3)",
            ends="error"),
    program("a file name with a dash", "import sys; print(sys.argv)", "x", file="-prog.py",
            options=("--",)),
    program("a file name with spaces", "print(__file__)", file="deep/er/my ünï prog.py"),
]  # fmt: skip
_CHILDREN = [
    program("what children print and how they end, and no others",
            "import asyncio, os, subprocess, sys, threading\n"
            "subprocess.run(['echo', 'child'])\n"
            "try: os.wait()\nexcept ChildProcessError: print('none', flush=True)\n"
            "print(subprocess.run(['sh', '-c', 'kill -9 $$']).returncode, flush=True)\n"
            "async def f():\n    p = await asyncio.create_subprocess_exec('true')\n"
            "    return await p.wait()\nprint(asyncio.run(f()))\n"
            "ts = [threading.Thread(target=print, args=(i,)) for i in range(3)]\n"
            "for t in ts: t.start(); t.join()\n"
            "sys.exit(subprocess.run(['sh', '-c', 'exit 9']).returncode)", ends="error"),
    program("a child that holds its output", "import subprocess\nprint('out')\n"
            "subprocess.Popen(['sleep', '60'])"),
    program("a killed program whose child holds its output", "import os, subprocess\n"
            "subprocess.Popen(['sleep', '60'])\nos.kill(os.getpid(), 11)", ends="error"),
    program("a daemon", "import os, time\nif os.fork() == 0:\n    os.setsid()\n"
            "    if os.fork() == 0: time.sleep(60)\n    os._exit(0)\nos.wait()\nprint('left')"),
    program("sudo makes root, whose files are there", "import os, sys\n"
            "os.system('sudo whoami; whoami; sudo id -u; sudo tee /etc/mine < prog.py')\n"
            "os.system('sudo -u user whoami; X=1 sudo sh -c \"echo $HOME $USER $X $SUDO_USER\"')\n"
            "print(open('/etc/mine').read(), os.system('sudo false'))"),
    program("kill 0", "import os; os.kill(0, 15)", ends="error"),
    program("multiprocessing", "import multiprocessing as m\n"
            "if __name__ == '__main__':\n    with m.Pool(2) as p: print(p.map(abs, [-1, -2]))"),
]  # fmt: skip
_OTHERS = [
    program("a shell script", "echo \"$0 $#\" \"$@\"; exit 4", "a b", "c", file="s.sh",
            ends="error"),
    program("a signal in a script", "kill -TERM $$", file="s.sh", ends="error"),
    program("a script known by its first line", "#!/usr/bin/env python3\nprint('py')",
            file="tool"),
    program("javascript that throws", "throw new TypeError('no')", file="j.js", ends="error"),
    program("a module of javascript", "import fs from 'fs'; console.log(typeof fs.readFileSync,"
            " await 7, process.argv.slice(2)); process.exit(5)", "x", file="j.mjs", ends="error"),
    Case("a file that is not there", ("nonesuch.py",), ends="usage"),
    Case("a file of no known kind", ("x.xyz",), {"x.xyz": "?"}, ends="usage"),
    Case("a directory", ("d",), {"d/x": "?"}, ends="usage"),
    Case("nothing to run", (), ends="usage"),
    Case("an option that there is not", ("--nonesuch", "x.py"), ends="usage"),
    Case("a time limit that is none", ("--timeout", "soon", "x.py"), {"x.py": ""}, ends="usage"),
]  # fmt: skip
PROGRAMS = [*_STREAMS, *_INPUT, *_ENDS, *_SURROUNDINGS, *_CHILDREN, *_OTHERS]
