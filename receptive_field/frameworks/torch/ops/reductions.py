"""Rules for ops that combine positions along axes: reductions, softmax, sorting."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from receptive_field.algebra.axis_map import AxisMap, convolution, shift
from receptive_field.algebra.sizes import Size
from receptive_field.arrays import np
from receptive_field.frameworks.torch.ops.operands import (
    data_type,
    in_data_type,
    kept,
    operands,
    related,
    shape_of,
)
from receptive_field.frameworks.torch.ops.registry import (
    count,
    place,
    register,
    size,
    sizes,
    treat_zeros,
    weigh,
)
from receptive_field.relations.relation import (
    SAME,
    Relation,
    follow,
    local,
    through,
    whole,
)
from receptive_field.rules.elementwise import ELEMENTWISE, computed, extreme
from receptive_field.rules.flops import elements, multiply_adds, per_input, reduction
from receptive_field.rules.op import (
    Call,
    Op,
    Relations,
    Shape,
    Taps,
    Value,
    Zeros,
    first_shape,
)
from receptive_field.rules.reductions import (
    accumulated,
    reduced,
    reduced_shape,
    reducing,
)

# --- Reductions ----------------------------------------------------------------------


def _axes(call: Call) -> list[int] | None:
    """Returns the reduced axes: all of them, unless some are stated.

    Logical ops with an empty list of axes reduce nothing.
    """
    shape = call.shape(0)
    if shape is None:
        return None
    stated = sizes(call, "dim")
    if not stated:
        reduces_none = stated is not None and call.node.op in ("all", "any")
        return [] if reduces_none else list(range(len(shape)))
    return [_axis(call, axis, len(shape)) for axis in stated if len(shape)]


def _axis(call: Call, axis: Size | None, rank: int) -> int:
    if axis is None:
        call.fail("reduces an axis that depends on unknown sizes")
    return call.axis(axis, rank)


def _keeps(call: Call) -> bool:
    return call.flag("keepdim")


def several(op: Op, outputs: int) -> Op:
    """Returns the rules of an op with several results of the same shape."""

    def shapes(call: Call) -> Sequence[Shape]:
        assert op.shapes is not None
        return list(op.shapes(call)) * outputs

    return op._replace(shapes=shapes, values=None)


REDUCTION = reducing(_axes, _keeps)
register(
    "all amax amin any argmax argmin count_nonzero frobenius_norm linalg_vector_norm "
    "logsumexp mean nanmean nanquantile nansum norm nuclear_norm prod quantile "
    "special_logsumexp std sum var",
    REDUCTION,
)
for _name, _function in (
    ("all", "all"),
    ("amax", "max"),
    ("amin", "min"),
    ("any", "any"),
    ("prod", "prod"),
    ("sum", "sum"),
):
    _values = reducing(_axes, _keeps, _function).values
    assert _values is not None
    register(_name, REDUCTION._replace(values=in_data_type(_values)))
register("aminmax std_mean var_mean", several(REDUCTION, 2))
count("mean", reduction(last=1, profiled=False))
count("all amax amin any argmax argmin prod sum", reduction(profiled=False))
count(
    "linalg_vector_norm norm std var", lambda call: multiply_adds(elements(call), False)
)


def _extreme_relation(call: Call, output: int) -> Relations:
    """Relates the larger or smaller of two tensors, or of the positions of one."""
    rule = REDUCTION if call.attribute("other") is None else ELEMENTWISE
    return call.relations(rule, output)


def _extreme_shapes(call: Call) -> Sequence[Shape]:
    if call.attribute("other") is not None:
        assert ELEMENTWISE.shapes is not None
        return ELEMENTWISE.shapes(call)
    assert REDUCTION.shapes is not None
    return list(REDUCTION.shapes(call)) * (
        2 if call.attribute("dim") is not None else 1
    )


def _extreme_values(call: Call, sign: int) -> Sequence[Value]:
    if call.attribute("other") is not None:
        return extreme(sign, operands("self", "other"))(call)
    op = reducing(_axes, _keeps, "max" if sign > 0 else "min")
    assert op.values is not None
    return [*op.values(call), None]


EXTREME = Op(_extreme_relation, _extreme_shapes)
register("max", EXTREME._replace(values=partial(_extreme_values, sign=1)))
register("min", EXTREME._replace(values=partial(_extreme_values, sign=-1)))
register("median nanmedian", EXTREME)


def _one_axis(call: Call) -> list[int] | None:
    """Returns the only reduced axis, which is the last one unless it is stated."""
    shape = call.shape(0)
    if shape is None:
        return None
    return [call.axis(call.number("dim", -1), len(shape))] if shape else []


register("kthvalue mode", several(reducing(_one_axis, _keeps), 2))


def _matrix_axes(call: Call) -> list[int] | None:
    shape = call.shape(0)
    if shape is None:
        return None
    stated = sizes(call, "dim") or [-2, -1]
    return [_axis(call, axis, len(shape)) for axis in stated]


register("linalg_matrix_norm", reducing(_matrix_axes, _keeps))
register("linalg_norm", REDUCTION)


def _quantiles(call: Call, output: int) -> Relations:
    """Relates quantiles, which lie on a new first axis, to the input."""
    shape, gone = call.shape(0), _axes(call)
    if shape is None or gone is None:
        return [call.all_of(number, exact=False) for number in range(len(call))]
    relation: Relation | None = reduced(len(shape), gone, _keeps(call))
    if _has_new_axis(call):
        rank = len(reduced_shape(shape, gone, _keeps(call)))
        moved = Relation(tuple(follow(axis + 1) for axis in range(rank)))
        relation = through(moved, reduced(len(shape), gone, _keeps(call)))
    return related(call, {"self": relation})


def _has_new_axis(call: Call) -> bool:
    return place(call, "q") is not None and shape_of(call, "q") != ()


def _quantiles_shape(call: Call) -> Sequence[Shape]:
    shape, gone, before = call.shape(0), _axes(call), shape_of(call, "q")
    if shape is None or gone is None or before is None:
        return [None]
    return [(*before, *reduced_shape(shape, gone, _keeps(call)))]


register("quantile nanquantile", Op(_quantiles, _quantiles_shape))


def _renormed(call: Call, output: int) -> Relations:
    """Relates slices of one axis, which are scaled if their norms are too large."""
    rank = len(call.known_shape(0))
    kept_axis = call.axis(call.number("dim"), rank)
    axes = (follow(a) if a == kept_axis else whole([a]) for a in range(rank))
    return [Relation(tuple(axes))]


register("renorm", Op(_renormed, first_shape))
register("histc", Op(lambda call, output: [call.all_of(0)], None))

# --- Softmax and sorting: each position needs the whole of an axis -------------------


def _along(call: Call, output: int) -> Relations:
    shape = call.shape(0)
    if shape is None:
        return [call.all_of(number, exact=False) for number in range(len(call))]
    over = _sorted_axis(call, len(shape))
    axes = (
        whole([axis]) if axis == over else follow(axis) for axis in range(len(shape))
    )
    return related(call, {"self": Relation(tuple(axes))})


def _sorted_axis(call: Call, rank: int) -> int | None:
    if not rank:
        return None
    return call.axis(0 if call.node.op == "msort" else call.number("dim", -1), rank)


ALONG = Op(_along, first_shape)
register(
    "_log_softmax _safe_softmax _softmax argsort log_softmax msort softmax "
    "special_log_softmax special_softmax",
    ALONG,
)
register("sort", several(ALONG._replace(shapes=lambda call: [call.shape(0)]), 2))
count("_log_softmax _softmax log_softmax softmax", per_input(5, profiled=False))


def _top_shape(call: Call) -> Sequence[Shape]:
    shape = call.shape(0)
    if shape is None:
        return [None]
    found, axis, largest = list(shape), _sorted_axis(call, len(shape)), size(call, "k")
    if axis is not None:
        found[axis] = call.unknown_size(axis) if largest is None else largest
    return [tuple(found)]


register("topk", several(Op(_along, _top_shape), 2))


def _masked(call: Call, output: int) -> Relations:
    """Relates probabilities to scores, some of which a mask leaves out."""
    (data, *_) = _along(call, output)
    assert data is not None
    axes = (
        tuple(
            thread._replace(
                factors=tuple(
                    f._replace(map=f.map.as_bound()) if f.map.is_everything else f
                    for f in thread.factors
                )
            )
            for thread in axis
        )
        for axis in data.axes
    )
    mask = call.all_of(1, exact=False)
    return related(call, {"self": Relation(tuple(axes)), "mask": mask})


register("_masked_softmax", Op(_masked, first_shape))

# --- Running results -----------------------------------------------------------------


def _running(call: Call, output: int) -> Relations:
    rank = len(call.known_shape(0))
    if not rank:
        return [SAME]
    axis = call.axis(call.number("dim"), rank)
    return [accumulated(rank, axis, own=True, reverse=False)]


def _running_sums(call: Call) -> Sequence[Value]:
    axis = call.number("dim")
    values = computed(lambda x: np.cumsum(x, axis=axis), operands("self"))
    return [kept(value, data_type(call)) for value in values(call)]


RUNNING = Op(_running, lambda call: [call.shape(0)])
register("cumprod logcumsumexp", RUNNING)
register("cumsum", RUNNING._replace(values=_running_sums))
register("cummax cummin", several(RUNNING, 2))
treat_zeros("cumsum", Zeros.KEPT)


def _differences(call: Call, output: int) -> Relations:
    """Relates differences to the input, and to what lies before and after it."""
    shape = call.known_shape(0)
    axis, times = call.axis(call.number("dim", -1), len(shape)), call.number("n", 1)
    seen = convolution(times + 1, 1, 0)
    before = shape_of(call, "prepend") if place(call, "prepend") is not None else ()
    if before is None or (before and not isinstance(before[axis], int)):
        return [call.all_of(number, exact=False) for number in range(len(call))]
    width = int(before[axis]) if before else 0  # type: ignore[arg-type]

    def of(axis_map: AxisMap | None) -> Relation:
        maps = [shift(0)] * len(shape)
        return local([axis_map if a == axis else m for a, m in enumerate(maps)])

    found: dict[str, Relation | None] = {"self": of(seen.then(shift(-width)))}
    found["prepend"] = of(seen)
    found["append"] = call.all_of(0, exact=False)
    return related(call, found)


def _differences_shape(call: Call) -> Sequence[Shape]:
    found = list(call.known_shape(0))
    axis = call.axis(call.number("dim", -1), len(found))
    for name in ("prepend", "append"):
        shape = shape_of(call, name)
        if place(call, name) is not None:
            more = call.unknown_size(axis) if shape is None else shape[axis]
            found[axis] = found[axis] + more
    found[axis] = found[axis] - call.number("n", 1)
    return [tuple(found)]


register("diff", Op(_differences, _differences_shape))

# --- Weights of positions and zeros --------------------------------------------------

weigh("mean", Taps.MEAN)
weigh("sum", Taps.SUM)
weigh("amax amin", Taps.WINNER)
treat_zeros("amax amin linalg_vector_norm mean norm sum", Zeros.KEPT)
