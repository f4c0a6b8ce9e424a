"""The table of rules for `keras.ops.numpy`, and the decorator that fills it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from receptive_field.frameworks.keras.operations.operand import Operation

RULES: dict[str, Operation] = {}
"""Name of an operation's class -> its rule."""


Rule = TypeVar("Rule", bound=Operation)


def rule(names: str) -> Callable[[Rule], Rule]:
    """Returns a decorator that makes a function the rule of some operations."""

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names.split(), function))
        return function

    return register
