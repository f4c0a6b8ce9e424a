"""Every op type that has a rule: measured, or why it cannot be."""

from __future__ import annotations

import tables

from receptive_field.ops import OPS
from receptive_field.ops.registry import no_dependency

REGISTERED = frozenset(OPS)
"""The op types of the library itself; tests may register more."""

REASONS: dict[str, str] = {}
"""Op type -> why it is not measured."""


def result(name: str) -> str:
    """What the table says of an op type."""
    if name in tables.measured_ops:
        return "measured"
    if OPS[name].relations is no_dependency:
        return "its values do not depend on those of its inputs"
    return REASONS.get(name, "not measured")
