"""Rules for products of matrices and tensors.

Rows of a product follow the first operand, and its columns follow the second one. The
axes that are summed over are needed whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from receptive_field.algebra.sizes import Size, product
from receptive_field.frameworks.onnx.ops.registry import (
    is_given,
    register,
    weigh,
    with_sums,
)
from receptive_field.relations.relation import (
    ALL,
    FULL,
    Axis,
    Relation,
    follow,
    whole,
)
from receptive_field.rules.elementwise import broadcast_relation
from receptive_field.rules.flops import elements, multiply_adds, output_elements
from receptive_field.rules.op import (
    Call,
    Flops,
    Op,
    Relations,
    Shape,
    Taps,
)
from receptive_field.rules.products import (
    einsum,
    einsum_labels,
    label_sizes,
    matrix_product,
    summed_over,
)

# --- Gemm ----------------------------------------------------------------------------


class Gemm(NamedTuple):
    """Rules of a product of two matrices, to which a third tensor may be added.

    The fields are the numbers of the three inputs. All other inputs are parameters.
    """

    left: int = 0
    right: int = 1
    added: int = 2

    def swaps(self, call: Call) -> tuple[bool, bool]:
        """Returns, for each operand, whether its matrix is transposed."""
        return bool(call.number("transA", 0)), bool(call.number("transB", 0))

    def relations(self, call: Call, output: int) -> Relations:
        """Returns the relations to all inputs."""
        found: list[Relation | None] = [ALL] * len(call)
        both = (self.left, self.right)
        pair = matrix_product(call, both, [(), ()], (), self.swaps(call))
        found[self.left], found[self.right] = pair
        if is_given(call, self.added):
            shape = call.shape(self.added)
            (whole_shape,) = self.shapes(call)
            found[self.added] = (
                call.all_of(self.added, exact=False)
                if shape is None
                else broadcast_relation(shape, whole_shape)
            )
        return found

    def shapes(self, call: Call) -> Sequence[Shape]:
        """Returns the shape of the product."""
        turned = self.swaps(call)
        left = call.known_shape(self.left, 2)
        right = call.known_shape(self.right, 2)
        return [(left[turned[0]], right[not turned[1]])]

    def products(self, call: Call) -> Size:
        """Returns the number of products that are summed for each output element."""
        return call.known_shape(self.left, 2)[not self.swaps(call)[0]]

    def flops(self, call: Call) -> Flops:
        """Counts a multiply-add for each product, and an addition for each element."""
        found = multiply_adds(self.products(call) * output_elements(call), False)
        return with_sums(call, found, self.added)

    def op(self) -> Op:
        """Returns the rules."""
        return Op(
            self.relations,
            self.shapes,
            products=self.products,
            added=self.added,
            flops=self.flops,
            taps=Taps.WEIGHTS,
        )


register("Gemm com.microsoft.FusedGemm", Gemm().op())
register("com.microsoft.GemmFloat8 com.microsoft.GemmFastGelu", Gemm().op())
register("com.microsoft.QGemm", Gemm(0, 3, 6).op())


# --- MatMul --------------------------------------------------------------------------

Swaps = tuple[bool, bool]
"""Whether the last two axes of an operand are swapped, and whether its first axis comes
before its batch axes."""


def _unswapped(call: Call, number: int) -> Swaps:
    return False, False


def _stated_swaps(call: Call, number: int) -> Swaps:
    """Returns how an operand is transposed; vectors are not."""
    letter = "AB"[number]
    return (
        bool(call.number(f"trans{letter}", 0)),
        bool(call.number(f"transBatch{letter}", 0)),
    )


class MatMul(NamedTuple):
    """Rules of a product of two stacks of matrices, as of ``numpy.matmul``."""

    left: int = 0
    right: int = 1
    added: int | None = None
    """The number of a vector that is added to each row."""
    swaps: Callable[[Call, int], Swaps] = _unswapped
    has_range: bool = False
    """Whether the first operand is quantised by the range of all of its values."""

    def labels(self, call: Call) -> tuple[list[list[str]], list[str]] | None:
        """Returns the labels of the axes, as for Einsum; None if a rank is unknown."""
        left, right = call.shape(self.left), call.shape(self.right)
        if left is None or right is None:
            return None
        if not left or not right:
            call.fail("multiplies a scalar, but requires at least one axis")
        outer = [max(len(shape) - 2, 0) for shape in (left, right)]
        batch = [[f"...{i}" for i in range(-count, 0)] for count in outer]
        rows, columns = ["i"][: len(left) - 1], ["j"][: len(right) - 1]
        matrices = [[*rows, "k"], ["k", *columns]]
        operands = [
            self._written(call, number, batch[number], matrices[number])
            for number in range(2)
        ]
        return operands, [*max(batch, key=len), *rows, *columns]

    def _written(
        self, call: Call, number: int, batch: list[str], matrix: list[str]
    ) -> list[str]:
        turned, first_before = self.swaps(call, number)
        if len(matrix) < 2:
            return matrix
        one, two = matrix[::-1] if turned else matrix
        return [one, *batch, two] if first_before else [*batch, one, two]

    def relations(self, call: Call, output: int) -> Relations:
        """Returns the relations to all inputs."""
        labels, both = self.labels(call), (self.left, self.right)
        found: list[Relation | None] = [call.all_of(i) for i in range(len(call))]
        if labels is None:
            for number in both:
                found[number] = call.all_of(number, exact=False)
            return found
        if [len(operand) for operand in labels[0]] == [2, 2]:
            swapped = tuple(self.swaps(call, number)[0] for number in range(2))
            pair = matrix_product(call, both, [(), ()], (), swapped)
        else:
            pair = einsum(call, *labels, both)
        if self.has_range:
            pair[0] = pair[0]._replace(axes=tuple(map(_ranged, pair[0].axes)))
        found[self.left], found[self.right] = pair
        if self.added is not None and is_given(call, self.added):
            found[self.added] = Relation((follow(len(labels[1]) - 1),))
        return found

    def shapes(self, call: Call) -> Sequence[Shape]:
        """Returns the shape of the product."""
        labels = self.labels(call)
        if labels is None:
            return [None]
        sizes = label_sizes(call, labels[0], (self.left, self.right))
        return [tuple(sizes[label] for label in labels[1])]

    def products(self, call: Call) -> Size:
        """Returns the number of products that are summed for each output element."""
        labels = self.labels(call)
        if labels is None:
            call.fail("has operands of unknown rank")
        return label_sizes(call, labels[0], (self.left, self.right))["k"]

    def flops(self, call: Call) -> Flops:
        """Counts a multiply-add for each product, and an addition for each element."""
        found = multiply_adds(self.products(call) * output_elements(call), False)
        return found if self.added is None else with_sums(call, found, self.added)

    def op(self) -> Op:
        """Returns the rules."""
        return Op(
            self.relations,
            self.shapes,
            products=self.products,
            flops=self.flops,
            taps=Taps.WEIGHTS,
        )


def _ranged(axis: Axis) -> Axis:
    """Returns an axis that is needed whole, because a range of values depends on it."""
    slots = (factor.slot for thread in axis for factor in thread.factors)
    return whole(slot.axis for slot in slots if slot is not None)


register("MatMul MatMulInteger com.microsoft.MatMulInteger16", MatMul().op())
register("QLinearMatMul", MatMul(0, 3).op())
register(
    "com.microsoft.FusedMatMul com.microsoft.TransposeMatMul "
    "com.microsoft.FusedMatMulActivation",
    MatMul(swaps=_stated_swaps).op(),
)
register("com.microsoft.MatMulIntegerToFloat", MatMul(added=6).op())
register("com.microsoft.DynamicQuantizeMatMul", MatMul(added=4, has_range=True).op())
register(
    "com.microsoft.SparseToDenseMatMul",
    MatMul(swaps=lambda call, number: (_stated_swaps(call, number)[0], False)).op(),
)


# --- Products with packed weights ----------------------------------------------------


def _packed(call: Call, output: int) -> Relations:
    rank = len(call.known_shape(0))
    data = Relation((*map(follow, range(rank - 1)), FULL))
    return [data, *(call.all_of(i) for i in range(1, len(call)))]


def _packed_width(call: Call) -> Size:
    """Returns the number of columns of the weights."""
    stated = call.attribute("N")
    if stated is not None:
        return call.number("N")
    shape = call.integers(2)
    return call.unknown_size(1) if shape is None else shape[-1]


def _packed_shape(call: Call) -> Sequence[Shape]:
    return [(*call.known_shape(0)[:-1], _packed_width(call))]


def _packed_products(call: Call) -> Size:
    return call.known_shape(0)[-1]


def _packed_flops(call: Call) -> Flops:
    return multiply_adds(elements(call) * _packed_width(call), False)


register(
    "com.microsoft.MatMulNBits com.microsoft.MatMulBnb4 com.microsoft.MatMulFpQ4",
    Op(
        _packed,
        _packed_shape,
        products=_packed_products,
        flops=_packed_flops,
        taps=Taps.WEIGHTS,
    ),
)


# --- Einsum --------------------------------------------------------------------------


def _labels(call: Call) -> tuple[list[list[str]], list[str]]:
    """Returns the labels of all axes.

    If an equation does not state the result, the result has the axes of the ellipsis,
    and then all labels that occur once, in alphabetical order.
    """
    equation = call.text("equation").replace(" ", "")
    if "->" not in equation:
        letters = equation.replace(",", "").replace(".", "")
        once = sorted(label for label in letters if letters.count(label) == 1)
        dots = "..." if "..." in equation else ""
        equation = f"{equation}->{dots}{''.join(once)}"
    return einsum_labels(call, equation)


def _einsum(call: Call, output: int) -> Relations:
    return einsum(call, *_labels(call))


def _einsum_shape(call: Call) -> Sequence[Shape]:
    operands, result = _labels(call)
    sizes = label_sizes(call, operands)
    missing = [label for label in result if label not in sizes]
    if missing:
        call.fail(f"has a result with the label {missing[0]!r}, which no input has")
    return [tuple(sizes[label] for label in result)]


def _einsum_products(call: Call) -> Size:
    operands, result = _labels(call)
    return summed_over(label_sizes(call, operands), result)


def _einsum_flops(call: Call) -> Flops:
    """Counts multiply-adds or, for a single operand, additions."""
    number = _einsum_products(call) * output_elements(call)
    if len(call) == 1:
        return Flops(number - output_elements(call))
    return multiply_adds(number, profiled=False)


register(
    "Einsum",
    Op(_einsum, _einsum_shape, products=_einsum_products, flops=_einsum_flops),
)
weigh("Einsum", Taps.WEIGHTS)


# --- Matrices ------------------------------------------------------------------------


def _inverse(call: Call, output: int) -> Relations:
    """Relates the inverses of matrices, which need all of a matrix."""
    rank = len(call.known_shape(0))
    if rank < 2:
        call.fail(f"requires matrices, but its input has rank {rank}")
    last = (whole([axis]) for axis in range(rank - 2, rank))
    return [Relation((*map(follow, range(rank - 2)), *last))]


register("com.microsoft.Inverse", Op(_inverse, lambda call: [call.shape(0)]))


# --- Distances -----------------------------------------------------------------------


def _distances(call: Call, output: int) -> Relations:
    return [Relation((follow(number), FULL)) for number in range(2)]


def _distances_shape(call: Call) -> Sequence[Shape]:
    return [(call.known_shape(0, 2)[0], call.known_shape(1, 2)[0])]


def _distances_flops(call: Call) -> Flops:
    count = product([*call.known_shape(0, 2), call.known_shape(1, 2)[0]])
    return multiply_adds(count, False).plus(count)


register(
    "com.microsoft.CDist", Op(_distances, _distances_shape, flops=_distances_flops)
)
