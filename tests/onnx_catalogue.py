"""The ONNX ops that are held against onnxruntime, and the reasons for all others."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from needed import needed

from receptive_field.frameworks.onnx.ops import OPS

onnx = needed("onnx")
needed("onnxruntime")

FAMILIES = [
    import_module(path.stem)
    for path in sorted(Path(__file__).parent.glob("onnx_cases_*.py"))
]


def merged(name: str) -> dict[str, Any]:
    """What all families say under a name: lists of cases are joined."""
    found: dict[str, Any] = {}
    for family in FAMILIES:
        for op, more in getattr(family, name, {}).items():
            found[op] = [*found.get(op, []), *more] if name == "CASES" else more
    return found


CASES, REASONS, UNSUPPORTED = map(merged, ("CASES", "REASONS", "UNSUPPORTED"))

WRITTEN_OUT = {
    "Absent",
    "Initializer",
    "Input",
    "Iteration",
    "ListItem",
    "Merge",
    "NextIteration",
    "ScanSlice",
}
"""Op types of nodes that the library adds to a graph."""

STANDARD = {
    schema.name
    for schema in onnx.defs.get_all_schemas()
    if schema.domain == "" and not schema.deprecated
}


def result(name: str) -> str:
    """What the table says of an op."""
    if name in CASES:
        return "measured"
    reason: str = REASONS[name] if name in OPS else f"no rule: {UNSUPPORTED[name]}"
    return reason


NAMES = sorted((OPS.keys() | UNSUPPORTED.keys()) - WRITTEN_OUT)
"""The ops in the table."""
