"""Where settings come from, and what a checked-out repository may not do with them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from e2brun.cli.serve import KEY_VARIABLE
from e2brun.errors import UsageError
from e2brun.sandbox.contract import Limits
from e2brun.settings import _PYPROJECT_KEYS, load_settings
from e2brun.values import Network

KEY = "e2b_0123456789abcdef"


def pyproject(directory: Path, body: str) -> None:
    (directory / "pyproject.toml").write_text(f'[project]\nname = "x"\n\n[tool.e2brun]\n{body}')


def dotenv(directory: Path, text: str) -> None:
    (directory / ".env").write_text(text)


def test_without_anything_set_the_defaults_hold(tmp_path: Path) -> None:
    settings = load_settings(tmp_path, {"HOME": "/home/someone"})
    assert (settings.on, settings.api_key, settings.timeout) == ("auto", None, 30.0)
    assert settings.network is None
    assert settings.max_output == 10 * 1024 * 1024
    assert settings.cache_dir == Path("/home/someone/.cache/e2brun")
    limits = Limits()
    assert (settings.memory, settings.processes, settings.disk) == (
        limits.memory,
        limits.processes,
        limits.disk,
    )
    assert settings.notices == ()


def test_flag_beats_environment_beats_dotenv_beats_pyproject(tmp_path: Path) -> None:
    pyproject(tmp_path, "timeout = 1\n")
    assert load_settings(tmp_path, {}).timeout == 1
    dotenv(tmp_path, "E2BRUN_TIMEOUT=2s\n")
    assert load_settings(tmp_path, {}).timeout == 2
    environ = {"E2BRUN_TIMEOUT": "3"}
    assert load_settings(tmp_path, environ).timeout == 3
    assert load_settings(tmp_path, environ, timeout="4s", on=None).timeout == 4
    assert load_settings(tmp_path, environ, timeout=0.05).timeout == 0.05


def test_every_variable_of_the_example_is_read_and_every_one_read_is_in_it(tmp_path: Path) -> None:
    values = {
        "E2B_API_KEY": KEY,
        "E2B_KEY": "another",
        "E2B_API_URL": "http://127.0.0.1:1",
        "E2B_SANDBOX_URL": "http://127.0.0.1:2",
        "E2B_DOMAIN": "e2b.example",
        "E2BRUN_ON": "local",
        "E2BRUN_TIMEOUT": "5m",
        "E2BRUN_TEMPLATE": "mine",
        "E2BRUN_MEMORY": "1G",
        "E2BRUN_PROCESSES": "7",
        "E2BRUN_DISK": "64M",
        "E2BRUN_MAX_OUTPUT": "0",
        "E2BRUN_NETWORK": "yes",
        "E2BRUN_FETCH": "no",
        "E2BRUN_PYTHON": "/usr/bin/python3",
        "E2BRUN_INSTALL_TIMEOUT": "2m",
        "E2BRUN_INSTALL_SIZE": "16G",
        "E2BRUN_CACHE_SIZE": "40G",
        "E2BRUN_TOTAL_MEMORY": "8G",
        "E2BRUN_TOTAL_DISK": "9G",
        "E2BRUN_CACHE_DIR": "/var/cache/e",
        "E2BRUN_STATE_DIR": "/var/lib/e",
        "E2BRUN_SERVE_STATE": "/var/lib/s",
        "E2BRUN_STORE": "/var/lib/r.sqlite",
        "NO_COLOR": "1",
    }
    settings = load_settings(tmp_path, values)
    assert settings.api_key == KEY
    assert settings.api_url == "http://127.0.0.1:1"
    assert settings.sandbox_url == "http://127.0.0.1:2"
    assert (settings.domain, settings.on, settings.timeout) == ("e2b.example", "local", 300.0)
    assert (settings.template, settings.memory, settings.processes) == ("mine", 1024**3, 7)
    assert (settings.disk, settings.max_output, settings.network) == (64 * 1024**2, 0, "internet")
    assert (settings.fetch, settings.serve_state) == (False, Path("/var/lib/s"))
    assert (settings.python, settings.cache_dir) == ("/usr/bin/python3", Path("/var/cache/e"))
    assert (settings.install_timeout, settings.install_size) == (120.0, 16 * 1024**3)
    assert settings.cache_size == 40 * 1024**3
    assert (settings.total_memory, settings.total_disk) == (8 * 1024**3, 9 * 1024**3)
    assert settings.state_dir == Path("/var/lib/e")
    assert settings.store == Path("/var/lib/r.sqlite")
    assert settings.no_color
    assert settings.notices == ()  # the user's own environment needs no comment
    example = (Path(__file__).parents[2] / ".env.example").read_text().splitlines()
    named = {line.removeprefix("# ").partition("=")[0] for line in example if "=" in line}
    assert named == {*values.keys(), KEY_VARIABLE}


def test_the_example_is_a_valid_dotenv_that_sets_nothing_dangerous(tmp_path: Path) -> None:
    dotenv(tmp_path, (Path(__file__).parents[2] / ".env.example").read_text())
    assert load_settings(tmp_path, {}) == load_settings(tmp_path / "elsewhere", {})


def test_an_empty_variable_is_not_set(tmp_path: Path) -> None:
    dotenv(tmp_path, "E2BRUN_TIMEOUT=7\nE2B_API_KEY=\n")
    settings = load_settings(tmp_path, {"E2BRUN_TIMEOUT": "", "E2B_API_KEY": "", "E2B_KEY": KEY})
    assert settings.timeout == 7
    assert settings.api_key == KEY


def test_the_environment_is_read_unless_another_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("E2BRUN_TEMPLATE", "mine")
    monkeypatch.chdir(tmp_path)
    assert load_settings().template == "mine"
    assert load_settings(environ={}).template is None


def test_the_key_is_in_no_repr_and_no_error(tmp_path: Path) -> None:
    settings = load_settings(tmp_path, {"E2B_API_KEY": KEY})
    assert settings.api_key == KEY
    assert KEY not in repr(settings)
    with pytest.raises(UsageError) as caught:
        load_settings(tmp_path, {"E2B_API_KEY": f"{KEY}\nX: y"})
    assert "E2B_API_KEY" in str(caught.value)
    assert KEY not in str(caught.value)
    dotenv(tmp_path, f"X=1\nE2B_API_KEY='{KEY}\n")
    with pytest.raises(UsageError, match=r"\.env:2: E2B_API_KEY: .*never closed") as caught:
        load_settings(tmp_path, {})
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["A B C\n", "x: y\n", "URL='never closed\n", "${A}\n", "A='1' 2\n"]
)
def test_the_odd_lines_of_another_tools_dotenv_are_none_of_our_business(
    tmp_path: Path, text: str
) -> None:
    dotenv(tmp_path, f"{text}E2BRUN_TEMPLATE=mine\n")
    assert load_settings(tmp_path, {}).template == "mine"


def test_a_line_inside_a_quoted_value_sets_nothing(tmp_path: Path) -> None:
    dotenv(tmp_path, f'NOTE="\nE2B_API_KEY={KEY}\n"\n')
    assert load_settings(tmp_path, {}).api_key is None


def test_a_directory_or_fifo_called_dotenv_is_passed_by(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    assert load_settings(tmp_path, {}).api_key is None
    (tmp_path / "b").mkdir()
    os.mkfifo(tmp_path / "b" / ".env")
    assert load_settings(tmp_path / "b", {}).api_key is None


@pytest.mark.parametrize("variable", ["E2B_API_URL", "E2B_SANDBOX_URL", "E2B_DOMAIN"])
def test_a_dotenv_cannot_send_the_users_key_to_another_host(tmp_path: Path, variable: str) -> None:
    value = "evil.example" if variable == "E2B_DOMAIN" else "https://evil.example"
    dotenv(tmp_path, f"{variable}={value}\n")
    with pytest.raises(UsageError, match=rf"\.env:1: {variable} is not used with the key from"):
        load_settings(tmp_path, {"E2B_API_KEY": KEY})
    with pytest.raises(UsageError, match="the key from --api-key"):
        load_settings(tmp_path, {}, api_key=KEY)
    dotenv(tmp_path, f"{variable}={value}\nE2B_API_KEY=their_own\n")
    with pytest.raises(UsageError, match="could have that key sent to another host"):
        load_settings(tmp_path, {"E2B_API_KEY": KEY})


def test_an_endpoint_of_a_dotenv_goes_with_the_key_beside_it_and_is_announced(
    tmp_path: Path,
) -> None:
    dotenv(tmp_path, f"E2B_KEY={KEY}\nE2B_DOMAIN=e2b.example\n")
    settings = load_settings(tmp_path, {})
    assert (settings.api_key, settings.domain) == (KEY, "e2b.example")
    assert sorted(settings.notices) == [
        ".env:1: using the E2B key from this file",
        ".env:2: using the E2B endpoint e2b.example",
    ]
    assert load_settings(tmp_path, {"E2B_API_KEY": KEY}).domain == "e2b.example"  # it knows it


def test_the_users_own_endpoint_beats_that_of_a_dotenv(tmp_path: Path) -> None:
    dotenv(tmp_path, "E2B_DOMAIN=evil.example\n")
    environ = {"E2B_API_KEY": KEY, "E2B_DOMAIN": "e2b.example"}
    assert load_settings(tmp_path, environ).domain == "e2b.example"


def test_an_endpoint_that_nothing_is_sent_to_harms_nobody(tmp_path: Path) -> None:
    dotenv(tmp_path, "E2B_DOMAIN=e2b.example\n")
    assert load_settings(tmp_path, {}).domain is None
    assert load_settings(tmp_path, {"E2B_API_KEY": KEY}, on="local").domain is None


def test_a_dotenv_cannot_choose_where_packages_come_from(tmp_path: Path) -> None:
    dotenv(tmp_path, "E2BRUN_CACHE_DIR=poisoned\n")
    with pytest.raises(UsageError, match=r"\.env:1: E2BRUN_CACHE_DIR is read from the environment"):
        load_settings(tmp_path, {})


def test_a_project_file_cannot_choose_a_program_of_this_machine(tmp_path: Path) -> None:
    pyproject(tmp_path, 'python = "./evil"\n')
    with pytest.raises(UsageError, match=r"pyproject\.toml:5: './evil' is a path"):
        load_settings(tmp_path, {})
    pyproject(tmp_path, 'python = "python3.12"\n')
    assert load_settings(tmp_path, {}).python == "python3.12"
    dotenv(tmp_path, "E2BRUN_PYTHON=/tmp/evil\n")
    with pytest.raises(UsageError, match=r"\.env:1"):
        load_settings(tmp_path, {})
    assert load_settings(tmp_path, {}, python="./mine").python == "./mine"


def test_what_a_project_file_widens_is_said(tmp_path: Path) -> None:
    pyproject(tmp_path, 'network = true\nmemory = "8G"\nprocesses = 8\nmax-output = 0\n')
    settings = load_settings(tmp_path, {})
    assert [line.rpartition("pyproject.toml:")[2] for line in settings.notices] == [
        "5: network access is on",
        "6: memory raised to 8G",
        "8: max-output raised to 0",
    ]
    assert load_settings(tmp_path, {"E2BRUN_NETWORK": "0"}).network is Network.NONE
    assert load_settings(tmp_path, {"E2BRUN_NETWORK": "packages"}).network is Network.PACKAGES
    pyproject(tmp_path, 'network = "packages"\n')
    (line,) = load_settings(tmp_path, {}).notices
    assert line.endswith(": packages can be fetched from inside")


# What a line may loosen, and what it says then; a setting that is in neither list is a new one.
_LOOSE = {
    "timeout": ("1h", "timeout raised to 1h"),
    "memory": ("1G", "memory raised to 1G"),
    "processes": ("65", "processes raised to 65"),
    "disk": ("513M", "disk raised to 513M"),
    "max-output": ("11M", "max-output raised to 11M"),
    "network": ("true", "network access is on"),
    "install-timeout": ("6m", "install-timeout raised to 6m"),
    "install-size": ("16G", "install-size raised to 16G"),
}
_TIGHT = {
    "on": "local", "template": "base", "fetch": "true", "python": "python3.12", "timeout": "1s",
    "memory": "100M", "processes": "8", "disk": "1M", "max-output": "1M", "network": "false",
    "install-timeout": "1m", "install-size": "1G",
}  # fmt: skip


def test_every_setting_that_a_project_file_loosens_is_said_with_its_place(tmp_path: Path) -> None:
    assert set(_PYPROJECT_KEYS) == {*_LOOSE, *_TIGHT}
    for name, (value, said) in _LOOSE.items():
        variable = f"E2BRUN_{name.upper().replace('-', '_')}"
        pyproject(tmp_path, f'{name} = "{value}"\n')
        assert load_settings(tmp_path, {}).notices == (f"{tmp_path}/pyproject.toml:5: {said}",)
        own = load_settings(tmp_path, {variable: _TIGHT[name]})
        assert own.notices == ()  # the user's own word is what counts
        dotenv(tmp_path, f"{variable}={value}\n")
        assert load_settings(tmp_path, {}).notices == (f".env:1: {said}",)
        (tmp_path / ".env").unlink()
    for name, value in _TIGHT.items():
        pyproject(tmp_path, f'{name} = "{value}"\n')
        assert load_settings(tmp_path, {}).notices == ()


def test_a_project_file_that_keeps_code_from_e2b_is_said(tmp_path: Path) -> None:
    pyproject(tmp_path, 'on = "local"\n')
    (said,) = load_settings(tmp_path, {"E2B_API_KEY": "e2b_x"}).notices
    assert said.endswith("pyproject.toml:5: running on this machine, though there is an E2B key")
    assert load_settings(tmp_path, {"E2B_API_KEY": "e2b_x"}, on="local").notices == ()


def test_the_nearest_pyproject_with_our_table_counts(tmp_path: Path) -> None:
    pyproject(tmp_path, 'template = "outer"\n')
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (inner / "pyproject.toml").write_text("not TOML, but not ours either")
    assert load_settings(inner, {}).template == "outer"
    pyproject(inner, 'template = "inner"\n')
    assert load_settings(inner, {}).template == "inner"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("\ntimout = 3\n", r"pyproject.toml:6: .* no key 'timout' \(did you mean \"timeout\"\?"),
        ("max_output = 3\n", r"pyproject.toml:5: .*did you mean \"max-output\"\?"),
        ("zzz = 3\n", r"known: disk, fetch"),
        ("timeout = 'soon'\n", r"pyproject.toml:5: 'soon' is not a duration: write 30"),
        ("timeout = true\n", r"pyproject.toml:5: True is a bool"),
        ("memory = 0.5\n", r"0\.5 is a float"),
        ("memory = 0\n", "out of range"),
        ("network = 'perhaps'\n", "write none, packages or internet"),
        ("network = 3\n", "3 is a int"),
        ("on = 'moon'\n", "pyproject.toml:5: 'moon' is no backend: write e2b, local or auto"),
        ("on = ['e2b']\n", "is no backend"),
        ("template = 3\n", "3 is not a name"),
        ("api-key = 'x'\n", "a key does not belong in a file that is committed"),
        ("E2B_API_KEY = 'x'\n", "a key does not belong"),
        ("domain = 'x.example'\n", "an endpoint does not belong .* E2B_DOMAIN"),
        ("timeout = \n", r"pyproject.toml:5: not valid TOML"),
        ("x = " + "[" * 50_000 + "]" * 50_000, "nested too deeply"),
        (".".join(["a"] * 100_000) + " = 1\n", "a name has more than 100 parts"),
        (".".join(['"a \\" b"', "'.'"] * 50) + ". c = 1\n", "a name has more than 100 parts"),
        ("[tool.e2brun.limits]\nmemory = 3\n", r"pyproject.toml:5: .* no key 'limits'"),
    ],
)
def test_a_wrong_line_in_pyproject_is_named_with_its_remedy(
    tmp_path: Path, body: str, message: str
) -> None:
    pyproject(tmp_path, body)
    with pytest.raises(UsageError, match=message) as caught:
        load_settings(tmp_path, {})
    assert "\n" not in str(caught.value)


def test_a_table_of_tables_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[[tool.e2brun]]\ntimeout = 3\n")
    with pytest.raises(UsageError, match="e2brun is not a table"):
        load_settings(tmp_path, {})


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("E2BRUN_TIMEOUT", "never"),
        ("E2BRUN_ON", "E2B"),
        ("E2B_API_URL", "ftp://x"),
        ("E2B_API_URL", "https://x y"),
        ("E2B_DOMAIN", "https://e2b.app"),
        ("E2BRUN_CACHE_DIR", "~nobody-of-that-name/x"),
        ("E2BRUN_PROCESSES", "0"),
    ],
)
def test_a_wrong_value_in_the_environment_is_named(
    tmp_path: Path, variable: str, value: str
) -> None:
    with pytest.raises(UsageError, match=rf"{variable}: "):
        load_settings(tmp_path, {variable: value})


def test_the_cache_follows_the_xdg_directory_unless_that_is_relative(tmp_path: Path) -> None:
    assert load_settings(tmp_path, {"XDG_CACHE_HOME": "/x"}).cache_dir == Path("/x/e2brun")
    environ = {"XDG_CACHE_HOME": "x", "HOME": "/h"}
    assert load_settings(tmp_path, environ).cache_dir == Path("/h/.cache/e2brun")
    assert load_settings(tmp_path, {"E2BRUN_CACHE_DIR": "c"}).cache_dir == tmp_path / "c"


def test_github_and_the_kind_of_terminal_are_known(tmp_path: Path) -> None:
    settings = load_settings(tmp_path, {"GITHUB_ACTIONS": "true", "TERM": "xterm"})
    assert (settings.github_actions, settings.dumb_terminal, settings.no_color) == (
        True,
        False,
        False,
    )
    assert not load_settings(tmp_path, {"GITHUB_ACTIONS": "1"}).github_actions
    for variable in ("GITHUB_ACTIONS", "TF_BUILD", "TEAMCITY_VERSION", "GITLAB_CI"):
        assert load_settings(tmp_path, {variable: "True"}).in_ci
    assert not load_settings(tmp_path, {"GITLAB_CI": ""}).in_ci
    assert load_settings(tmp_path, {"TERM": "dumb"}).dumb_terminal
    assert load_settings(tmp_path, {}).dumb_terminal


def test_a_setting_that_does_not_exist_is_a_mistake_of_the_caller(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="no such setting: timout"):
        load_settings(tmp_path, {}, timout=3)


def test_importing_settings_loads_nothing_heavy() -> None:
    code = (
        "import sys, e2brun.settings, e2brun.report.streams\n"
        "print({'json', 'tomllib', 'difflib', 'rich', 'asyncio', 'shlex'} & sys.modules.keys())"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "set()\n"


def test_runs_are_recorded_below_the_state_directory_elsewhere_or_nowhere(tmp_path: Path) -> None:
    state = {"E2BRUN_STATE_DIR": "/state"}
    assert load_settings(tmp_path, state).store == Path("/state/runs.sqlite")
    assert load_settings(tmp_path, state, store="r.db").store == Path("r.db")
    for word in ("false", "off", "0", "No"):
        assert load_settings(tmp_path, {"E2BRUN_STORE": word}).store is None
    (tmp_path / ".env").write_text("E2BRUN_STORE=/tmp/x\n")
    with pytest.raises(UsageError, match="read from the environment only"):
        load_settings(tmp_path, {})
