"""A table of rules, which the files of a wing fill family by family."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from receptive_field.rules.flops import Count
from receptive_field.rules.op import Call, Op, Taps, Zeros


class Table(dict[str, Op]):
    """Op type -> rule.

    In all methods, ``names`` is a list of op types, separated by spaces.
    """

    def register(self, names: str, op: Op) -> None:
        """Registers a rule for op types."""
        for name in names.split():
            self[name] = op

    def weigh(self, names: str, taps: Taps, **fields: Any) -> None:
        """Sets how op types weigh the positions of their windows."""
        self._change(names, taps=taps, **fields)

    def treat_zeros(
        self,
        names: str,
        zeros: Zeros | Callable[[Call], Zeros | None],
        **fields: Any,
    ) -> None:
        """Sets how op types treat zeros."""
        self._change(names, zeros=zeros, **fields)

    def count(self, names: str, flops: Count) -> None:
        """Sets how the floating-point operations of op types are counted."""
        self._change(names, flops=flops)

    def _change(self, names: str, **fields: Any) -> None:
        for name in names.split():
            self[name] = self[name]._replace(**fields)
