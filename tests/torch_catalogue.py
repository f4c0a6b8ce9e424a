"""The ops and classes of PyTorch that are measured, and the reasons for all others."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from needed import needed
from torch_cases_modules import CLASS_REASONS, CLASSES

from receptive_field.frameworks.torch.ops import OPS

nn = needed("torch.nn")

FAMILIES = [
    import_module(path.stem)
    for path in sorted(Path(__file__).parent.glob("torch_cases_*.py"))
]


def merged(name: str) -> dict[str, Any]:
    """What all families say under a name: lists of cases are joined."""
    found: dict[str, Any] = {}
    for family in FAMILIES:
        for op, more in getattr(family, name, {}).items():
            found[op] = [*found.get(op, []), *more] if name == "CASES" else more
    return found


CASES, REASONS, UNSUPPORTED = map(merged, ("CASES", "REASONS", "UNSUPPORTED"))

WRITTEN_OUT = {"Buffer", "Input", "Parameter"}
"""Op types of nodes that the library adds to a graph."""

MODULES = {
    name
    for name, thing in vars(nn).items()
    if isinstance(thing, type) and issubclass(thing, nn.Module)
}
"""The classes of torch.nn."""


def result(name: str) -> str:
    """What the table says of an op."""
    if name in CASES:
        return "measured"
    reason: str = REASONS[name] if name in OPS else f"no rule: {UNSUPPORTED[name]}"
    return reason


NAMES = sorted((OPS.keys() | UNSUPPORTED.keys()) - WRITTEN_OUT)
"""The ops in the table."""


def result_of_class(name: str) -> str:
    """What the table says of a class."""
    return "measured" if name in CLASSES else CLASS_REASONS[name]
