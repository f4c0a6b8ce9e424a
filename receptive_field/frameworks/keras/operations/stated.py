"""Ops of TensorFlow for which there is no rule: what their outputs depend on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from receptive_field.algebra.axis_map import GLOBAL, GLOBAL_BOUND
from receptive_field.algebra.sizes import Size
from receptive_field.frameworks.keras.operations.operand import as_tensor
from receptive_field.frameworks.keras.writer import Writer
from receptive_field.graph.graph import Tensor
from receptive_field.relations.relation import Axis, Relation, follow, whole
from receptive_field.rules.op import Call, Op, Relations, Shape


def stated(
    w: Writer,
    kind: str,
    equation: str,
    inputs: Sequence[Any],
    sizes: Mapping[str, Any] | None = None,
    exact: bool = True,
) -> list[Tensor]:
    """Adds a node whose outputs depend on its inputs as an equation says.

    The equation names the axes of the inputs and outputs, as that of an einsum does,
    but has any number of outputs. An output follows the axes that it shares with an
    input, and sees the others whole. ``...`` stands for all further axes.

    Args:
      kind: the op type that TensorFlow runs.
      sizes: the sizes of the axes that only outputs have: a number, or the axis of an
        input whose place and size they take. Others are unknown.
      exact: whether all positions that are seen matter. Otherwise, they may.
    """
    tensors = [as_tensor(w, given) for given in inputs]
    left, right = equation.split("->")
    given, results = left.split(","), right.split(",")
    more = max(
        w.rank(one) - len(names.replace("...", ""))
        for names, one in zip(given, tensors, strict=True)
    )
    others = "".join(map(str, range(more)))
    given, results = (
        [names.replace("...", others) for names in side] for side in (given, results)
    )
    stands = sizes or {}

    def through(name: str, names: str) -> Axis:
        """Returns how an axis of an input follows the axes of an output."""
        if name in names:
            return follow(names.index(name))
        new = [place for place, other in enumerate(names) if stands.get(other) == name]
        return whole(new[:1], GLOBAL if exact else GLOBAL_BOUND)

    def relations(call: Call, output: int) -> Relations:
        names = results[output]
        return [Relation(tuple(through(name, names) for name in one)) for one in given]

    def shapes(call: Call) -> Sequence[Shape]:
        found: dict[str, Size] = {}
        for number, names in enumerate(given):
            found |= zip(names, call.known_shape(number, len(names)), strict=True)
        for name, size in stands.items():
            found[name] = found[size] if isinstance(size, str) else size
        return [
            tuple(
                found[name] if name in found else call.unknown_size(axis, number)
                for axis, name in enumerate(names)
            )
            for number, names in enumerate(results)
        ]

    index, _ = w.stated(kind, Op(relations, shapes), tensors)
    return [(index, number) for number in range(len(results))]
