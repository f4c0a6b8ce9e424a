"""Ops that move blocks of positions into the batch or the channels, and back."""

from __future__ import annotations

from collections.abc import Sequence

from receptive_field.algebra.axis_map import (
    IDENTITY,
    quotient,
    remainder,
    shift,
)
from receptive_field.algebra.sizes import Size, divides, product
from receptive_field.relations.relation import (
    LARGEST_PERIOD,
    Axis,
    Factor,
    Relation,
    Slot,
    Thread,
    follow,
    merge,
)
from receptive_field.rules.op import Call


def checked_block(call: Call, size: int) -> int:
    """Returns the block size unchanged.

    Raises:
      GraphError: if the block size is out of range.
    """
    if not 0 < size <= LARGEST_PERIOD:
        call.fail(
            f"has the block size {size}, which is not between 1 and {LARGEST_PERIOD}"
        )
    return size


def space_to_batch(
    shape: Sequence[Size], blocks: Sequence[int], paddings: Sequence[int]
) -> Relation:
    """Returns the relation to the input of an op that moves blocks into the batch.

    A position of the padded input is ``output position * block + offset``. The offset
    becomes part of the batch index.

    Args:
      shape: the shape of the input.
      blocks: the block size on each of the axes that follow the batch axis.
      paddings: the padding before each of these axes.
    """
    inner = shape[0]
    slots: list[Slot] = []
    for block in reversed(blocks):
        slots.insert(0, Slot(0, inner, block))
        inner = inner * block
    axes: list[Axis] = [merge(Factor(shape[0], Slot(0, 1, shape[0]), IDENTITY))]
    for axis, (block, slot, padding) in enumerate(
        zip(blocks, slots, paddings, strict=True), start=1
    ):
        factors = (
            Factor(None, Slot(axis), IDENTITY),
            Factor(block, slot, IDENTITY),
        )
        axes.append((Thread(factors, shift(-padding) if padding else IDENTITY),))
    axes += [follow(axis) for axis in range(len(blocks) + 1, len(shape))]
    return Relation(tuple(axes))


def space_to_batch_shape(
    call: Call,
    shape: Sequence[Size],
    blocks: Sequence[int],
    paddings: Sequence[int],
    ends: Sequence[Size],
) -> tuple[Size, ...]:
    """Returns the shape of the output after blocks have moved into the batch.

    ``paddings`` and ``ends`` give the padding before and after each axis.

    Raises:
      GraphError: if the padded size of an axis is not a multiple of its block.
    """
    sizes = list(shape)
    sizes[0] = sizes[0] * product(blocks)
    for axis, (block, before, after) in enumerate(
        zip(blocks, paddings, ends, strict=True), start=1
    ):
        size = divides(block, sizes[axis] + before + after)
        if isinstance(sizes[axis] + before + after, int) and size is None:
            call.fail(
                f"cannot divide the {sizes[axis]} positions of axis {axis} into blocks "
                f"of {block}"
            )
        sizes[axis] = call.unknown_size(axis) if size is None else size
    return tuple(sizes)


def batch_to_space(
    call: Call, shape: Sequence[Size], blocks: Sequence[int], crops: Sequence[int]
) -> Relation:
    """Returns the relation to the input of an op that moves blocks out of the batch.

    ``crops`` gives the number of positions dropped from the start of each axis.

    Raises:
      GraphError: if the size of the batch is not a multiple of the size of a block.
    """
    batch: list[Factor] = []
    axes: list[Axis] = []
    for axis, (block, crop) in enumerate(zip(blocks, crops, strict=True), start=1):
        moved = shift(crop) if crop else IDENTITY
        batch.append(Factor(block, Slot(axis), moved.then(remainder(block))))
        axes.append(follow(axis, moved.then(quotient(block))))
    rest = divides(product(blocks), shape[0])
    if rest is None and isinstance(shape[0], int):
        call.fail(f"cannot divide a batch of {shape[0]} into blocks of {blocks}")
    images = call.unknown_size(0) if rest is None else rest
    batch.append(Factor(images, Slot(0), IDENTITY))
    axes += [follow(axis) for axis in range(len(blocks) + 1, len(shape))]
    return Relation((merge(*batch), *axes))


def batch_to_space_shape(
    call: Call,
    shape: Sequence[Size],
    blocks: Sequence[int],
    crops: Sequence[int],
    ends: Sequence[Size],
) -> tuple[Size, ...]:
    """Returns the shape of the output after blocks have moved out of the batch.

    ``crops`` and ``ends`` give the number of positions dropped from the start and the
    end of each axis.
    """
    sizes = list(shape)
    batch = divides(product(blocks), sizes[0])
    sizes[0] = call.unknown_size(0) if batch is None else batch
    for axis, (block, before, after) in enumerate(
        zip(blocks, crops, ends, strict=True), start=1
    ):
        sizes[axis] = sizes[axis] * block - before - after
    return tuple(sizes)


def depth_to_space(
    shape: Sequence[Size],
    axes: Sequence[int],
    channel: int,
    block: int,
    offsets_first: bool,
) -> Relation:
    """Returns the relation of an image to channels that hold its blocks.

    Args:
      shape: the shape of the image.
      axes: the axes that are divided into blocks.
      channel: the axis of the channels.
      block: the size of a block on each axis.
      offsets_first: whether a channel of the input is numbered by the place in a block
        first and by the channel of the image last, and not the other way round.
    """
    places = [Factor(block, Slot(axis, 1, block), IDENTITY) for axis in axes]
    channels = shape[channel] if offsets_first else None
    depth = Factor(channels, Slot(channel), IDENTITY)
    factors = [*places, depth] if offsets_first else [depth, *places]
    found = {axis: merge(Factor(None, Slot(axis, block), IDENTITY)) for axis in axes}
    found[channel] = merge(*factors)
    return Relation(tuple(found.get(a) or follow(a) for a in range(len(shape))))


def space_to_depth(
    shape: Sequence[Size],
    axes: Sequence[int],
    channel: int,
    block: int,
    offsets_first: bool,
) -> Relation:
    """Returns the relation of channels that hold the blocks of an image to the image.

    The arguments are those of `depth_to_space`; the image is the input here.
    """
    channels = shape[channel]
    depth = Slot(channel, block ** len(axes))
    inner: Size = 1
    if offsets_first:
        depth, inner = Slot(channel, 1, channels), channels
    found = {channel: merge(Factor(None, depth, IDENTITY))}
    for axis in reversed(axes):
        is_outermost = offsets_first and axis == axes[0]
        slot = Slot(channel, inner, None if is_outermost else block)
        place = Factor(block, slot, IDENTITY)
        found[axis] = merge(Factor(None, Slot(axis), IDENTITY), place)
        inner = inner * block
    return Relation(tuple(found.get(a) or follow(a) for a in range(len(shape))))


def depth_or_space_shape(
    call: Call,
    shape: Sequence[Size],
    axes: Sequence[int],
    channel: int,
    block: int,
    to_space: bool,
) -> tuple[Size, ...]:
    """Returns the shape after moving blocks of positions into channels, or back.

    Raises:
      GraphError: if an axis is not a multiple of its block.
    """
    sizes = list(shape)
    for axis in (*axes, channel):
        factor = block if axis != channel else block * block
        if to_space == (axis != channel):
            sizes[axis] = sizes[axis] * factor
        else:
            size = divides(factor, sizes[axis])
            if size is None and isinstance(sizes[axis], int):
                call.fail(
                    f"cannot divide the {sizes[axis]} positions of axis {axis} into "
                    f"blocks of {factor}"
                )
            sizes[axis] = call.unknown_size(axis) if size is None else size
    return tuple(sizes)
