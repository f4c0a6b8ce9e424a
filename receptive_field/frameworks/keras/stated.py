"""The rules that callers state for layer classes."""

from __future__ import annotations

from receptive_field.rules.op import Op

STATED: dict[str, Op] = {}
"""Name of a layer class -> its rule; see `receptive_field.register_layer`."""

MODEL_CLASSES: set[str] = set()
"""The classes of users' models that call their layers as their config says."""
