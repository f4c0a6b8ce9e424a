"""Convolution and pooling: windows that slide over spatial axes.

Padding that follows the size is TensorFlow's SAME padding (tf.nn.convolution, "Notes on
padding"). Its total is ``max(extent - stride, 0)`` if the size is a multiple of the
stride, and ``max(extent - size % stride, 0)`` otherwise. If the total is odd, the
padding before the axis is the smaller part; in ONNX's SAME_LOWER it is the larger one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import lru_cache
from math import floor
from typing import NamedTuple

from receptive_field.algebra.axis_map import (
    ANYWHERE,
    IDENTITY,
    AxisMap,
    convolution,
    table,
    transposed_convolution,
)
from receptive_field.algebra.sizes import (
    Size,
    ceiling_division,
    remainder_of,
    residue,
    shape_in_words,
)
from receptive_field.relations.relation import (
    LARGEST_PERIOD,
    Axis,
    Relation,
    follow,
    local,
    whole,
)
from receptive_field.rules.op import Call, Window


def same_padding(
    extent: int,
    stride: int,
    size: Size,
    least: int | None = 0,
    extra_before: bool = False,
) -> tuple[int | None, int | None]:
    """Returns the SAME padding before the first position, and the total padding.

    Both depend on the size only through its remainder modulo the stride. Each of them
    is None if it depends on a remainder that is unknown.

    ``least`` is the smallest total that is allowed. If it is None, padding may be
    negative: a stride longer than the kernel then skips positions at the start.
    ``extra_before`` says where the extra position of an odd total goes.
    """
    return _same_padding(extent, stride, residue(size, stride), least, extra_before)


@lru_cache(maxsize=1024)
def _same_padding(
    extent: int, stride: int, rest: int | None, least: int | None, extra_before: bool
) -> tuple[int | None, int | None]:
    residues = range(stride) if rest is None else (rest,)
    totals = {extent - (r or stride) for r in residues}
    if least is not None:
        totals = {max(total, least) for total in totals}
    # Half of -3 is -1.
    befores = {int((total + extra_before) / 2) for total in totals}
    before, total = (s.pop() if len(s) == 1 else None for s in (befores, totals))
    return before, total


def sliding_windows(
    sizes: Sequence[Size],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    paddings: Sequence[tuple[int, int]] | None,
    least: int | None = 0,
    extra_before: bool = False,
    undilated: bool = False,
    rounds_up: bool = False,
) -> tuple[Window, ...]:
    """Returns the window on each axis.

    Args:
      sizes: the sizes of the axes.
      kernel, strides, dilations: one number per axis.
      paddings: the padding before and after each axis; None for SAME padding.
      least, extra_before: see `same_padding`.
      undilated: whether SAME padding is that of the kernel without its dilation. There
        are then fewer positions, because the dilated kernel spans more.
      rounds_up: whether a last window counts that reaches past the padding behind an
        axis, unless it starts there. With padding by numbers, this is the same as more
        padding: ``stride - 1`` positions, but not so many that a window starts there.

    Raises:
      ValueError: if a number is out of range, or not a single window fits on an axis.
    """
    steps = tuple(zip(kernel, strides, dilations, strict=True))
    if paddings is None:
        rests = [
            residue(size, stride) if stride > 1 else 0
            for size, stride in zip(sizes, strides, strict=True)
        ]
        found = _same_windows(
            steps, tuple(rests), least, extra_before, undilated, rounds_up
        )
        for size, window in zip(sizes, found, strict=True):
            left = output_size(size, window)
            if isinstance(left, int) and left < 1:
                raise _vanishing(size, window.extent)
        return found
    known = tuple([size if isinstance(size, int) else None for size in sizes])
    return _padded_windows(steps, known, tuple(paddings), rounds_up)


_Steps = tuple[tuple[int, int, int], ...]
"""Kernel, stride and dilation of each axis."""


@lru_cache(maxsize=1024)
def _same_windows(
    steps: _Steps,
    rests: tuple[int | None, ...],
    least: int | None,
    extra_before: bool,
    undilated: bool,
    rounds_up: bool,
) -> tuple[Window, ...]:
    found = []
    for (kernel, stride, dilation), rest in zip(steps, rests, strict=True):
        extent = _extent(kernel, stride, dilation)
        padded = kernel if undilated else extent
        before, total = _same_padding(padded, stride, rest, least, extra_before)
        found.append(
            Window(
                kernel,
                stride,
                before,
                total,
                dilation,
                follows_size=True,
                extra_before=extra_before,
                least=least,
                undilated=undilated,
                rounds_up=rounds_up,
            )
        )
    return tuple(found)


@lru_cache(maxsize=1024)
def _padded_windows(
    steps: _Steps,
    sizes: tuple[int | None, ...],
    pads: tuple[tuple[int, int], ...],
    rounds_up: bool,
) -> tuple[Window, ...]:
    found = []
    for (kernel, stride, dilation), size, pair in zip(steps, sizes, pads, strict=True):
        extent = _extent(kernel, stride, dilation)
        rounded = 0
        if rounds_up:
            rounded = min(pair[1] + stride - 1, extent - 1) - pair[1]
        total = sum(pair) + rounded
        if size is not None and size + total < extent:
            raise _vanishing(size, extent)
        found.append(
            Window(
                kernel,
                stride,
                pair[0],
                total,
                dilation,
                rounds_up=rounds_up,
                rounded=rounded,
            )
        )
    return tuple(found)


def _vanishing(size: Size, extent: int) -> ValueError:
    return ValueError(
        f"makes the feature map vanish: its input has {size} positions on an axis, but "
        f"its kernel spans {extent}"
    )


def _extent(kernel: int, stride: int, dilation: int) -> int:
    if min(kernel, stride, dilation) < 1:
        raise ValueError(
            f"has kernel size {kernel}, stride {stride} and dilation {dilation}; all "
            "three must be at least 1"
        )
    if max(stride, dilation) > LARGEST_PERIOD:
        raise ValueError(
            f"has stride {stride} and dilation {dilation}; neither may be more than "
            f"{LARGEST_PERIOD}"
        )
    return dilation * (kernel - 1) + 1


@lru_cache(maxsize=1024)
def _keeps_size(w: Window) -> bool:
    return w.stride == 1 and w.total_padding == w.extent - 1


def output_size(size: Size, w: Window) -> Size:
    """Returns the number of output positions of a window on an axis of this size."""
    if w.follows_size:
        return ceiling_division(size, w.stride) - w.fewer
    assert w.total_padding is not None
    return ceiling_division(size + (w.total_padding - w.extent + 1), w.stride)


MakeMap = Callable[[int, int, int, int], AxisMap]
"""`convolution` or `transposed_convolution`.

The arguments are the kernel size, the stride, the padding and the dilation."""


def window_map(size: Size, w: Window, make: MakeMap) -> AxisMap:
    """Returns the map of a window on one axis; its padding may depend on the size."""
    if w.padding is None:
        return _unknown_padding(size, w, make)
    return make(w.kernel, w.stride, w.padding, w.dilation)


@lru_cache(maxsize=1024)
def _placed(
    rank: int,
    axes: tuple[int, ...],
    windows: tuple[Window, ...],
    make: MakeMap,
    batch: int | None,
) -> Relation:
    """Returns the relation of windows on some axes.

    The axis ``batch``, if there is one, follows itself. All other axes are needed
    whole. Unknown padding is taken to be 0.
    """
    maps = {
        axis: IDENTITY
        if (w.kernel, w.stride, w.total_padding) == (1, 1, 0)
        else make(w.kernel, w.stride, w.padding or 0, w.dilation)
        for axis, w in zip(axes, windows, strict=True)
    }
    kept = {batch: IDENTITY}
    found = local([maps.get(a, kept.get(a)) for a in range(rank)])
    return found._replace(channels=frozenset(range(rank)) - {*axes, batch})


@lru_cache(maxsize=1024)
def _paddings_are_known(windows: tuple[Window, ...]) -> bool:
    return all(w.padding is not None for w in windows)


def _unknown_padding(size: Size, w: Window, make: MakeMap) -> AxisMap:
    """Returns the map of a window whose padding follows an unknown size.

    This is the map for the least possible padding, moved by an unknown offset. The
    offset has a name that depends only on the remainder of the size modulo the stride
    and on the padding that each remainder adds. Therefore, windows with the same offset
    share its name. Examples are windows of kernels of 3 and of 5 positions.
    """
    name, number = remainder_of(size, w.stride)  # type: ignore[arg-type]
    befores = [
        int(
            _same_padding(w.padded_extent, w.stride, rest, w.least, w.extra_before)[0]
            or 0
        )
        for rest in range(w.stride)
    ]
    padding = min(befores)
    added = tuple(
        befores[(rest + number) % w.stride] - padding for rest in range(w.stride)
    )
    placed = make(w.kernel, w.stride, padding, w.dilation)
    if make is transposed_convolution:
        most = Fraction(max(added), w.stride)
        return placed.with_unknown_offset((name, added, True), 0, most)
    return placed.with_unknown_offset((name, added, False), -max(added), 0)


class Sliding(NamedTuple):
    """Windows, and the axes that they slide over."""

    shape: tuple[Size, ...]
    """The shape of the tensor that the windows slide over."""
    axes: tuple[int, ...]
    windows: tuple[Window, ...]
    batch: int | None = 0
    """The axis of the batch; None if there is none."""

    def relation(self, make: MakeMap = convolution) -> Relation:
        """Returns the relation of the windows; channels are needed whole."""
        shape, axes, windows, batch = self
        placed = _placed(len(shape), axes, windows, make, batch)
        if _paddings_are_known(windows):
            return placed
        found = list(placed.axes)
        for axis, w in zip(axes, windows, strict=True):
            if w.padding is None:
                found[axis] = follow(axis, _unknown_padding(shape[axis], w, make))
        return Relation(tuple(found))

    def sizes(self) -> list[Size]:
        """Returns the sizes of all axes of the output."""
        shape = list(self.shape)
        for axis, w in zip(self.axes, self.windows, strict=True):
            if not _keeps_size(w):
                shape[axis] = output_size(shape[axis], w)
        return shape


def transposed(call: Call, above: Sliding, below: Sequence[Size]) -> Relation:
    """Returns the relation of a transposed convolution.

    Args:
      call: the op.
      above: the windows of the forward convolution, which slide over the op's output.
      below: the shape of the op's input.

    Raises:
      GraphError: if the input does not have exactly one position per window.
    """
    for axis, w in zip(above.axes, above.windows, strict=True):
        needed = output_size(above.shape[axis], w)
        given = below[axis]
        call.meet([needed, given])
        known = isinstance(needed, int) and isinstance(given, int)
        if known and needed != given:
            call.fail(
                f"does not fit: an output of {above.shape[axis]} positions requires "
                f"an input of {needed} positions, but the input has {given}. If the "
                "model was built for one size only, build the model with None sizes "
                "to ask about other sizes"
            )
    return above.relation(transposed_convolution)


def fractional_sizes(
    call: Call, shape: Sequence[Size], ratios: Sequence[Fraction]
) -> list[Size]:
    """Returns the sizes, divided by the ratios and rounded down.

    Raises:
      GraphError: if one of the results is zero.
    """
    sizes: list[Size] = [
        floor(size / ratio) if isinstance(size, int) else call.unknown_size(axis)
        for axis, (size, ratio) in enumerate(zip(shape, ratios, strict=True))
    ]
    if 0 in sizes:
        call.fail(
            f"makes the feature map vanish: the shape "
            f"{shape_in_words(shape)} becomes {shape_in_words(sizes)}"
        )
    return sizes


def fractional(size: Size, pools: Size, axis: int, overlap: int) -> Axis:
    """Returns how the input axis of a fractional pooling op follows the output axis.

    The pools have random lengths. Each takes between one and ``ceil(size / pools)``
    positions, plus ``overlap`` more. The pools before and after a pool must fill the
    rest of the axis, which limits where it can begin and end. The result is an upper
    bound unless ``size`` equals ``pools``.
    """
    if size == pools:
        return follow(axis, convolution(1 + overlap))
    if (
        not isinstance(size, int)
        or not isinstance(pools, int)
        or pools > LARGEST_PERIOD
    ):
        return whole([axis], ANYWHERE)
    most = -(-size // pools)
    windows = [
        (
            max(u, size - most * (pools - u)),
            min(most * (u + 1), size - (pools - u - 1)) - 1 + overlap,
        )
        for u in range(pools)
    ]
    return follow(axis, table(windows, exact=False))
