"""Rules for warps, crops of boxes, and convolutions whose taps are moved.

The data decide which positions these ops read, so they may read any.
"""

from __future__ import annotations

from collections.abc import Sequence

from receptive_field.algebra.axis_map import ANYWHERE
from receptive_field.algebra.sizes import Size
from receptive_field.frameworks.torch.ops import literals
from receptive_field.frameworks.torch.ops.registry import (
    place,
    register,
    size,
    sizes,
)
from receptive_field.frameworks.torch.ops.windows import Convolution
from receptive_field.relations.relation import (
    ALL,
    FULL,
    FULL_BOUND,
    Relation,
    follow,
    whole,
)
from receptive_field.rules.op import Call, Op, Relations, Shape

# --- Warps ---------------------------------------------------------------------------


def _spatial(call: Call) -> range:
    rank = len(call.known_shape(0))
    if rank not in (4, 5):
        call.fail(f"requires an input of rank 4 or 5, not {rank}")
    return range(2, rank)


def _sampled(call: Call, output: int) -> Relations:
    """Returns relations for positions that are read where a grid says."""
    axes = _spatial(call)
    data = (follow(0), follow(1), *(whole([axis], ANYWHERE) for axis in axes))
    return [Relation(data), Relation((follow(0), *map(follow, axes), FULL))]


def _sampled_shape(call: Call) -> Sequence[Shape]:
    """Returns the shape of the output.

    A grid with the size of the image in the trace has that of the image in question.
    """
    shape = call.known_shape(0)
    grid = list(call.known_shape(1, len(shape))[1:-1])
    if literals.are_of_one_size(call):
        grid = [
            call.unknown_size(axis) if isinstance(new, int) else new
            for axis, new in zip(_spatial(call), grid, strict=True)
        ]
    return [(*shape[:2], *grid)]


register(
    "grid_sampler grid_sampler_2d grid_sampler_3d cudnn_grid_sampler "
    "_grid_sampler_2d_cpu_fallback",
    Op(_sampled, _sampled_shape, layout=lambda call: (0, _spatial(call))),
)


def _affine_grid(call: Call, output: int) -> Relations:
    """Returns the relation to matrices, whose rows give the coordinates of a grid."""
    rank = len(_grid_sizes(call))
    return [Relation((follow(0), follow(rank - 1), FULL_BOUND))] + [None] * (
        len(call) - 1
    )


def _grid_sizes(call: Call) -> list[Size | None]:
    """Returns the sizes of the images that a grid is made for."""
    stated = sizes(call, "size")
    if stated is None:
        stated = [size(call, name) for name in "NCHW"]
    if len(stated) not in (4, 5):
        call.fail(f"makes a grid for images of rank {len(stated)}, not 4 or 5")
    return stated


def _affine_grid_shape(call: Call) -> Sequence[Shape]:
    batch, _, *stated = _grid_sizes(call)
    of_trace = literals.are_of_one_size(call)
    found: list[Size] = [call.known_shape(0, 3)[0] if batch is None else batch]
    for axis, new in enumerate(stated, start=1):
        if new is None or (of_trace and isinstance(new, int)):
            found.append(call.unknown_size(axis))
        else:
            found.append(new)
    return [(*found, len(stated))]


register(
    "affine_grid_generator cudnn_affine_grid_generator",
    Op(_affine_grid, _affine_grid_shape),
)

# --- Boxes ---------------------------------------------------------------------------


def _pooled(call: Call, output: int) -> Relations:
    """Returns relations for crops from any place of any image of the batch."""
    call.known_shape(0, 4)
    sides = (whole([axis], ANYWHERE) for axis in (2, 3))
    by_place = call.node.op in _BY_PLACE
    channels = FULL_BOUND if by_place else follow(1)
    data = Relation((FULL_BOUND, channels, *sides))
    return [data, Relation((follow(0), FULL_BOUND))]


_BY_PLACE = ("torchvision.ps_roi_align", "torchvision.ps_roi_pool")
"""Ops that read other channels for each place in a box."""


def _pooled_shape(call: Call) -> Shape:
    shape, boxes = call.known_shape(0, 4), call.shape(1)
    sides: list[Size] = []
    for axis, name in ((2, "pooled_height"), (3, "pooled_width")):
        side = size(call, name)
        sides.append(call.unknown_size(axis) if side is None else side)
    channels = shape[1]
    if call.node.op in _BY_PLACE:
        area = sides[0] * sides[1]
        known = isinstance(channels, int) and isinstance(area, int) and area > 0
        channels = channels // area if known else call.unknown_size(1)
    count = call.unknown_size(0) if boxes is None else boxes[0]
    return (count, channels, *sides)


def _boxes(outputs: int) -> Op:
    return Op(
        _pooled,
        lambda call: [_pooled_shape(call)] * outputs,
        layout=lambda call: (0, (2, 3)),
    )


register("torchvision.roi_align", _boxes(1))
register(
    "torchvision.roi_pool torchvision.ps_roi_align torchvision.ps_roi_pool", _boxes(2)
)


def _any(call: Call, output: int) -> Relations:
    return [call.all_of(i, exact=False) for i in range(len(call))]


register("torchvision.nms", Op(_any, lambda call: [(call.unknown_size(0),)]))

# --- Convolutions with offsets -------------------------------------------------------


class _Deformable(Convolution):
    """Convolutions whose taps are moved by offsets. A mask has factors for the taps."""

    def _pair(self, call: Call, name: str, default: int) -> list[int]:
        found = [size(call, f"{name}_{side}", default) for side in "hw"]
        known = [part for part in found if isinstance(part, int)]
        if len(known) < 2:
            call.fail(f"cannot be analysed: its {name} depends on unknown sizes")
        return known

    def strides(self, call: Call) -> list[int]:
        """Returns the stride on each spatial axis."""
        return self._pair(call, "stride", 1)

    def dilations(self, call: Call) -> list[int]:
        """Returns the dilation on each spatial axis."""
        return self._pair(call, "dilation", 1)

    def paddings(self, call: Call) -> list[tuple[int, int]]:
        """Returns the padding before and after each axis."""
        return [(pad, pad) for pad in self._pair(call, "pad", 0)]

    def relations(self, call: Call, output: int) -> Relations:
        """Returns the relations to the inputs."""
        axes = self.axes(call)
        moves = (whole([axis], ANYWHERE) for axis in axes)
        beside = Relation((follow(0), FULL, *map(follow, axes)))
        found: list[Relation | None] = [ALL] * len(call)
        found[0] = Relation((follow(0), FULL, *moves))
        found[place(call, "offset") or 2] = beside
        mask = place(call, "mask")
        if mask is not None:
            found[mask] = beside if call.flag("use_mask", True) else None
        return found


register(
    "torchvision.deform_conv2d",
    _Deformable(2).op()._replace(windows=None, taps=None),
)
