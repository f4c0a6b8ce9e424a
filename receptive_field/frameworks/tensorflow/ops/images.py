"""Rules for colours, warps and crops of images, and for boxes and detections."""

from __future__ import annotations

from collections.abc import Sequence

from receptive_field.algebra.axis_map import ANYWHERE
from receptive_field.frameworks.tensorflow.ops.registry import register
from receptive_field.relations.relation import FULL_BOUND, Relation, follow, whole
from receptive_field.rules.op import (
    Call,
    Op,
    Relations,
    Shape,
    first_shape,
)
from receptive_field.rules.reductions import along

register("RGBToHSV HSVToRGB AdjustHue AdjustSaturation", Op(along([-1]), first_shape))
# The contrast is changed relative to the image's mean.
register("AdjustContrastv2", Op(along([-3, -2]), first_shape))


def _warped_shape(call: Call) -> Sequence[Shape]:
    shape = call.known_shape(0, 4)
    sizes = call.integers(2) if len(call) > 2 else list(shape[1:3])
    if sizes is None or len(sizes) != 2:
        sizes = [call.unknown_size(1), call.unknown_size(2)]
    return [(shape[0], *sizes, shape[3])]


# A warp may take each pixel from anywhere.
register(
    "ImageProjectiveTransformV2 ImageProjectiveTransformV3",
    Op(along([1, 2], ANYWHERE), _warped_shape),
)


def _cropped(call: Call, output: int) -> Relations:
    """Returns relations for crops from any place in any image of the batch."""
    call.known_shape(0, 4)
    sides = (whole([axis], ANYWHERE) for axis in (1, 2))
    image = Relation((FULL_BOUND, *sides, follow(3)))
    return [image, *(call.all_of(i, exact=False) for i in range(1, len(call)))]


def _cropped_shape(call: Call) -> Sequence[Shape]:
    shape, boxes, sizes = call.known_shape(0, 4), call.shape(1), call.integers(3)
    count = call.unknown_size(0) if not boxes else boxes[0]
    if sizes is None or len(sizes) != 2:
        sizes = [call.unknown_size(1), call.unknown_size(2)]
    return [(count, *sizes, shape[3])]


register(
    "CropAndResize",
    Op(_cropped, _cropped_shape, layout=lambda call: (0, (1, 2))),
)


def _everything(call: Call, output: int) -> Relations:
    return [call.all_of(i) for i in range(len(call))]


register(
    "NonMaxSuppression NonMaxSuppressionV2 NonMaxSuppressionV3 NonMaxSuppressionV4 "
    "NonMaxSuppressionV5 NonMaxSuppressionWithOverlaps CombinedNonMaxSuppression Where "
    "Unique UniqueV2 UniqueWithCounts UniqueWithCountsV2 Bincount HistogramFixedWidth",
    Op(_everything, None),
)
