"""The templates of the embedded sandbox: a name, and the packages that its Python comes with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Template:
    """One template; `requirements` are wheels, built once into a layer that sandboxes share."""

    name: str
    template_id: str
    aliases: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()

    @property
    def notebook(self) -> bool:
        """Whether its Python contexts are IPython's."""
        return "ipython" in self.requirements


BASE = Template("base", "rki5dems9wqfm4r03t7g")
CODE_INTERPRETER = Template(
    "code-interpreter-v1",
    "nlhz8vlwyupq845jsdg9",
    ("code-interpreter", "code-interpreter-stateful", "python"),
    (
        "ipython",
        "numpy",
        "pandas<3",  # E2B's own template has 2.2; 3 gives strings another type
        "matplotlib<3.11",  # theirs has 3.10; 3.11 takes no `labels` for a box plot any more
        "pillow",
        "e2b_charts",
        "orjson",
        "pip",
        "scipy",
        "scikit-learn",
        "seaborn",
        "sympy",
        "requests",
        "aiohttp",
        "beautifulsoup4",
        "lxml",
        "openpyxl",
        "pytest",
        "pytz",
        "pyyaml",
        "tabulate",
        "tqdm",
    ),
)
TEMPLATES = (BASE, CODE_INTERPRETER)


def find(name: str) -> Template | None:
    """The template of this name, id or alias."""
    for template in TEMPLATES:
        if name in (template.name, template.template_id, *template.aliases):
            return template
    return None
