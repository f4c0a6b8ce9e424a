"""Ops that have no rule of their own: each output sees whole axes of the inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from receptive_field.algebra.axis_map import ANYWHERE, GLOBAL
from receptive_field.frameworks.keras.operations.operand import tensor
from receptive_field.frameworks.keras.writer import Writer
from receptive_field.graph.graph import Tensor
from receptive_field.relations.relation import Relation, follow, whole
from receptive_field.rules.op import Call, Op, Relations, Shape


def seen_whole(
    w: Writer,
    kind: str,
    inputs: Sequence[Any],
    shapes: Callable[[Call], Sequence[Shape]],
    batch: int = 1,
    exact: bool = False,
) -> Tensor:
    """Adds a node whose outputs see whole axes of its inputs.

    Args:
      kind: the op type that TensorFlow runs.
      shapes: the rule for the shapes of its outputs.
      batch: how many axes, the first ones, follow those of the inputs.
      exact: whether an output depends on all of these positions. Otherwise, it may.
    """
    seen = GLOBAL if exact else ANYWHERE

    def relations(call: Call, output: int) -> Relations:
        new = range(batch, len(call.output_shape(output) or ()))
        return [
            Relation(
                (
                    *map(follow, range(batch)),
                    *[whole(new, seen)] * (len(call.known_shape(number)) - batch),
                )
            )
            for number in range(len(call))
        ]

    return w.stated(kind, Op(relations, shapes), [tensor(w, one) for one in inputs])
