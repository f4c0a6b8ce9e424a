"""What the documentation needs beyond MkDocs and mkdocstrings; mkdocs.yml names it."""

from __future__ import annotations

import re
import shutil
from html import unescape
from pathlib import Path
from textwrap import indent
from typing import Any

import griffe
from latex2mathml.converter import convert

FORMULA = re.compile(
    r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL
)
"""What pymdownx.arithmatex makes of a formula."""

EXAMPLE = re.compile(r"(?:\A|(?<=\n\n))(?=>>> )")
"""Where a docstring begins to show code."""

GROUPED = re.compile(r"^( +)(\w+(?:,\s+\w+)+):(.*(?:\n\1 +.*)*)", re.MULTILINE)
"""An entry for several arguments: ``model, input: as in ...``."""

WEB_PAGE = "<!-- the web page -->"
"""Where the page that analyses models is embedded."""

EMBEDDED = """\
<iframe class="web-page" src="app/index.html" title="Drop a model"></iframe>

<p><a href="app/index.html" target="_blank">Open it in a window of its own</a></p>
"""

NOT_BUILT = """\
!!! note

    This copy of the documentation does not include the page on which you drop a model.
    To include it, run `python scripts/build_web.py -o build/page` before
    `mkdocs build`.
"""


def on_page_markdown(markdown: str, config: Any, **_: Any) -> str:
    """The page that analyses models in its place, or how to get it."""
    built = _web_page(config) is not None
    return markdown.replace(WEB_PAGE, EMBEDDED if built else NOT_BUILT)


def on_post_build(config: Any, **_: Any) -> None:
    """The files of the page that analyses models."""
    folder = _web_page(config)
    if folder is not None:
        target = Path(config.site_dir, "app")
        shutil.copytree(folder, target, dirs_exist_ok=True)


def _web_page(config: Any) -> Path | None:
    """Returns the folder that `build_web.py` wrote, or None if there is none."""
    folder = Path(config.config_file_path).parent / config.extra["web_page"]
    return folder if (folder / "index.html").is_file() else None


def on_page_content(html: str, **_: Any) -> str:
    """Formulas as MathML, which browsers draw without scripts."""
    return FORMULA.sub(_as_mathml, html)


def _as_mathml(found: re.Match[str]) -> str:
    kind, latex = found.groups()
    display = "inline" if kind == "span" else "block"
    return convert(unescape(latex.strip()), display=display)


class Docstrings(griffe.Extension):
    """Brings docstrings into the form that griffe knows."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called for every object that is read."""
        if obj.docstring is not None:
            text, *examples = EXAMPLE.split(obj.docstring.value, maxsplit=1)
            text = GROUPED.sub(_one_by_one, text)
            obj.docstring.value = text + "".join(map(_as_section, examples))


def _one_by_one(found: re.Match[str]) -> str:
    """An entry for each of several arguments."""
    space, names, description = found.groups()
    return "\n".join(
        f"{space}{name}:{description}" for name in re.split(r",\s+", names)
    )


def _as_section(examples: str) -> str:
    """Doctests under a heading, so that they are shown as code."""
    return "Examples:\n" + indent(examples, "    ")
