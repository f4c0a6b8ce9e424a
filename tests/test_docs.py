"""The documentation: its code is run, its pages are built, nothing public is left out."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from pages import blocks, run_page

import receptive_field as rf

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = {
    str(path.relative_to(DOCS)): path.read_text()
    for path in sorted(DOCS.rglob("*.md"))
}
WITH_CODE = [name for name, page in PAGES.items() if "```python" in page]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder to work in, with what a copy of the repository holds."""
    for name in ("python", "receptive_field"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path
