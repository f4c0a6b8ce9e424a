"""The rule of bilinear resizes. Kernels for whole numbers read other positions."""

from __future__ import annotations

from receptive_field.algebra.axis_map import AxisMap
from receptive_field.algebra.sizes import Size
from receptive_field.frameworks.tensorflow import ops as tensorflow
from receptive_field.frameworks.tensorflow.ops.resizing import resize_op
from receptive_field.frameworks.tflite.ops.registry import register
from receptive_field.frameworks.tflite.tensors import NUMBERS
from receptive_field.rules.op import Call
from receptive_field.rules.resizing import bilinear, in_fixed_point, resize_map

IN_FIXED_POINT = (NUMBERS["INT8"], NUMBERS["INT16"])
"""Data types for which the reference kernel computes positions in fixed point."""


def _bilinear_map(call: Call, axis: int, size: Size, new_size: Size) -> AxisMap | None:
    corners, half_pixel = call.flag("align_corners"), call.flag("half_pixel_centers")
    found = resize_map(size, new_size, bilinear, half_pixel, corners, True)
    if found is None or call.node.attribute("T") not in IN_FIXED_POINT:
        return found
    return in_fixed_point(found, size, new_size, half_pixel, corners)


register(
    "RESIZE_BILINEAR",
    tensorflow.OPS["ResizeBilinear"]._replace(
        relations=resize_op(_bilinear_map).relations
    ),
)
