"""Products of matrices and tensors. They need the whole of each axis they sum over."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from receptive_field.algebra.axis_map import constant
from receptive_field.algebra.sizes import Size, product
from receptive_field.relations.relation import (
    FULL,
    FULL_BOUND,
    Relation,
    follow,
    with_bounds,
)
from receptive_field.rules.elementwise import broadcast_axes
from receptive_field.rules.masks import adds_mask, beside_masked
from receptive_field.rules.op import Call, rule_of


def matrix_product(
    call: Call,
    numbers: Sequence[int],
    outer: Sequence[Sequence[Size]],
    batch: Sequence[Size],
    swapped: Sequence[bool],
) -> list[Relation]:
    """Returns the relations to the two operands of a matrix product.

    Args:
      call: the op.
      numbers: the numbers of the operands.
      outer: for each operand, the sizes of the axes before the last two.
      batch: the sizes that ``outer`` broadcasts to.
      swapped: for each operand, whether its matrices are transposed.
    """
    relations = []
    for number in range(2):
        matrix = [FULL, FULL]
        matrix[number != swapped[number]] = follow(len(batch) + number)
        before = broadcast_axes(outer[number], batch)
        made = frozenset() if batch else frozenset({1 - number})
        relations.append(Relation((*before, *matrix), channels=made))
    return _beside_masks(call, numbers, relations)


def _beside_masks(
    call: Call, numbers: Sequence[int], relations: Sequence[Relation]
) -> list[Relation]:
    """Returns the relations to operands, of which some may be zero at some positions.

    There, the others do not matter, so the relations to them are upper bounds. The same
    holds for all of them if a mask is added to the product.
    """
    if adds_mask(call, rule_of(call.node)):
        return [with_bounds(one, range(len(one.axes))) for one in relations]
    found = list(relations)
    for place in beside_masked(call, numbers):
        found[place] = with_bounds(found[place], range(len(found[place].axes)))
    return found


# --- Einsum --------------------------------------------------------------------------


def einsum_labels(call: Call, equation: str) -> tuple[list[list[str]], list[str]]:
    """Returns the labels of the axes of each input, and of the output.

    Each axis of an ellipsis gets its own label, numbered from the last axis backwards.

    Raises:
      GraphError: if the equation does not fit the inputs, or the output has other axes.
    """
    equation = equation.replace(" ", "")
    left, arrow, right = equation.partition("->")
    terms = left.split(",")
    if not arrow or len(terms) != len(call):
        call.fail(f"has {len(call)} inputs, which do not fit the equation {equation!r}")
    operands = []
    for number, term in enumerate(terms):
        rank = len(call.known_shape(number)) if "..." in term else 0
        operands.append(_spelled(term, rank))
    longest = max(
        (
            len(o) - len(t) + 3
            for o, t in zip(operands, terms, strict=True)
            if "..." in t
        ),
        default=0,
    )
    result = _spelled(right, longest + len(right.replace("...", "")))
    if not {*result} <= {*itertools.chain(*operands)}:
        call.fail(f"has an output axis that no input has, by the equation {equation!r}")
    return operands, result


def _spelled(term: str, rank: int) -> list[str]:
    before, dots, after = term.partition("...")
    count = rank - len(before) - len(after) if dots else 0
    return [*before, *(f"...{i}" for i in range(-count, 0)), *after]


def einsum(
    call: Call,
    operands: Sequence[Sequence[str]],
    result: Sequence[str],
    numbers: Sequence[int] | None = None,
) -> list[Relation]:
    """Returns the relations to the operands, given the labels of all axes.

    ``numbers`` gives the number of the input that holds each operand, if the operands
    are not the first inputs. A label that occurs twice in an operand stands for a
    diagonal.
    """
    sizes = label_sizes(call, operands, numbers)
    relations = []
    for number, labels in _numbered(operands, numbers):
        shape = call.known_shape(number, len(labels))
        axes = []
        for label, size in zip(labels, shape, strict=True):
            if label not in result:
                axes.append(FULL if labels.count(label) == 1 else FULL_BOUND)
            elif size == 1 and sizes[label] != 1:
                axes.append(follow(result.index(label), constant(0, 0)))
            else:
                axes.append(follow(result.index(label)))
        relations.append(Relation(tuple(axes)))
    return _beside_masks(call, numbers or range(len(operands)), relations)


def _numbered(
    operands: Sequence[Sequence[str]], numbers: Sequence[int] | None
) -> Iterable[tuple[int, Sequence[str]]]:
    return zip(numbers or range(len(operands)), operands, strict=True)


def label_sizes(
    call: Call,
    operands: Sequence[Sequence[str]],
    numbers: Sequence[int] | None = None,
) -> dict[str, Size]:
    """Returns the size of each label, to which axes of size one are broadcast.

    ``numbers`` has the same meaning as in `einsum`.
    """
    sizes: dict[str, Size] = {}
    for number, labels in _numbered(operands, numbers):
        shape = call.known_shape(number, len(labels))
        for label, size in zip(labels, shape, strict=True):
            before = sizes.get(label, 1)
            if before == 1 or (isinstance(size, int) and size != 1):
                sizes[label] = size
    return sizes


def summed_over(sizes: dict[str, Size], result: Sequence[str]) -> Size:
    """Returns the number of products that each element of the output sums up."""
    return product(size for label, size in sizes.items() if label not in result)
