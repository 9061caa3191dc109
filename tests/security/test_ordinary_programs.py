"""What honest programs do works inside; each line of SECURITY's price list, by name."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from tests.security.probing import Probe

_WORKS = {
    "threads": """
import threading
results = []
threads = [threading.Thread(target=results.append, args=(n,)) for n in range(30)]
[t.start() for t in threads]; [t.join() for t in threads]
assert sorted(results) == list(range(30))
""",
    "subprocess": """
import subprocess
assert subprocess.check_output(["echo", "hi"]) == b"hi\\n"
assert subprocess.run("cat | tr a-z A-Z", shell=True, input=b"x", stdout=-1).stdout == b"X"
""",
    "multiprocessing": """
import multiprocessing as mp
def square(n): return n * n
if __name__ == "__main__":
    for method in ("fork", "spawn", "forkserver"):
        context = mp.get_context(method)
        with context.Pool(3) as pool:
            assert pool.map(square, range(10)) == [n * n for n in range(10)]
        queue = context.Queue()
        process = context.Process(target=queue.put, args=("hi",))
        process.start()
        assert queue.get(timeout=10) == "hi"
        process.join()
""",
    "process and thread pools": """
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
if __name__ == "__main__":
    for kind in (ProcessPoolExecutor, ThreadPoolExecutor):
        with kind(4) as pool:
            assert list(pool.map(abs, [-1, -2])) == [1, 2]
""",
    "shared memory": """
from multiprocessing import Array, Lock, Manager, shared_memory
if __name__ == "__main__":
    block = shared_memory.SharedMemory(create=True, size=1 << 20)
    block.buf[:5] = b"hello"
    other = shared_memory.SharedMemory(block.name)
    assert bytes(other.buf[:5]) == b"hello"
    other.close(); block.close(); block.unlink()
    with Lock(), Manager() as manager:
        assert manager.list([1, 2])[1] == 2
    assert list(Array("i", 3)) == [0, 0, 0]
""",
    "sockets": """
import os, socket, threading
for family, address in (
    (socket.AF_INET, ("127.0.0.1", 0)), (socket.AF_INET6, ("::1", 0)),
    (socket.AF_UNIX, "/tmp/s"), (socket.AF_UNIX, "\\0name"),
):
    server = socket.socket(family)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    server.bind(address); server.listen()
    client = socket.socket(family)
    client.connect(server.getsockname())
    peer, _ = server.accept()
    client.sendall(b"hi"); assert peer.recv(2) == b"hi"
    for s in (server, client, peer): s.close()
assert socket.gethostbyname("localhost") == "127.0.0.1"
assert socket.gethostbyname(socket.gethostname()) == "127.0.0.1"
a, b = socket.socketpair()
socket.send_fds(a, [b"x"], [0])
assert socket.recv_fds(b, 1, 1)[0] == b"x"
""",
    "a web server": """
import http.server, threading, urllib.request
server = http.server.ThreadingHTTPServer(("localhost", 0), http.server.SimpleHTTPRequestHandler)
threading.Thread(target=server.serve_forever, daemon=True).start()
assert urllib.request.urlopen(f"http://localhost:{server.server_port}/probe.py").status == 200
""",
    "temporary files": """
import os, tempfile
with tempfile.NamedTemporaryFile() as a, tempfile.TemporaryDirectory() as b:
    a.write(b"x"); os.symlink(a.name, b + "/link"); os.link(a.name, b + "/hard")
    os.mkfifo(b + "/fifo"); os.chmod(a.name, 0o600)
    os.rename(b + "/hard", b + "/soft")
os.makedirs(os.path.expanduser("~/.cache/x"))
""",
    "copies of files, without sendfile": """
import asyncio, os, shutil, socket, sys
shutil.copy(os.__file__, "a"); shutil.copyfile("a", "b")
shutil.copytree("/usr/share/zoneinfo", "c")
assert open("a").read() == open("b").read() == open(os.__file__).read()
ends = socket.socketpair()
with open("a", "rb") as file:
    assert ends[0].sendfile(file, count=1000) == 1000
assert ends[1].recv(2000) == open("a", "rb").read(1000)
async def main():
    async def serve(reader, writer):
        with open("a", "rb") as file:
            await asyncio.get_running_loop().sendfile(writer.transport, file)
        writer.close()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    assert await reader.read() == open("a", "rb").read()
    writer.close()
asyncio.run(main())
""",
    "locks": """
import fcntl
with open("l", "w") as a, open("l") as b:
    fcntl.flock(a, fcntl.LOCK_EX)
    try:
        fcntl.flock(b, fcntl.LOCK_EX | fcntl.LOCK_NB)
        raise SystemExit("two locks")
    except BlockingIOError:
        pass
    fcntl.flock(a, fcntl.LOCK_UN); fcntl.lockf(a, fcntl.LOCK_EX)
""",
    "sqlite": """
import sqlite3
db = sqlite3.connect("x.db"); db.execute("pragma journal_mode=wal")
db.execute("create table t (n)"); db.execute("insert into t values (1)"); db.commit()
assert db.execute("select n from t").fetchall() == [(1,)]
""",
    "unicode": """
import os, sys
name = "Grüße-日本語-🎉.txt"
open(name, "w").write("ß" * 10); assert name in os.listdir(".")
print("日本語 🎉 ß"); assert sys.getfilesystemencoding() == "utf-8"
assert sys.stdout.encoding == "utf-8"
""",
    "pipes and named pipes": """
import os, threading
os.mkfifo("p")
threading.Thread(target=lambda: open("p", "w").write("hi")).start()
assert open("p").read() == "hi"
r, w = os.pipe(); os.write(w, b"x"); assert os.read(r, 1) == b"x"
""",
    "signals": """
import os, signal, time
got = []
signal.signal(signal.SIGUSR1, lambda *_: got.append(1)); os.kill(os.getpid(), signal.SIGUSR1)
signal.setitimer(signal.ITIMER_REAL, 0.05); signal.signal(signal.SIGALRM, lambda *_: got.append(2))
time.sleep(0.2); assert got == [1, 2]
pid = os.fork()
if pid == 0:
    time.sleep(10)
os.kill(pid, signal.SIGTERM); assert os.waitpid(pid, 0)[1] == signal.SIGTERM
os.kill(os.getpid(), 0)
""",
    "asyncio": """
import asyncio, sys
async def main():
    process = await asyncio.create_subprocess_exec("echo", "hi", stdout=-1)
    assert (await process.communicate())[0] == b"hi\\n"
    server = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0)
    r, w = await asyncio.open_connection(*server.sockets[0].getsockname())
    assert await r.read() == b""
    w.close()
    await asyncio.to_thread(print, "x")
asyncio.run(main())
""",
    "ssl and hashes": """
import hashlib, hmac, random, secrets, ssl, uuid
assert ssl.create_default_context() and hashlib.sha256(b"x").hexdigest()
assert secrets.token_hex(8) and uuid.uuid4() and uuid.uuid1() and random.random() < 1
""",
    "locale and time": """
import datetime, getpass, locale, os, platform, pwd, time, zoneinfo
locale.setlocale(locale.LC_ALL, ""); assert time.tzname and platform.platform()
assert pwd.getpwuid(os.getuid()).pw_name == getpass.getuser() == "user"
assert os.path.expanduser("~") == os.getcwd() == "/home/user"
""",
    "terminals of its own": """
import os, pty
master, slave = os.openpty(); os.write(slave, b"x"); assert os.read(master, 1) == b"x"
pid, fd = pty.fork()
if pid == 0:
    os.execvp("tty", ["tty"])
assert b"/dev/pts" in os.read(fd, 100)
""",
    "memory maps": """
import mmap, os
with open("m", "wb") as f: f.truncate(1 << 20)
with open("m", "r+b") as f, mmap.mmap(f.fileno(), 0) as m:
    m[:2] = b"hi"; m.flush()
assert open("m", "rb").read(2) == b"hi"
""",
    "limits it sets for itself": """
import os, resource
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard))
assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 100
assert resource.prlimit(os.getpid(), resource.RLIMIT_NOFILE)[0] == 100
os.nice(1); os.sched_setaffinity(0, os.sched_getaffinity(0)); os.setpriority(os.PRIO_PROCESS, 0, 19)
""",
    "ctypes and machine code": """
import ctypes
assert ctypes.CDLL(None).strlen(b"abc") == 3
callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(lambda n: n + 1)
assert callback(1) == 2
""",
    "pip, venv and packaging tools": """
import subprocess, sys
subprocess.run([sys.executable, "-m", "venv", "--without-pip", "e"], check=True)
assert subprocess.check_output(["e/bin/python", "-c", "print(1)"]) == b"1\\n"
""",
}

_TOOLS = {
    "git": """
set -e
git init -q r && cd r && git config user.email a@b.c && git config user.name n
echo hi > f && git add f && git commit -qm "first" && git log --oneline | grep first
git clone -q . ../copy && test -f ../copy/f
""",
    "cp": """
set -e
cp -r /usr/share/zoneinfo a && cp -a a b && diff -r a b && cp --sparse=always /bin/bash c
cat c > d && cmp /bin/bash d && tee e < d > f && cmp e f && dd if=d of=g bs=64k && cmp d g
""",
    "tar": """
set -e
mkdir t && cp /bin/bash t && tar czf t.tar.gz t && mkdir u && tar xzf t.tar.gz -C u
cmp t/bash u/t/bash
""",
    "gcc": """
set -e
printf '#include <stdio.h>\\n#include <pthread.h>\\nint main(){puts("hi");return 0;}' > a.c
gcc -O1 -pthread a.c -o a && ./a | grep hi
""",
    "node": """
node -e "
const fs = require('fs'); fs.writeFileSync('x', '1'); console.log('hi', 1 + 1);
fs.copyFileSync('/bin/bash', 'y'); fs.copyFileSync('y', 'z'); fs.cpSync('z', 'w');
require('assert')(fs.readFileSync('w').equals(fs.readFileSync('/bin/bash')));
fs.createReadStream('w').pipe(fs.createWriteStream('v')).on('finish', () => console.log('done'));
" | grep done
""",
    "perl": 'perl -e \'print join(",", sort map { $_ * 2 } 1..3), "\\n"\' | grep 2,4,6',
    "bash": """
set -e
(sleep 0.1; echo one) & wait; echo "$BASH_VERSION" $$ | grep -q . ; diff <(echo a) <(echo a)
ulimit -n; ulimit -c 0; trap 'echo bye' EXIT; find / -maxdepth 1 | wc -l; ps >/dev/null || true
tar cf x.tar /etc/passwd 2>/dev/null && tar tf x.tar | grep passwd; mktemp; date; whoami
""",
    "make": "printf 'all:\\n\\techo made\\n' > Makefile && make -j2 | grep made",
}


_EACH = """
import json, os, subprocess
failed, given = {}, set(os.listdir())
for name, words in json.load(open("programs.json")).items():
    done = subprocess.run(words, stdin=-3, stdout=-1, stderr=-2, text=True)
    if done.returncode:
        failed[name] = [done.returncode, done.stdout[-2000:]]
    subprocess.run(["rm", "-rf", *set(os.listdir()) - given])
print(json.dumps(failed))
"""


@pytest.mark.crossed
def test_what_honest_programs_do_works(probe: Probe) -> None:
    tools = [tool for tool in _TOOLS if shutil.which(tool, path="/usr/local/bin:/usr/bin:/bin")]
    files = {f"{number}.py": text for number, text in enumerate(_WORKS.values())}
    programs = {name: ["python3", file] for name, file in zip(_WORKS, files, strict=True)}
    programs |= {tool: ["bash", "-c", _TOOLS[tool]] for tool in tools}
    files["programs.json"] = json.dumps(programs)
    report = probe(_EACH, files=files, timeout=120)
    assert report.answer == {}
    assert (report.outcome, report.survivors) == ("ok", 0)


def test_a_program_opens_its_standard_streams_by_name(probe: Probe) -> None:
    report = probe(
        """
        import subprocess
        open("/dev/stdin").read()
        open("/dev/stderr", "w").write("")
        subprocess.run("echo true > /dev/stdout; true > /dev/stderr", shell=True, check=True)
        """
    )
    assert (report.outcome, report.answer) == ("ok", True)


@pytest.mark.crossed
@pytest.mark.skipif(not shutil.which("lscpu"), reason="lscpu is not there")
def test_lscpu_counts_the_cores_that_the_host_has(probe: Probe) -> None:
    """joblib asks it, and scikit-learn joblib: they warn on stderr where it fails."""
    outside = subprocess.run(["lscpu", "-p=cpu,core"], capture_output=True, text=True, check=False)
    inside = probe(
        "import json, subprocess\n"
        'done = subprocess.run(["lscpu", "-p=cpu,core"], capture_output=True, text=True)\n'
        "print(json.dumps([done.returncode, done.stdout]))"
    )
    assert inside.answer == [outside.returncode, outside.stdout]


@pytest.mark.crossed
def test_exit_codes_and_signals_are_the_program_s_own(probe: Probe) -> None:
    assert probe("raise SystemExit(7)").exit_code == 7
    died = probe("import os; os.kill(os.getpid(), 11)")
    assert (died.outcome, died.exit_code, died.signal) == ("error", 139, 11)
