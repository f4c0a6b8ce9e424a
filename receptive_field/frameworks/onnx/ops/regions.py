"""Rules for crops, warps, boxes, and ops whose positions the data decide.

Such an op may read any position, unless constants say more.
"""

from __future__ import annotations

from collections.abc import Sequence

from receptive_field.algebra.axis_map import (
    ANYWHERE,
    IDENTITY,
    AxisMap,
    shift,
    transposed_convolution,
)
from receptive_field.algebra.sizes import Size, bounds
from receptive_field.frameworks.onnx.ops.registry import (
    is_given,
    register,
    treat_zeros,
    weigh,
)
from receptive_field.frameworks.onnx.ops.windows import Convolution, Pooling
from receptive_field.relations.relation import (
    ALL,
    FULL,
    FULL_BOUND,
    Relation,
    follow,
    local,
    moved,
    whole,
)
from receptive_field.rules.op import Call, Op, Relations, Shape, Taps, Zeros

# --- Crops from the centre -----------------------------------------------------------


def _centred(call: Call) -> tuple[tuple[Size, ...], list[Size]]:
    """Returns the shape before and after a crop or padding of some axes."""
    axes, sizes = call.numbers("axes"), call.integers(1)
    rank = None if axes or sizes is None else len(sizes)
    shape = call.known_shape(0, rank)
    new = list(shape)
    places = [call.axis(axis, len(shape)) for axis in axes or range(len(shape))]
    if sizes is not None and len(sizes) != len(places):
        call.fail(f"has {len(sizes)} sizes for {len(places)} axes")
    for place, axis in enumerate(places):
        new[axis] = call.unknown_size(axis) if sizes is None else sizes[place]
    return shape, new


def _centre_map(call: Call, axis: int, size: Size, new_size: Size) -> AxisMap:
    """Returns the map of an axis that is cropped or padded around its centre.

    Of an odd difference, the extra position is cut off or added behind the axis.
    """
    if size == new_size:
        return IDENTITY
    limits = bounds(size - new_size)
    if limits is not None and limits[0] >= 0:
        return moved(shift(0), (size - new_size) // 2)
    if limits is not None and limits[1] <= 0:
        return moved(shift(0), -1 * ((new_size - size) // 2))
    return shift(0).with_unknown_offset(call.unknown_offset(axis))


def _centre(call: Call, output: int) -> Relations:
    shape, new = _centred(call)
    maps = [
        _centre_map(call, axis, *sizes)
        for axis, sizes in enumerate(zip(shape, new, strict=True))
    ]
    return [local(maps), call.all_of(1)]


register("CenterCropPad", Op(_centre, lambda call: [tuple(_centred(call)[1])]))
weigh("CenterCropPad", Taps.COPY)
treat_zeros("CenterCropPad", Zeros.KEPT)

# --- Warps ---------------------------------------------------------------------------


def _spatial(call: Call) -> range:
    rank = len(call.known_shape(0))
    if rank < 3:
        call.fail(f"requires an input of rank 3 or more, not {rank}")
    return range(2, rank)


def _sampled(call: Call, output: int) -> Relations:
    """Returns relations for positions that are read where a grid says."""
    axes = _spatial(call)
    data = (follow(0), follow(1), *(whole([axis], ANYWHERE) for axis in axes))
    return [Relation(data), Relation((follow(0), *map(follow, axes), FULL))]


def _sampled_shape(call: Call) -> Sequence[Shape]:
    shape = call.known_shape(0)
    grid = call.known_shape(1, len(shape))
    return [(*shape[:2], *grid[1:-1])]


register(
    "GridSample",
    Op(_sampled, _sampled_shape, layout=lambda call: (0, _spatial(call))),
)


def _affine_grid(call: Call, output: int) -> Relations:
    """Returns relations to the matrices, whose rows give the coordinates of a grid."""
    rank = call.known_shape(1, 1)[0]
    last = rank - 1 if isinstance(rank, int) else None
    rows = FULL_BOUND if last is None else follow(last)
    return [Relation((follow(0), rows, FULL_BOUND)), call.all_of(1)]


def _affine_grid_shape(call: Call) -> Sequence[Shape]:
    sizes, (rank,) = call.integers(1), call.known_shape(1, 1)
    if sizes is None:
        if not isinstance(rank, int):
            return [None]
        sizes = [call.unknown_size(max(axis - 1, 0)) for axis in range(rank)]
    return [(sizes[0], *sizes[2:], len(sizes) - 2)]


register("AffineGrid", Op(_affine_grid, _affine_grid_shape))

# --- Regions -------------------------------------------------------------------------


def _pooled(call: Call, output: int) -> Relations:
    """Returns relations for crops from any place of any image of the batch."""
    call.known_shape(0, 4)
    sides = (whole([axis], ANYWHERE) for axis in (2, 3))
    data = Relation((FULL_BOUND, follow(1), *sides))
    boxes = Relation((follow(0), FULL_BOUND))
    indices = [Relation((follow(0),))] * (len(call) - 2)
    return [data, boxes, *indices]


def _regions_shape(call: Call, sizes: Sequence[int]) -> Sequence[Shape]:
    shape, boxes = call.known_shape(0, 4), call.shape(1)
    if len(sizes) != 2:
        call.fail(f"has {len(sizes)} output sizes for two axes")
    count = call.unknown_size(0) if boxes is None else boxes[0]
    return [(count, shape[1], *sizes)]


def _aligned_shape(call: Call) -> Sequence[Shape]:
    sides = [call.number(f"output_{side}", 1) for side in ("height", "width")]
    return _regions_shape(call, sides)


def _max_pooled_shape(call: Call) -> Sequence[Shape]:
    return _regions_shape(call, call.numbers("pooled_shape") or [])


register("RoiAlign", Op(_pooled, _aligned_shape, layout=lambda call: (0, (2, 3))))
register("MaxRoiPool", Op(_pooled, _max_pooled_shape, layout=lambda call: (0, (2, 3))))


def _any(call: Call, output: int) -> Relations:
    return [call.all_of(i, exact=False) for i in range(len(call))]


def _selected_shape(call: Call) -> Sequence[Shape]:
    return [(call.unknown_size(0), 3)]


register("NonMaxSuppression", Op(_any, _selected_shape))


def _decoded_shape(call: Call) -> Sequence[Shape]:
    gray = call.text("pixel_format", "RGB") == "Grayscale"
    return [(call.unknown_size(0), call.unknown_size(1), 1 if gray else 3)]


register("ImageDecoder", Op(_any, _decoded_shape))

# --- Convolutions with offsets -------------------------------------------------------


class Deformable(Convolution):
    """Convolutions whose taps are moved by offsets, the third input.

    A mask, the fifth input, has factors for the taps.
    """

    def relations(self, call: Call, output: int) -> Relations:
        """Returns the relations to the inputs."""
        axes = self.axes(call)
        offsets = call.value(2)
        if offsets is not None and not offsets.any():
            data = self.placed(call).relation()
        else:
            moves = (whole([axis], ANYWHERE) for axis in axes)
            data = Relation((follow(0), FULL, *moves))
        beside = Relation((follow(0), FULL, *map(follow, axes)))
        return [data, ALL, beside, *[ALL, beside][: len(call) - 3]]


register("DeformConv", Deformable(1, bias=3).op()._replace(windows=None))

# --- Unpooling -----------------------------------------------------------------------


def _unpooled_shape(call: Call) -> Sequence[Shape]:
    shape = call.known_shape(0)
    if is_given(call, 2):
        sizes = call.integers(2)
        if sizes is None:
            sizes = [call.unknown_size(axis) for axis in range(len(shape))]
        return [tuple(sizes)]
    axes = _spatial(call)
    pooling, count = Pooling(), len(axes)
    kernel = pooling.per_axis(call, "kernel_shape", 1, count)
    strides = pooling.per_axis(call, "strides", 1, count)
    pads = pooling.per_axis(call, "pads", 0, 2 * count)
    totals = zip(pads[:count], pads[count:], strict=True)
    new = (
        (shape[axis] - 1) * stride - sum(total) + size
        for axis, stride, total, size in zip(axes, strides, totals, kernel, strict=True)
    )
    return [(*shape[:2], *new)]


def _unpooled(call: Call, output: int) -> Relations:
    """Returns relations for values that are written where indices say.

    If these are the indices of a pool, a position can only come from the windows that
    hold it.
    """
    found = _of_pool(call)
    if found is None:
        rank = len(call.known_shape(0))
        found = Relation(tuple(whole([axis], ANYWHERE) for axis in range(rank)))
    return [found, found, *[None] * (len(call) - 2)]


def _of_pool(call: Call) -> Relation | None:
    """Returns the relation to what a pool made of a tensor of the output's shape.

    Returns None if the indices are not those of such a pool.
    """
    index, number = call.input(1)
    pool = Call(call.node.graph.nodes[index], call.knowledge)
    if pool.node.op != "MaxPool" or not number or pool.number("storage_order", 0):
        return None
    if pool.shape(0) is None or pool.shape(0) != _unpooled_shape(call)[0]:
        return None
    return Pooling().placed(pool).relation(transposed_convolution)


register(
    "MaxUnpool",
    Op(_unpooled, _unpooled_shape, layout=lambda call: (0, _spatial(call))),
)
treat_zeros("MaxUnpool", Zeros.KEPT)
