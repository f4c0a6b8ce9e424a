"""The tables in ``docs/``: what was measured, and what cannot be.

Written by the tests themselves (``pytest --write-tables``), and compared with what
they find in every run.
"""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"
RECORDING = False
"""Whether ops are recorded, which takes time."""

measured_ops: set[str] = set()
measured_layers: dict[str, str] = {}
"""Class of a layer -> what was found."""

EXACT = "exact: equal to measurement"

LAYERS = """# Layers

Every class of `keras.layers`, in models with random parameters, held against what
`measure_receptive_field` sees. This table is written by the tests
(`pytest --write-tables`) and compared with what they find in every run.

An upper bound is never smaller than what was measured, and says so (`exact=False`).

| class | result |
|---|---|
"""

OPS = """# Ops

Every op type that has a rule. This table is written by the tests
(`pytest --write-tables`); *measured* are those that lie on the way from input to output
in a network that was run and held against its receptive field.

| op type | how its rule is known to be right |
|---|---|
"""


def rows(name: str) -> dict[str, str]:
    """The rows of a table: first column -> second."""
    text = (DOCS / name).read_text(encoding="utf-8")
    return dict(re.findall(r"^\| `(\w+)`[^|]* \| (.*) \|$", text, re.MULTILINE))


def write() -> None:
    """Writes both tables from what this session has measured."""
    import layer_catalogue
    import op_catalogue

    lines = []
    for name, also in layer_catalogue.classes().items():
        others = [other for other in also if other != name]
        known = f" ({', '.join(f'`{other}`' for other in others)})" if others else ""
        reason = layer_catalogue.REASONS.get(name)
        found = reason or measured_layers.get(name, "not measured")
        lines.append(f"| `{name}`{known} | {found} |\n")
    (DOCS / "layers.md").write_text(LAYERS + "".join(lines), encoding="utf-8")
    lines = [
        f"| `{name}` | {op_catalogue.result(name)} |\n"
        for name in sorted(op_catalogue.REGISTERED)
    ]
    (DOCS / "ops.md").write_text(OPS + "".join(lines), encoding="utf-8")
