"""Ops that look along axes: reductions, products, softmax, cumulative sums, spectra."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from receptive_field.arrays import np
from receptive_field.axis_map import (
    GLOBAL,
    GLOBAL_BOUND,
    IDENTITY,
    AxisMap,
    constant,
    one_sided,
)
from receptive_field.graph.axes import FULL, Axis, Relation, follow, local, whole
from receptive_field.graph.sizes import Size, product
from receptive_field.ops.registry import count, register, treat_zeros, weigh
from receptive_field.rules.elementwise import broadcast, broadcast_axes
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
    Value,
    Zeros,
    first_shape,
)


def _reduced_axes(call: Call) -> list[int] | None:
    shape, axes = call.shape(0), call.integers(1)
    if shape is None or axes is None:
        return None
    return [call.axis(axis, len(shape)) for axis in axes]


def _keeps(call: Call) -> bool:
    return call.flag("keep_dims") or call.flag("keepdims")


def _reduce(call: Call, output: int) -> Relations:
    shape, gone = call.shape(0), _reduced_axes(call)
    if shape is None or gone is None:
        return [call.all_of(0, exact=False), None]
    axes, position = [], 0
    for axis in range(len(shape)):
        kept = axis not in gone or _keeps(call)
        gone_with = whole([position] if kept else [])
        axes.append(gone_with if axis in gone else follow(position))
        position += kept
    return [Relation(tuple(axes)), *[None] * (len(call) - 1)]


def _reduce_shape(call: Call) -> Sequence[Shape]:
    shape, gone = call.shape(0), _reduced_axes(call)
    if shape is None or gone is None:
        return [None]
    kept = [1 if a in gone else s for a, s in enumerate(shape)]
    if not _keeps(call):
        kept = [s for a, s in enumerate(shape) if a not in gone]
    return [tuple(kept)]


def _reduce_value(function: str) -> Callable[[Call], Sequence[Value]]:
    """The values by the function of NumPy with this name."""

    def values(call: Call) -> Sequence[Value]:
        value, gone = call.value(0), _reduced_axes(call)
        if value is None or gone is None or not value.size:
            return [None]
        reduce = getattr(np, function)
        return [np.asarray(reduce(value, axis=tuple(gone), keepdims=_keeps(call)))]

    return values


REDUCTION = Op(_reduce, _reduce_shape)
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
    register(_name, REDUCTION._replace(values=_reduce_value(_function)))
register("ArgMax ArgMin", REDUCTION)
count("Mean", reduction(last=1))
count("Sum ArgMax ArgMin", reduction())
count("Prod Max Min", reduction(profiled=False))
count("EuclideanNorm", lambda call: multiply_adds(elements(call), profiled=False))


def _product(call: Call, output: int) -> Relations:
    """Rows follow, what is summed over is needed whole; axes before these broadcast."""
    operands = [_before_matrix(call, number) for number in range(2)]
    batch = broadcast(call, *operands)
    extra = [call.all_of(number) for number in range(2, len(call))]
    if batch is None:
        return [*(call.all_of(number, exact=False) for number in range(2)), *extra]
    rows = 1 if call.flag("transpose_a") or call.flag("adj_x") else 0
    columns = 0 if call.flag("transpose_b") or call.flag("adj_y") else 1
    relations = []
    for number, kept in enumerate((rows, columns)):
        matrix = [FULL, FULL]
        matrix[kept] = follow(len(batch) + number)
        before = broadcast_axes(operands[number] or (), batch)
        made = frozenset() if batch else frozenset({1 - number})
        relations.append(Relation((*before, *matrix), channels=made))
    return [*relations, *extra]


def _before_matrix(call: Call, number: int) -> Shape:
    """The sizes of an operand but for those of its matrix; None if not known."""
    shape = call.shape(number)
    if shape is None:
        return None if "Batch" in call.node.op else ()
    if len(shape) < 2:
        call.fail(f"multiplies a tensor of shape {shape}; each needs two axes")
    return shape[:-2]


def _product_shape(call: Call) -> Sequence[Shape]:
    left, right = call.shape(0), call.shape(1)
    batch = broadcast(call, *(_before_matrix(call, number) for number in range(2)))
    if left is None or right is None or batch is None:
        return [None]
    rows = left[-1 if call.flag("transpose_a") or call.flag("adj_x") else -2]
    swapped = call.flag("transpose_b") or call.flag("adj_y")
    return [(*batch, rows, right[-2 if swapped else -1])]


def _products(call: Call) -> Size:
    left = call.known_shape(0)
    rows = 1 if call.flag("transpose_a") or call.flag("adj_x") else 0
    return left[-2 if rows else -1]


register(
    "MatMul BatchMatMul BatchMatMulV2 BatchMatMulV3 _FusedMatMul",
    Op(_product, _product_shape, products=_products),
)


def _product_flops(call: Call) -> Flops:
    """The profiler takes the inner size of BatchMatMul from where it is if nothing is
    transposed: it knows another name of that attribute."""
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
    """The labels of the axes of every input, and of the output.

    An ellipsis stands for labels of its own, counted from the last.
    """
    equation = call.text("equation").replace(" ", "")
    left, arrow, right = equation.partition("->")
    terms = left.split(",")
    if not arrow or len(terms) != len(call):
        call.fail(f"has {len(call)} inputs for the equation {equation!r}")
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
    return operands, _spelled(right, longest + len(right.replace("...", "")))


def _spelled(term: str, rank: int) -> list[str]:
    before, dots, after = term.partition("...")
    count = rank - len(before) - len(after) if dots else 0
    return [*before, *(f"...{i}" for i in range(-count, 0)), *after]


def _einsum(call: Call, output: int) -> Relations:
    operands, result = _labels(call)
    sizes = _label_sizes(call, operands)
    relations = []
    for number, labels in enumerate(operands):
        shape = call.known_shape(number, len(labels))
        axes = []
        for label, size in zip(labels, shape, strict=True):
            if label not in result:
                axes.append(FULL)
            elif size == 1 and sizes[label] != 1:
                axes.append(follow(result.index(label), constant(0, 0)))
            else:
                axes.append(follow(result.index(label)))
        relations.append(Relation(tuple(axes)))
    return relations


def _label_sizes(call: Call, operands: Sequence[Sequence[str]]) -> dict[str, Size]:
    sizes: dict[str, Size] = {}
    for number, labels in enumerate(operands):
        shape = call.known_shape(number, len(labels))
        for label, size in zip(labels, shape, strict=True):
            before = sizes.get(label, 1)
            if before == 1 or (isinstance(size, int) and size != 1):
                sizes[label] = size
    return sizes


def _einsum_shape(call: Call) -> Sequence[Shape]:
    operands, result = _labels(call)
    sizes = _label_sizes(call, operands)
    return [tuple(sizes[label] for label in result)]


def _einsum_products(call: Call) -> Size:
    operands, result = _labels(call)
    sizes = _label_sizes(call, operands)
    return product(size for label, size in sizes.items() if label not in result)


def _einsum_flops(call: Call) -> Flops:
    """With one operand there is nothing to multiply, only to add up."""
    number = _einsum_products(call) * output_elements(call)
    if len(call) == 1:
        return Flops(number - output_elements(call))
    return multiply_adds(number, profiled=False)


register(
    "Einsum",
    Op(_einsum, _einsum_shape, products=_einsum_products, flops=_einsum_flops),
)


# --- Along the last axes -------------------------------------------------------------


def _along_last(count: int, seen: AxisMap = GLOBAL) -> Callable[[Call, int], Relations]:
    def relations(call: Call, output: int) -> Relations:
        rest = [None] * (len(call) - 1)
        shape = call.shape(0)
        if shape is None:
            return [call.all_of(0, exact=False), *rest]
        if len(shape) < count:
            call.fail(f"needs {count} axes, its input has {len(shape)}")
        first = len(shape) - count
        last = (whole([axis], seen) for axis in range(first, len(shape)))
        return [Relation((*map(follow, range(first)), *last)), *rest]

    return relations


register("Softmax LogSoftmax", Op(_along_last(1), first_shape))
count("Softmax", per_input(5))
count("LogSoftmax", per_input(5, profiled=False))
register("FFT IFFT", Op(_along_last(1), first_shape))
register("FFT2D IFFT2D", Op(_along_last(2), first_shape))
register("FFT3D IFFT3D", Op(_along_last(3), first_shape))
register("MatrixInverse MatrixExponential", Op(_along_last(2), first_shape))
# Only a part of the matrix goes into each row.
register("Cholesky", Op(_along_last(2, GLOBAL_BOUND), first_shape))


def _spectrum(count: int, real: bool) -> Callable[[Call, int], Relations]:
    """Of an axis, as many positions are read as the lengths say; what is missing is
    zero, what is left over is cut off."""

    def relations(call: Call, output: int) -> Relations:
        shape, lengths = call.shape(0), call.integers(1)
        found, *rest = _along_last(count)(call, output)
        if shape is None:
            return [found, *rest]
        read: list[Size | None] = [None] * count
        if lengths is not None and len(lengths) == count:
            read = list(lengths)
        if any(isinstance(length, int) and length < 1 for length in read):
            call.fail(f"makes a spectrum of {read} positions")
        if not real:
            last = read[-1]
            read[-1] = last // 2 + 1 if isinstance(last, int) else None
        first = len(shape) - count
        axes = map(_start, range(first, len(shape)), shape[-count:], read)
        return [Relation((*map(follow, range(first)), *axes)), *rest]

    return relations


def _start(axis: int, size: Size, read: Size | None) -> Axis:
    """An axis of which so many positions are read, from the first one on."""
    if isinstance(read, int) and isinstance(size, int):
        return whole([axis]) if read >= size else follow(axis, constant(0, read - 1))
    return whole([axis], GLOBAL if read == size else GLOBAL_BOUND)


def _spectrum_shape(count: int, real: bool) -> Callable[[Call], Sequence[Shape]]:
    """Of real numbers, only half of the spectrum is kept."""

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
    """Each position depends on all before it, or with ``reverse`` on all behind it."""
    shape, axis = call.shape(0), call.integer(1)
    if shape is None or axis is None:
        return [call.all_of(0, exact=False), None]
    if not -len(shape) <= axis < len(shape):
        call.fail(f"accumulates along axis {axis} of an input of rank {len(shape)}")
    own = int(call.flag("exclusive"))
    reverse = call.flag("reverse")
    maps: list[AxisMap | None] = [IDENTITY] * len(shape)
    maps[axis] = one_sided(first=own) if reverse else one_sided(last=-own)
    return [local(maps), None]


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
