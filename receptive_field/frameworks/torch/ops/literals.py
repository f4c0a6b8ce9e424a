"""Whether the sizes that are written into a program hold for the sizes in question."""

from __future__ import annotations

from typing import NoReturn

from receptive_field.algebra.sizes import Symbolic
from receptive_field.frameworks.torch.definitions import INPUT
from receptive_field.rules.op import Call


def are_of_one_size(call: Call) -> bool:
    """Returns whether literal sizes may hold for one size of the input only.

    That is so if the size of an input is unknown now, but was a number when the program
    was traced. (A program with dynamic shapes has symbols where sizes follow the size
    of the input.) The first axis, the batch, does not count.
    """
    graph = call.node.graph
    for node in graph.of_ops(INPUT):
        shape = call.knowledge.shape((node.index, 0)) or ()
        (kind,) = node.definition.kinds
        recorded = None if kind is None else kind.sizes
        for axis, size in enumerate(shape):
            was_symbol = recorded is not None and isinstance(recorded[axis], str)
            if axis and isinstance(size, Symbolic) and not was_symbol:
                return True
    return False


def fail(call: Call, sizes: object) -> NoReturn:
    """Raises an error: sizes were written for one size of the input.

    Raises:
      GraphError: always.
    """
    call.fail(
        f"cannot be analysed: its sizes {sizes} were written for one size of the "
        "input. Give input_resolution (the model is then exported for it)"
    )
