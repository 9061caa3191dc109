"""Packages of the template that a sandbox of the service does not start with."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from e2brun.sandbox.contract import USUAL_ROOM
from e2brun.sandbox.local.host.contexts import Contexts
from e2brun.sandbox.local.host.demand import Demand
from e2brun.sandbox.local.host.execution import RequestedCell, execute
from e2brun.sandbox.local.interpreter import current_interpreter
from e2brun.sandbox.local.isolation.bubblewrap import Bubblewrap
from e2brun.sandbox.local.isolation.driver import Driver, Jail, new_id
from e2brun.sandbox.local.isolation.forkserver import Forkserver
from e2brun.sandbox.local.packages.installed import installed_layer
from e2brun.sandbox.local.packages.supply import Packages
from e2brun.server.sandboxes.templates import PackagesOnDemand, with_install
from e2brun.settings import load_settings
from tests.contract.wheelhouse import wheel
from tests.server.inside import living

Ask = Callable[..., list[str]]


@pytest.fixture(params=["bubblewrap", "forkserver"])
def driver(request: pytest.FixtureRequest) -> Iterator[Driver]:
    if request.param == "bubblewrap":
        yield Bubblewrap()
        return
    forkserver = Forkserver()
    yield forkserver
    forkserver.close()


@pytest.fixture
def packages(tmp_path: Path) -> Packages:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for name in ("tabulate", "xlrd"):
        wheel(wheels, name, {f"{name}.py": f"NAME = {name!r}\n"})
    environment = {
        "PATH": os.defpath,
        "HOME": str(tmp_path),
        "UV_FIND_LINKS": str(wheels),
        "PIP_NO_INDEX": "1",
    }
    log = logging.getLogger("e2brun.server")
    return Packages(tmp_path / "cache", environment, log.warning, USUAL_ROOM)


@pytest.fixture
def ask(driver: Driver, packages: Packages) -> Ask:
    """What cells of one sandbox print, or the names of the errors they end with."""

    async def run(codes: tuple[str, ...], *, fetch: bool) -> list[str]:
        on_demand = PackagesOnDemand(packages, 60, fetch=fetch)
        python = current_interpreter()
        ipython = str(installed_layer(load_settings().cache_dir, python))
        jail = Jail(
            new_id(),
            python,
            layer=ipython,
            notebook=True,
            template_layers=str(on_demand.directory),
            service=True,
        )
        async with living(jail, driver) as live, asyncio.timeout(60):
            live.more_packages = on_demand
            contexts = live.part(Contexts)
            return [await _said(contexts, code) for code in codes]

    def asked(*codes: str, fetch: bool = True) -> list[str]:
        return asyncio.run(run(codes, fetch=fetch))

    return asked


async def _said(contexts: Contexts, code: str) -> str:
    lines = execute(contexts, contexts.default("python"), RequestedCell(code, {}))
    told = [json.loads(line) for line in b"".join([p async for p in lines]).splitlines()]
    return "".join(e.get("text", e.get("name", "")) for e in told if e["type"] in _SHOWN)


_SHOWN = ("stdout", "stderr", "error")
_STARTED = "import subprocess, sys; subprocess.run([sys.executable, '-c', {!r}])"


def test_a_cell_that_imports_one_gets_it_and_so_does_what_it_starts(ask: Ask) -> None:
    outside = "import tabulate, xlrd; print(xlrd.NAME)"
    assert ask(
        "1",
        "import tabulate; print(tabulate.NAME)",
        "import xlrd; print(xlrd.NAME)",
        f"{_STARTED.format(outside)}.returncode",
        "import sys; sys.path[0]; import outsider",
    ) == ["", "tabulate\n", "xlrd\n", "xlrd\n", "ModuleNotFoundError"]


def test_one_that_cannot_be_had_is_missing_and_the_services_log_says_why(
    ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "e2brun.server"):
        assert ask("import bokeh", "import bokeh") == ["ModuleNotFoundError"] * 2
    assert sum("bokeh cannot be had" in line for line in caplog.messages) == 1


def test_without_fetching_only_what_is_there_is_found(ask: Ask, packages: Packages) -> None:
    packages.template(60).layer(["tabulate"], current_interpreter())
    codes = ("import tabulate; print(tabulate.NAME)", "import xlrd")
    outside = f"{_STARTED.format('import tabulate; print(1); import xlrd')}.returncode"
    said, *told = ask(outside, *codes, fetch=False)
    assert said.startswith("1\n")
    assert said.endswith("ModuleNotFoundError: No module named 'xlrd'\n")
    assert told == ["tabulate\n", "ModuleNotFoundError"]


class _Noted:
    """Packages that cannot be had; notes who asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.at_once, self.most = 0, 0

    def missing(self, code: str, _jail: Jail) -> frozenset[str]:
        self.asked.append(code)
        return frozenset({code})

    async def place(self, _names: Iterable[str]) -> str | None:
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        return None


async def _flood(noted: _Noted) -> None:
    async with living(Jail(new_id(), current_interpreter(), service=True)) as live:
        live.more_packages = noted
        for number in range(20_000):
            live.part(Demand).wanted(f"m{number % 1000}")
            if number % 100 == 0:
                await asyncio.sleep(0)
        async with asyncio.timeout(30):
            while len(noted.asked) < 60 or noted.at_once:
                await asyncio.sleep(0.01)


def test_an_agent_that_asks_without_end_is_heard_a_few_times_one_after_the_other() -> None:
    noted = _Noted()
    asyncio.run(_flood(noted))
    assert len(noted.asked) == len(set(noted.asked)) == 60
    assert noted.most == 1


def test_what_the_service_is_told_to_install_replaces_the_templates_version() -> None:
    assert with_install(("numpy", "tqdm"), ("NumPy==2.4", "mine")) == ("tqdm", "NumPy==2.4", "mine")
