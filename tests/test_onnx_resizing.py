"""ONNX's resizes against onnxruntime."""

from __future__ import annotations

import numpy as np
import onnx_experiments as experiments
from hypothesis import assume, given
from hypothesis import strategies as st
from onnx_experiments import check, operation
from random_search import examples

COORDINATES = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_half_pixel_for_nn",
    "tf_crop_and_resize",
)
OPSETS = dict.fromkeys(COORDINATES, (11, 13, 18, 19)) | {
    "half_pixel_symmetric": (19,),
    "tf_half_pixel_for_nn": (11,),
}
ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
sizes = st.integers(1, 9)
scales = st.sampled_from(
    [0.25, 0.5, 0.6, 0.75, 0.9, 1.0, 1.25, 1.3, 1.5, 2.0, 3.0, 4.0]
)
ends = st.sampled_from([-0.25, 0.0, 0.2, 0.5, 0.75, 1.0, 1.3])


def floats(values):
    return np.array(values, "float32")


@st.composite
def attributes(draw):
    """The operator set, what decides where positions lie, and what is read there."""
    coordinates = draw(st.sampled_from(COORDINATES))
    opset = draw(st.sampled_from(OPSETS[coordinates]))
    found = {"coordinate_transformation_mode": coordinates, "opset": opset}
    found["mode"] = draw(st.sampled_from(["nearest", "linear", "cubic"]))
    if found["mode"] == "nearest":
        found["nearest_mode"] = draw(st.sampled_from(ROUNDINGS))
    elif opset >= 18:
        found["antialias"] = draw(st.integers(0, 1))
    if found["mode"] == "cubic":
        found["cubic_coeff_a"] = draw(st.sampled_from([-0.75, -0.5, -1.0, 0.0]))
    if found["mode"] == "cubic" or found.get("antialias"):
        found["exclude_outside"] = draw(st.integers(0, 1))
    return found


def ran(model, shape):
    assume(experiments.can_run(model, np.ones(shape, "float32")))
    return model


@st.composite
def resizes(draw):
    """A resize of two axes to stated sizes, or by stated scales."""
    found = draw(attributes())
    opset = found["opset"]
    shape = (1, 2, draw(sizes), draw(sizes))
    rois = [draw(ends), draw(ends)], [draw(ends), draw(ends)]
    few = opset >= 18 and draw(st.booleans())
    if few:
        found["axes"] = [2, 3]
    ones = [] if few else [1, 1]
    roi = floats([])
    if found["coordinate_transformation_mode"] == "tf_crop_and_resize":
        zeros = [] if few else [0, 0]
        roi = floats([*zeros, *rois[0], *ones, *rois[1]])
    if draw(st.booleans()):
        scale = floats([*ones, draw(scales), draw(scales)])
        return operation("Resize", shape, roi, scale, **found), shape
    channels = [] if few else [1, 2]
    if few and draw(st.booleans()):
        policy = st.sampled_from(["not_larger", "not_smaller"])
        found["keep_aspect_ratio_policy"] = draw(policy)
    new = np.array([*channels, draw(sizes), draw(sizes)], "int64")
    return operation("Resize", shape, roi, floats([]), new, **found), shape


@given(resizes())
@examples(60)
def test_resize(resize):
    model, shape = resize
    check(ran(model, shape), shape)
