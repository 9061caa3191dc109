"""`python -m tests.benchmarks.cloud [CASES [SECONDS]]`: a batch in a cloud that is simulated.

`e2brun serve --max-sandboxes 20` behind a proxy: 80 ms a round trip, 2 % of requests failing. Each
case sleeps SECONDS. Ideal is that every one of the 20 is always in use, and that a case costs its
own time and three round trips (create, run, kill).

throughput   at least 90 % of that, where the machine has room for 20 sandboxes
in use       how much of the time each of the 20 had a case, whatever the machine made of it
results      every case exactly one, and a true one
left         no sandbox
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from tests.benchmarks.faulty_proxy import FaultyProxy
from tests.benchmarks.measure import E2BRUN
from tests.conftest import clean_environment

_MOST, _ROUND_TRIP, _SHARE = 20, 0.08, 0.02
_KEY = "e2b_" + "0" * 40


def main(cases: int = 600, seconds: float = 1.5) -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with (directory / "c.jsonl").open("w") as file:
            for number in range(cases):
                code = f"import time; time.sleep({seconds}); assert {number} % 10"
                file.write(json.dumps({"id": number, "code": code}) + "\n")
        service = subprocess.Popen(
            [*E2BRUN, "serve", "--max-sandboxes", str(_MOST), "--key", _KEY, "--json", "-q"],
            cwd=directory,
            env=clean_environment(),
            stdout=subprocess.PIPE,
            text=True,
        )
        assert service.stdout is not None
        said = service.stdout.readline()
        port = int(re.findall(r":(\d+)", said)[0])
        try:
            _measure(directory, port, cases, seconds)
        finally:
            service.send_signal(signal.SIGTERM)
            service.wait(20)


def _measure(directory: Path, port: int, cases: int, seconds: float) -> None:
    with FaultyProxy(port, delay=_ROUND_TRIP, share=_SHARE) as proxy:
        keys = {"E2B_API_KEY": _KEY, "E2B_API_URL": proxy.url, "E2B_SANDBOX_URL": proxy.url}
        keys["E2BRUN_STATE_DIR"] = str(directory / "state")
        began = time.monotonic()
        ran = subprocess.run(
            [*E2BRUN, "batch", "--jsonl", "c.jsonl", "-o", "out.jsonl"],
            cwd=directory,
            env=clean_environment(keys),
            capture_output=True,
            text=True,
            check=False,
        )
        took = time.monotonic() - began
        print(ran.stderr.strip()[-600:])
        print(f"{proxy.faults} of {proxy.requests} requests failed")
    lines = [json.loads(line) for line in (directory / "out.jsonl").read_text().splitlines()]
    true = {str(n): "passed" if n % 10 else "failed" for n in range(cases)}
    found = {line["id"]: line["verdict"] for line in lines}
    first, last = min(x["started"] for x in lines), max(x["started"] + x["seconds"] for x in lines)
    ideal = cases * (seconds + 3 * _ROUND_TRIP) / _MOST
    print(f"results      {len(lines)} of {cases}, {'all true' if found == true else 'NOT TRUE'}")
    print(f"throughput   {ideal / (last - first):.1%} of ideal ({ideal:.1f} s; whole {took:.1f} s)")
    used = sum(line["seconds"] for line in lines) / (last - first) / _MOST
    print(f"in use       {used:.1%} of the time, as cases see it")
    print(f"left         {_left(port)} sandboxes")


def _left(port: int) -> int:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v2/sandboxes", headers={"X-API-KEY": _KEY}
    )
    end = time.monotonic() + 20
    while True:
        with urllib.request.urlopen(request) as answer:
            count = len(json.load(answer))
        if not count or time.monotonic() > end:
            return count
        time.sleep(0.2)


if __name__ == "__main__":
    main(*(kind(word) for kind, word in zip((int, float), sys.argv[1:], strict=False)))
