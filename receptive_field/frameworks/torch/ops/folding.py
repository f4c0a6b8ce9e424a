"""Rules for ops that move blocks of positions into channels or columns, and back."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from receptive_field.algebra.axis_map import (
    IDENTITY,
    AxisMap,
    constant,
    convolution,
    quotient,
    shift,
    transposed_convolution,
)
from receptive_field.algebra.sizes import Size, Symbolic, divides, product
from receptive_field.frameworks.torch.ops import literals
from receptive_field.frameworks.torch.ops.registry import (
    integers,
    register,
    sizes,
    treat_zeros,
    weigh,
)
from receptive_field.relations.relation import (
    FULL,
    Axis,
    Factor,
    Relation,
    Slot,
    Thread,
    follow,
    merge,
)
from receptive_field.rules.blocks import (
    checked_block,
    depth_or_space_shape,
    depth_to_space,
    space_to_depth,
)
from receptive_field.rules.op import (
    Call,
    Op,
    Relations,
    Shape,
    Taps,
    Window,
    Zeros,
    first_shape,
)
from receptive_field.rules.windows import output_size, sliding_windows

# --- Blocks and channels -------------------------------------------------------------


def _image(call: Call) -> tuple[tuple[Size, ...], int]:
    """Returns the shape of images, and the axis of their channels."""
    shape = call.known_shape(0)
    if len(shape) < 3:
        call.fail(f"requires an input of rank 3 or more, not {len(shape)}")
    return shape, len(shape) - 3


def _block(call: Call, to_space: bool) -> int:
    name = "upscale_factor" if to_space else "downscale_factor"
    return checked_block(call, call.number(name))


def _shuffled(call: Call, output: int, to_space: bool) -> Relations:
    """Relates an image to channels that hold its blocks, or the other way round."""
    (shape, channel), block = _image(call), _block(call, to_space)
    axes = (channel + 1, channel + 2)
    if not channel:  # Without a batch, all channels are needed.
        step = quotient(block) if to_space else convolution(block, block)
        return [Relation((FULL, *(follow(axis, step) for axis in axes)))]
    (image,) = _shuffled_shape(call, to_space) if to_space else [shape]
    relation = depth_to_space if to_space else space_to_depth
    return [relation(image, axes, channel, block, offsets_first=False)]


def _shuffled_shape(call: Call, to_space: bool) -> Sequence[tuple[Size, ...]]:
    shape, channel = _image(call)
    axes = (channel + 1, channel + 2)
    block = _block(call, to_space)
    return [depth_or_space_shape(call, shape, axes, channel, block, to_space)]


def _image_layout(call: Call) -> tuple[int, Sequence[int]]:
    _, channel = _image(call)
    return 0, (channel + 1, channel + 2)


for _name, _to_space in (("pixel_shuffle", True), ("pixel_unshuffle", False)):
    register(
        _name,
        Op(
            partial(_shuffled, to_space=_to_space),
            partial(_shuffled_shape, to_space=_to_space),
            layout=_image_layout,
        ),
    )


def _shuffled_channels(call: Call, output: int) -> Relations:
    """Relates channels to those of the input, which take turns from each group."""
    shape = call.known_shape(0)
    if len(shape) < 3:
        call.fail(f"requires an input of rank 3 or more, not {len(shape)}")
    (groups,) = integers(call, "groups", 1)
    each = divides(groups, shape[1])
    if each is None:
        call.fail(f"cannot divide {shape[1]} channels into {groups} groups")
    axes = [follow(axis) for axis in range(len(shape))]
    axes[1] = merge(
        Factor(None, Slot(1, 1, groups), IDENTITY),
        Factor(each, Slot(1, groups), IDENTITY),
    )
    return [Relation(tuple(axes))]


register("channel_shuffle native_channel_shuffle", Op(_shuffled_channels, first_shape))

# --- Columns of windows --------------------------------------------------------------


class _Columns(NamedTuple):
    """Windows over an image, each of which is a column of a matrix."""

    windows: tuple[Window, ...]
    counts: tuple[Size, ...]
    """The number of windows on each axis."""

    @property
    def area(self) -> int:
        """The number of positions in a window."""
        return self.windows[0].kernel * self.windows[1].kernel

    @property
    def tiles(self) -> bool:
        """Whether windows lie side by side."""
        return all(w.stride == w.kernel and w.dilation == 1 for w in self.windows)


def _columns(call: Call, image: Sequence[Size]) -> _Columns:
    kernel, dilation, padding, stride = (
        integers(call, name, 2)
        for name in ("kernel_size", "dilation", "padding", "stride")
    )
    try:
        found = sliding_windows(
            image, kernel, stride, dilation, [(pad, pad) for pad in padding]
        )
    except ValueError as error:
        call.fail(str(error))
    counts = [output_size(size, w) for size, w in zip(image, found, strict=True)]
    return _Columns(found, tuple(counts))


def _axis(factors: Sequence[Factor], tail: AxisMap = IDENTITY) -> Axis:
    """Returns an axis that merges factors; those of size one are left out."""
    wide = [f for f in factors if f.size != 1]
    if not wide:
        return (Thread((Factor(None, None, constant(0, 0).then(tail)),)),)
    return (Thread((wide[0]._replace(size=None), *wide[1:]), tail),)


def _unfolded(call: Call, output: int) -> Relations:
    """Relates columns to an image.

    If windows lie side by side, the row of a column says where in its window a value
    comes from. Otherwise, all rows are needed together.
    """
    shape, channel = _image(call)
    columns = _columns(call, shape[-2:])
    rows, line = channel, channel + 1
    (high, wide), (y, x) = columns.counts, columns.windows
    places = Slot(line, wide, None), Slot(line, 1, wide)
    axes: list[Axis] = [follow(axis) for axis in range(channel)]
    if columns.tiles and channel:
        axes.append(merge(Factor(None, Slot(rows, columns.area), IDENTITY)))
        inner = Slot(rows, x.kernel, y.kernel), Slot(rows, 1, x.kernel)
        for count, w, place, tap in zip(
            (high, wide), columns.windows, places, inner, strict=True
        ):
            factors = Factor(count, place, IDENTITY), Factor(w.kernel, tap, IDENTITY)
            axes.append(_axis(factors, shift(-(w.padding or 0))))
        return [Relation(tuple(axes))]
    axes.append(FULL)
    for count, w, place in zip((high, wide), columns.windows, places, strict=True):
        taps = convolution(w.kernel, w.stride, w.padding or 0, w.dilation)
        if count == 1:
            axes.append((Thread((Factor(None, None, constant(0, 0).then(taps)),)),))
        else:
            axes.append(merge(Factor(None, place, taps)))
    return [Relation(tuple(axes), channels=frozenset({rows}))]


def _unfolded_shape(call: Call) -> Sequence[Shape]:
    shape, channel = _image(call)
    columns = _columns(call, shape[-2:])
    rows = shape[channel] * columns.area
    return [(*shape[:channel], rows, product(columns.counts))]


def _unfolded_windows(call: Call) -> Sequence[Window]:
    shape, _ = _image(call)
    return _columns(call, shape[-2:]).windows


register(
    "im2col",
    Op(
        _unfolded,
        _unfolded_shape,
        layout=_image_layout,
        windows=_unfolded_windows,
    ),
)


def _folding(call: Call) -> tuple[tuple[Size, ...], list[Size], _Columns]:
    """Returns the shape of columns, the size of the image, and the windows."""
    shape = call.known_shape(0)
    if len(shape) not in (2, 3):
        call.fail(f"requires an input of rank 3, not {len(shape)}")
    stated = sizes(call, "output_size") or []
    if len(stated) == 1:
        stated = stated * 2
    image = [size for size in stated if size is not None]
    if len(image) != 2:
        call.fail("cannot be analysed: its output_size depends on unknown sizes")
    of_trace = all(isinstance(size, int) for size in image)
    if of_trace and isinstance(shape[-1], Symbolic) and literals.are_of_one_size(call):
        literals.fail(call, image)
    columns = _columns(call, image)
    known = isinstance(shape[-1], int) and isinstance(product(columns.counts), int)
    if known and shape[-1] != product(columns.counts):
        call.fail(
            f"has {shape[-1]} columns, but {product(columns.counts)} windows fit on an "
            f"image of {image}"
        )
    return shape, image, columns


def _folded(call: Call, output: int) -> Relations:
    """Relates an image to columns, whose values are added where windows overlap."""
    shape, image, columns = _folding(call)
    channel = len(shape) - 2
    places = [Slot(channel + 1), Slot(channel + 2)]
    axes: list[Axis] = [follow(axis) for axis in range(channel)]
    fills = all(
        w.padding == 0 and divides(w.kernel, size) is not None
        for w, size in zip(columns.windows, image, strict=True)
    )
    if columns.tiles and fills and channel:
        taps = [
            Factor(w.kernel, place._replace(size=w.kernel), IDENTITY)
            for w, place in zip(columns.windows, places, strict=True)
        ]
        rows = Factor(None, Slot(channel), IDENTITY)
        lines = [
            Factor(count, place._replace(inner=w.kernel), IDENTITY)
            for count, w, place in zip(
                columns.counts, columns.windows, places, strict=True
            )
        ]
        axes += [merge(rows, *(t for t in taps if t.size != 1)), _axis(lines)]
        return [Relation(tuple(axes))]
    # Windows outside of an axis would stand for windows of other rows, and a position
    # that no window holds on one axis sees nothing on the other.
    high, wide = (
        Factor(
            count,
            place,
            transposed_convolution(
                w.kernel, w.stride, w.padding or 0, w.dilation
            ).as_bound(),
        )
        for count, w, place in zip(columns.counts, columns.windows, places, strict=True)
    )
    line = merge(high._replace(size=None), wide)
    return [Relation((*axes, FULL, line), channels=frozenset({channel}))]


def _folded_shape(call: Call) -> Sequence[Shape]:
    shape, image, columns = _folding(call)
    rows = shape[-2]
    channels = divides(columns.area, rows)
    if channels is None:
        call.fail(f"cannot divide {rows} rows into windows of {columns.area} positions")
    return [(*shape[:-2], channels, *image)]


register("col2im", Op(_folded, _folded_shape))

MOVING = "pixel_shuffle pixel_unshuffle channel_shuffle native_channel_shuffle im2col"
weigh(MOVING, Taps.COPY)
weigh("col2im", Taps.SUM)
treat_zeros(f"{MOVING} col2im", Zeros.KEPT)
