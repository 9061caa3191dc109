"""`[tool.uv]` in a script's metadata: kept, of no consequence, or refused by name."""

from __future__ import annotations

import pytest

from e2brun.errors import UsageError
from e2brun.jobs.requirements import inline_metadata


def rules(*lines: str) -> tuple[str, ...]:
    text = "\n".join(["# /// script", *(f"# {line}" for line in lines), "# ///", ""])
    return inline_metadata(text, "job.py").rules


def test_constraints_overrides_and_times_are_kept() -> None:
    assert rules(
        "[tool.uv]",
        "constraint-dependencies = ['numpy<2']",
        "override-dependencies = ['six==1.16']",
        "exclude-newer = '2025-01-31'",
        "exclude-newer-package = { tqdm = 2025-01-31T12:00:00Z }",
    ) == (
        "--constraint numpy<2",
        "--override six==1.16",
        "--exclude-newer 2025-01-31",
        "--exclude-newer-package tqdm=2025-01-31T12:00:00+00:00",
    )


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("sources = { a = { path = './a' } }", "takes a from a path"),
        ("sources = { a = { git = 'https://x.invalid/a' } }", "takes a from a repository"),
        ("sources = { a = { url = 'https://x.invalid/a.whl' } }", "takes a from a URL"),
        ("sources = { a = { workspace = true } }", "takes a from a workspace"),
        ("sources = { a = [{ index = 'x' }] }", "takes a from an index of its own"),
        ("sources = { a = 1 }", "takes a from another place"),
        ("sources = 1", "sources is not a table"),
        ("index = [{ url = 'https://x.invalid' }]", "index is not kept to"),
        ("index-url = 'https://x.invalid'", "index-url is not kept to"),
        ("extra-index-url = ['https://x.invalid']", "extra-index-url is not kept to"),
        ("find-links = ['./wheels']", "find-links is not kept to"),
        ("no-index = true", "no-index is not kept to"),
        ("index-strategy = 'unsafe-best-match'", "index-strategy is not kept to"),
        ("prerelease = 'allow'", "prerelease is not kept to"),
        ("resolution = 'lowest'", "resolution is not kept to"),
        ("no-binary-package = ['a']", "no-binary-package is not kept to"),
        ("of-tomorrow = 1", "of-tomorrow is not known here"),
        ("exclude-newer = '3 days'", "exclude-newer is no point in time: '3 days'"),
        ("exclude-newer = '2025-01-31T12:00:00'", "exclude-newer is no point in time"),
        ("constraint-dependencies = 'a<2'", "is not a list of strings"),
        ("constraint-dependencies = ['a b']", "is not a requirement"),
        ("constraint-dependencies = ['a @ https://x.invalid/a.whl']", "names a URL"),
        ("exclude-newer-package = 1", "is not a table of times"),
    ],
)
def test_what_changes_which_package_a_name_means_is_refused_by_name(line: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        rules("dependencies = ['a']", "[tool.uv]", line)
    assert why in str(caught.value)
    assert str(caught.value).startswith("job.py:")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        "managed = true", "package = false", "cache-keys = [{ file = 'x' }]", "no-build = true",
        "dev-dependencies = ['pytest']", "environments = ['sys_platform == \"linux\"']",
        "python-preference = 'only-system'", "build-constraint-dependencies = ['setuptools<70']",
        "sources = {}", "index = []", "no-index = false", "conflicts = []",
        "no-sources = true\n# sources = { a = { path = './a' } }",
    ],
)  # fmt: skip
def test_what_changes_nothing_passes(line: str) -> None:
    assert rules("[tool.uv]", line) == ()
