"""What uv is told about package indexes, and what its reports say."""

from __future__ import annotations

from pathlib import Path

from e2brun.sandbox.local.packages import uv_report
from e2brun.sandbox.local.packages.indexes import uv_arguments, uv_environment


def test_indexes_come_from_uvs_variables_then_its_file_then_pips(tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path)}
    (tmp_path / ".config/uv").mkdir(parents=True)
    (tmp_path / ".config/uv/uv.toml").write_text(
        'native-tls = true\nno-binary = true\n[[index]]\nname = "corp"\nurl = "https://a.invalid"\n'
        '[[index]]\nurl = "https://b.invalid"\ndefault = true\n'
        '[[index]]\nname = "pinned"\nurl = "https://c.invalid"\nexplicit = true\n'
    )
    pip = {"PIP_INDEX_URL": "https://p.invalid", "PIP_FIND_LINKS": "here  /there"}
    found = uv_environment(home | pip)
    assert found["UV_DEFAULT_INDEX"] == "https://b.invalid"
    assert found["UV_INDEX"] == "corp=https://a.invalid"
    assert found["UV_NATIVE_TLS"] == "true"
    assert found["UV_FIND_LINKS"] == f"{Path.cwd()}/here,/there"
    assert not any("BINARY" in name for name in found)
    assert "UV_DEFAULT_INDEX" not in uv_environment(home | {"UV_INDEX_URL": "https://u.invalid"})
    assert uv_environment(pip)["UV_DEFAULT_INDEX"] == "https://p.invalid"


_OLD_SHAPE = """\
  × No solution found when resolving dependencies:
  ╰─▶ Because there is no version of six==99 and you require six==99, we can
      conclude that your requirements are unsatisfiable.

      hint: something else
"""


def test_the_reports_of_older_releases_of_uv_are_read_too() -> None:
    assert uv_report.reason(_OLD_SHAPE) == "there is no version of six==99"
    fetch = (
        "error: Failed to fetch: `http://me:secret@example.com/simple/`\n"
        "  Caused by: error sending request for url (http://me:secret@example.com/simple/)\n"
        "  Caused by: Connection refused (os error 111)\n"
    )
    assert uv_report.is_network_failure(fetch)
    assert "secret" not in uv_report.reason(fetch)
    assert "Connection refused" in uv_report.reason(fetch)
    assert uv_report.reason("") == "uv failed and did not say why"


def test_no_index_is_an_argument_since_uv_has_no_variable_for_it(tmp_path: Path) -> None:
    assert uv_arguments({"HOME": str(tmp_path)}) == []
    assert uv_arguments({"PIP_NO_INDEX": "1"}) == ["--no-index"]
    (tmp_path / "uv.toml").write_text("[pip]\nno-index = true\n")
    assert uv_arguments({"UV_CONFIG_FILE": str(tmp_path / "uv.toml")}) == ["--no-index"]
