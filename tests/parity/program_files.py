"""Files of programs: in, out, what cannot come out, and names of every kind."""

from __future__ import annotations

from tests.parity.programs import program
from tests.parity.sides import Case

FILES: list[Case] = [
    program("files and directories in, under any name",
            "import os\nnames = 'in.txt', 'a/b.txt', '/tmp/x/y', '/data/in/z'\n"
            "print([open(n).read() for n in names])\n"
            "for d, s, f in sorted(os.walk('dir')): print(d, sorted(s), sorted(f))\n"
            # E2B's home has dot-files of its own.
            "print(sorted(ascii(name) for name in os.listdir() if name[0] != '.'))",
            options=("--file", "in.txt", "--file", "in.txt:a/b.txt", "--file", "in.txt:/tmp/x/y",
                     "--file", "in.txt:/data/in/z",
                     "--file", "dir", "--file", "in.txt:ü b'\"$x", "--file", "in.txt:-rf",
                     "--file", "in.txt:new\nline"),
            files={"in.txt": "ü\n", "dir/a.txt": "1", "dir/sub/b.txt": "2"}),
    program("modes of files in, and a large one",
            "import hashlib, os, subprocess\n"
            "print([oct(os.stat(n).st_mode) for n in ('run', 'a.t')])\n"
            "print(subprocess.check_output('./run'))\n"
            "d = open('big', 'rb').read(); print(len(d), hashlib.md5(d).hexdigest())",
            options=("--file", "run", "--file", "a.t", "--file", "big.bin:big"),
            files={"run": "#!/bin/sh\necho ran", "a.t": "x",
                   "big.bin": bytes(range(256)) * 8000}),
    program("files out",
            "import os\nopen('out.bin', 'wb').write(bytes(range(256))); open('e', 'w')\n"
            "open('big', 'wb').write(b'12345678' * 500_000); open('/tmp/o', 'w').write('x')\n"
            "open('m', 'w'); os.chmod('m', 0o4777)",
            options=("--get", "out.bin:here/there.bin", "--get", "e", "--get", "big",
                     "--get", "/tmp/o", "--get", "m")),
    program("a file out of a failure, and one that is not there",
            "open('o.txt', 'w').write('x'); raise SystemExit(3)",
            options=("--get", "o.txt", "--get", "none.txt"), ends="error"),
    program("a file out of a timeout", "import time\nopen('o.txt', 'w').write('x')\ntime.sleep(30)",
            options=("--get", "o.txt", "--timeout", "1"), ends="timeout"),
    program("a directory out, with names of every kind", "import os\nos.makedirs('d/e/f')\n"
            "for n in ('a', 'e/b', 'e/.c', 'ü', 'a b', \"q'\", '$x'): open('d/' + n, 'w').write(n)",
            options=("--get", "d")),
    program("a file out of --cwd", "open('o', 'w').write('x')",
            options=("--cwd", "w", "--get", "w/o")),
    program("links and FIFOs out", "import os\nos.mkdir('d'); open('d/a', 'w')\n"
            "os.symlink('/etc/passwd', 'd/link'); os.mkfifo('d/fifo')", options=("--get", "d"),
            unavoidable="special files"),
    program("one of many is there, and one a link",
            "import os; open('a', 'w').write('1'); os.symlink('a', 'l'); os.mkfifo('f')",
            options=("--get", "none", "--get", "a", "--get", "l", "--get", "f",
                     "--get", "no/where/")),
    program("a file that cannot be read", "import os; open('s', 'w').write('x'); os.chmod('s', 0)",
            options=("--get", "s"), unavoidable="root"),
    program("a name that is not safe", "import os\nos.mkdir('d'); open('d/-rf', 'w')",
            options=("--get", "d")),
    program("too large for the disk", "import os\nopen('small', 'w').write('x')\n"
            "with open('big', 'wb') as f:\n    for _ in range(700): f.write(bytes(2**20))",
            options=("--get", "small"), ends="error"),
    program("a file in that is not there", "", options=("--file", "none"), ends="usage"),
    program("a file over a directory", "print('never')",
            options=("--file", "a:d/x", "--file", "a:d"), files={"a": "x"}, ends="infrastructure"),
    program("a file where there may be none", "print('never')",
            options=("--file", "a:/proc/x"), files={"a": "x"}, ends="infrastructure"),
]  # fmt: skip
