"""Rules for reductions, products, softmax, cumulative sums and spectra."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from receptive_field.algebra.axis_map import GLOBAL_BOUND
from receptive_field.algebra.sizes import Size, shape_in_words
from receptive_field.frameworks.tensorflow.ops.registry import (
    count,
    register,
    treat_zeros,
    weigh,
)
from receptive_field.rules.elementwise import broadcast
from receptive_field.rules.flops import (
    elements,
    multiply_adds,
    output_elements,
    per_input,
    reduction,
)
from receptive_field.rules.op import (
    Call,
    Flops,
    Op,
    Relations,
    Shape,
    Taps,
    Zeros,
    first_shape,
)
from receptive_field.rules.products import (
    einsum,
    einsum_labels,
    label_sizes,
    matrix_product,
    summed_over,
)
from receptive_field.rules.reductions import (
    accumulated,
    along_last,
    reducing,
    spectrum,
)


def _reduced_axes(call: Call) -> list[int] | None:
    shape, axes = call.shape(0), call.integers(1)
    if shape is None or axes is None:
        return None
    return [call.axis(axis, len(shape)) for axis in axes]


def _keeps(call: Call) -> bool:
    return call.flag("keep_dims") or call.flag("keepdims")


REDUCTION = reducing(_reduced_axes, _keeps)
register("Mean EuclideanNorm", REDUCTION)
_FUNCTIONS = {
    "Sum": "sum",
    "Prod": "prod",
    "Max": "max",
    "Min": "min",
    "All": "all",
    "Any": "any",
}
for _name, _function in _FUNCTIONS.items():
    register(_name, reducing(_reduced_axes, _keeps, _function))
register("ArgMax ArgMin", REDUCTION)
count("Mean", reduction(last=1))
count("Sum ArgMax ArgMin", reduction())
count("Prod Max Min", reduction(profiled=False))
count("EuclideanNorm", lambda call: multiply_adds(elements(call), profiled=False))


def _product(call: Call, output: int) -> Relations:
    """Returns the relations of a matrix product to its operands and other inputs.

    Rows follow the first operand, and columns follow the second. The axes that are
    summed over are needed whole. Axes before the matrix axes are broadcast.
    """
    operands = [_before_matrix(call, number) for number in range(2)]
    batch = broadcast(call, *operands)
    extra = [call.all_of(number) for number in range(2, len(call))]
    if batch is None:
        return [*(call.all_of(number, exact=False) for number in range(2)), *extra]
    outer = [operand or () for operand in operands]
    return [*matrix_product(call, (0, 1), outer, batch, _swapped(call)), *extra]


def _swapped(call: Call) -> tuple[bool, bool]:
    """Returns, for each operand, whether its matrices are transposed."""
    left = call.flag("transpose_a") or call.flag("adj_x")
    return left, call.flag("transpose_b") or call.flag("adj_y")


def _before_matrix(call: Call, number: int) -> Shape:
    """Returns the sizes of an operand's axes before its matrix axes, if known."""
    shape = call.shape(number)
    if shape is None:
        return None if "Batch" in call.node.op else ()
    if len(shape) < 2:
        call.fail(
            f"multiplies a tensor of shape {shape_in_words(shape)}, but requires at "
            "least two axes"
        )
    return shape[:-2]


def _product_shape(call: Call) -> Sequence[Shape]:
    left, right = call.shape(0), call.shape(1)
    batch = broadcast(call, *(_before_matrix(call, number) for number in range(2)))
    if left is None or right is None or batch is None:
        return [None]
    swapped = _swapped(call)
    rows, columns = left[-1 if swapped[0] else -2], right[-2 if swapped[1] else -1]
    return [(*batch, rows, columns)]


def _products(call: Call) -> Size:
    return call.known_shape(0)[-2 if _swapped(call)[0] else -1]


register(
    "MatMul BatchMatMul BatchMatMulV2 BatchMatMulV3 _FusedMatMul",
    Op(_product, _product_shape, products=_products),
)


def _product_flops(call: Call) -> Flops:
    """Counts a multiply-add for each product.

    The profiler ignores ``adj_x`` of BatchMatMul. If this is set, the profiler takes
    the inner size from the wrong axis.
    """
    flops = multiply_adds(_products(call) * output_elements(call))
    if not call.flag("adj_x"):
        return flops
    return flops._replace(profiled=2 * call.known_shape(0)[-1] * output_elements(call))


def _fused_product_flops(call: Call) -> Flops:
    number = _products(call) * output_elements(call)
    added = max(len(call) - 2, 0) * output_elements(call)
    return multiply_adds(number, profiled=False).plus(added)


count("MatMul BatchMatMul BatchMatMulV2 BatchMatMulV3", _product_flops)
count("_FusedMatMul", _fused_product_flops)


# --- Einsum --------------------------------------------------------------------------


def _labels(call: Call) -> tuple[list[list[str]], list[str]]:
    return einsum_labels(call, call.text("equation"))


def _einsum(call: Call, output: int) -> Relations:
    return einsum(call, *_labels(call))


def _einsum_shape(call: Call) -> Sequence[Shape]:
    operands, result = _labels(call)
    sizes = label_sizes(call, operands)
    return [tuple(sizes[label] for label in result)]


def _einsum_products(call: Call) -> Size:
    operands, result = _labels(call)
    sizes = label_sizes(call, operands)
    return summed_over(sizes, result)


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


# --- Along the last axes -------------------------------------------------------------


register("Softmax LogSoftmax", Op(along_last(1), first_shape))
count("Softmax", per_input(5))
count("LogSoftmax", per_input(5, profiled=False))
register("FFT IFFT", Op(along_last(1), first_shape))
register("FFT2D IFFT2D", Op(along_last(2), first_shape))
register("FFT3D IFFT3D", Op(along_last(3), first_shape))
register("MatrixInverse MatrixExponential", Op(along_last(2), first_shape))
# Each row of the result depends on only a part of the matrix.
register("Cholesky", Op(along_last(2, GLOBAL_BOUND), first_shape))


def _spectrum(count: int, real: bool) -> Callable[[Call, int], Relations]:
    def relations(call: Call, output: int) -> Relations:
        shape, lengths = call.shape(0), call.integers(1)
        found, *rest = along_last(count)(call, output)
        if shape is None:
            return [found, *rest]
        read: list[Size | None] = [None] * count
        if lengths is not None and len(lengths) == count:
            read = list(lengths)
        return [spectrum(call, shape, read, real), *rest]

    return relations


def _spectrum_shape(count: int, real: bool) -> Callable[[Call], Sequence[Shape]]:
    """Returns a shape rule. For real input, only half of the spectrum is kept."""

    def shapes(call: Call) -> Sequence[Shape]:
        shape, lengths = call.shape(0), call.integers(1)
        if shape is None:
            return [None]
        if lengths is None or len(lengths) != count:
            lengths = [call.unknown_size(len(shape) - count + i) for i in range(count)]
        if real and isinstance(lengths[-1], int):
            lengths = [*lengths[:-1], lengths[-1] // 2 + 1]
        elif real:
            lengths = [*lengths[:-1], call.unknown_size(len(shape) - 1)]
        return [(*shape[: len(shape) - count], *lengths)]

    return shapes


for _count, _suffix in enumerate(("", "2D", "3D"), start=1):
    for _name, _real in {f"RFFT{_suffix}": True, f"IRFFT{_suffix}": False}.items():
        register(_name, Op(_spectrum(_count, _real), _spectrum_shape(_count, _real)))


# --- Cumulative ----------------------------------------------------------------------


def _cumulative(call: Call, output: int) -> Relations:
    shape, axis = call.shape(0), call.integer(1)
    if shape is None or axis is None:
        return [call.all_of(0, exact=False), None]
    if not -len(shape) <= axis < len(shape):
        call.fail(
            f"accumulates along axis {axis}, which an input of rank {len(shape)} does "
            "not have"
        )
    own, reverse = not call.flag("exclusive"), call.flag("reverse")
    return [accumulated(len(shape), axis, own, reverse), None]


register("Cumsum Cumprod CumulativeLogsumexp", Op(_cumulative, first_shape))


def _l2_loss(call: Call, output: int) -> Relations:
    return [call.all_of(0)]


register("L2Loss", Op(_l2_loss, lambda call: [()]))
count("Cumsum Cumprod CumulativeLogsumexp", per_input(profiled=False))
count("L2Loss", lambda call: Flops.alike(3 * elements(call) - 1))

weigh("MatMul BatchMatMul BatchMatMulV2 BatchMatMulV3 _FusedMatMul", Taps.WEIGHTS)
weigh("Einsum", Taps.WEIGHTS)
weigh("Mean", Taps.MEAN)
weigh("Sum Cumsum", Taps.SUM)
weigh("Max Min ArgMax ArgMin", Taps.WINNER)
treat_zeros("Cumsum Max Mean Min Sum", Zeros.KEPT)
