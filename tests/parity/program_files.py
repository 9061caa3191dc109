"""Files of programs: in, out, what cannot come out, and names of every kind."""

from __future__ import annotations

from tests.parity.programs import program
from tests.parity.sides import Case

FILES: list[Case] = [
    program("one file in", "print(open('in.txt').read())", options=("--file", "in.txt"),
            files={"in.txt": "ü\n"}),
    program("a file under another name", "print(open('a/b.txt').read())",
            options=("--file", "in.txt:a/b.txt"), files={"in.txt": "x"}),
    program("a directory in", "import os\nfor d, s, f in sorted(os.walk('dir')):"
            " print(d, sorted(s), sorted(f))",
            options=("--file", "dir"), files={"dir/a.txt": "1", "dir/sub/b.txt": "2"}),
    program("modes of files in",
            "import os\nprint([oct(os.stat(n).st_mode) for n in ('run', 'a.t')])",
            options=("--file", "run", "--file", "a.t"), files={"run": "#!/bin/sh", "a.t": "x"}),
    program("an executable in", "import subprocess; print(subprocess.check_output('./run'))",
            options=("--file", "run"), files={"run": "#!/bin/sh\necho ran"}),
    program("a large file in", "import hashlib; d = open('big', 'rb').read();"
            " print(len(d), hashlib.md5(d).hexdigest())",
            options=("--file", "big.bin:big"), files={"big.bin": bytes(range(256)) * 8000}),
    program("a file outside the home directory", "print(open('/tmp/x/y').read())",
            options=("--file", "in.txt:/tmp/x/y"), files={"in.txt": "there"}),
    program("names of every kind", "import os; print(sorted(map(ascii, os.listdir())))",
            options=("--file", "a:ü b'\"$x", "--file", "a:-rf", "--file", "a:new\nline"),
            files={"a": "x"}),
    program("a module beside it", "import helper; print(helper.x)", options=("--file", "helper.py"),
            files={"helper.py": "x = 41"}),
    program("one file out", "open('out.bin', 'wb').write(bytes(range(256)))",
            options=("--get", "out.bin")),
    program("a file out of a failure", "open('o.txt', 'w').write('x'); raise SystemExit(3)",
            options=("--get", "o.txt"), ends="error"),
    program("a file out of a timeout", "import time\nopen('o.txt', 'w').write('x')\ntime.sleep(30)",
            options=("--get", "o.txt", "--timeout", "1"), ends="timeout"),
    program("an empty file out", "open('e', 'w')", options=("--get", "e")),
    program("a large file out", "open('big', 'wb').write(b'12345678' * 500_000)",
            options=("--get", "big")),
    program("a directory out", "import os\nos.makedirs('d/e/f')\n"
            "for n in ('d/a', 'd/e/b', 'd/e/.c'): open(n, 'w').write(n)", options=("--get", "d")),
    program("a file out under another name", "open('o', 'w').write('x')",
            options=("--get", "o:here/there.txt")),
    program("a file out of --cwd", "open('o', 'w').write('x')",
            options=("--cwd", "w", "--get", "w/o")),
    program("an absolute file out", "open('/tmp/o', 'w').write('x')", options=("--get", "/tmp/o")),
    program("modes of files out", "import os\nopen('o', 'w'); os.chmod('o', 0o4777)",
            options=("--get", "o")),
    program("links and FIFOs out", "import os\nos.mkdir('d'); open('d/a', 'w')\n"
            "os.symlink('/etc/passwd', 'd/link'); os.mkfifo('d/fifo')", options=("--get", "d"),
            unavoidable="special files"),
    program("a link out", "import os; open('a', 'w').write('x'); os.symlink('a', 'l')",
            options=("--get", "l")),
    program("a FIFO out", "import os; os.mkfifo('f')", options=("--get", "f")),
    program("a file that is not there", "print('ran')", options=("--get", "none.txt")),
    program("a directory that is not there", "print('ran')", options=("--get", "no/where/")),
    program("one of two is not there", "open('a', 'w').write('1')",
            options=("--get", "none", "--get", "a")),
    program("not there after a failure", "1/0", options=("--get", "none.txt"), ends="error"),
    program("a file that cannot be read", "import os; open('s', 'w').write('x'); os.chmod('s', 0)",
            options=("--get", "s"), unavoidable="root"),
    program("names out of every kind", "import os\nos.mkdir('d')\n"
            "for n in ('ü', 'a b', \"q'\", '$x'): open('d/' + n, 'w').write(n)",
            options=("--get", "d")),
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
