"""What axe-core says of a page: the rules of WCAG 2 that a program can check."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import tarfile
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from needed import node
from stored import kept

PACKAGE = "axe-core@4.14.1"
INTEGRITY = (
    "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37Ogud"
    "VGtQ=="
)
"""The SHA-512 of the package in npm's registry."""


@cache
def axe() -> str:
    """The script of axe-core, kept for a run; without npm the test is skipped."""
    __tracebackhide__ = True
    node()
    script: str = kept(PACKAGE, _fetched)
    return script


def _fetched() -> str:
    with TemporaryDirectory() as folder:
        subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=folder, check=True)
        (packed,) = Path(folder).glob("*.tgz")
        digest = hashlib.sha512(packed.read_bytes()).digest()
        assert base64.b64encode(digest).decode() == INTEGRITY
        with tarfile.open(packed) as archive:
            script = archive.extractfile("package/axe.min.js")
            assert script is not None
            return script.read().decode()


def violations(tab: Any) -> list[str]:
    """The rules that the page breaks, each with the first elements that do."""
    tab.evaluate(axe())
    found = tab.evaluate("axe.run()")["violations"]
    return [
        f"{rule['id']}: {rule['help']}: {[n['html'][:150] for n in rule['nodes'][:3]]}"
        for rule in found
    ]
