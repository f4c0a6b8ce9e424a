"""ONNX's resizes against onnxruntime."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import onnx_experiments as experiments
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from onnx_cases_resizing import CASES
from onnx_experiments import Session, check, model_of, onnx, operation
from random_search import examples

import receptive_field as rf
from receptive_field.errors import GraphError
from receptive_field.frameworks import load
from receptive_field.frameworks.onnx.ops import OPS
from receptive_field.rules.inference import Inference
from receptive_field.rules.op import Call

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
exact_scales = st.sampled_from([0.25, 0.5, 0.75, 1.25, 1.5, 2.0, 3.0, 4.0])
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


@pytest.mark.parametrize(
    "case",
    [pytest.param(c, id=f"{op}{i}") for op in CASES for i, c in enumerate(CASES[op])],
)
def test_case(case):
    case().hold()


@given(resizes())
@examples(50)
def test_resize(resize):
    model, shape = resize
    check(ran(model, shape), shape)


@given(attributes(), st.integers(2, 9), exact_scales, ends, ends)
@examples(30)
def test_weights(attributes, width, scale, start, end):
    """The weights of positions are those of the kernel."""
    shape = (1, 1, 4, width)
    roi = floats([0, 0, 0, start, 1, 1, 1, end])
    model = operation("Resize", shape, roi, floats([1, 1, 2, scale]), **attributes)
    run = Session(ran(model, shape))
    images = np.repeat(np.eye(width, dtype="float32")[:, None], 4, axis=1)
    rows = [run(image.reshape(shape))[0, 0, 3] for image in images]
    graph = load(model).graph
    node = next(node for node in graph if node.op == "Resize")
    found = OPS["Resize"].coefficients(Call(node, Inference(graph)))
    assume(3 in found)  # Otherwise, the axis is copied.
    assert np.allclose(np.transpose(rows), found[3], atol=1e-4)


# --- At unknown sizes ----------------------------------------------------------------

SMALL = [(3, 5), (4, 8), (9, 6)]
"""Heights and widths that are tried."""


def node(op, inputs, output, **given):
    return onnx.helper.make_node(op, inputs.split(), output.split(), **given)


def constants(**values):
    return [onnx.numpy_helper.from_array(v, name) for name, v in values.items()]


def to_new_size(sizes, attributes, times, by, more):
    """A resize to the size ``size * times // by + more``, worked out from the shape."""
    nodes = [
        node("Shape", "x", "size", start=2),
        node("Mul", "size times", "longer"),
        node("Div", "longer by", "shorter"),
        node("Add", "shorter more", "new"),
        node("Concat", "same new", "sizes", axis=0),
        onnx.helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], **attributes),
    ]
    numbers = {"times": times, "by": by, "more": more}
    given = {name: np.array([n], "int64") for name, n in numbers.items()}
    tensors = constants(same=np.array([1, 2], "int64"), **given)
    inputs = {"x": ("float32", (1, 2, *sizes))}
    return model_of(nodes, inputs, ["y"], tensors, opset=19)


def by_scale(sizes, attributes, vertical, horizontal):
    """A resize by stated scales."""
    scale = floats([1, 1, vertical, horizontal])
    given = {"opset": 19, **attributes}
    return operation("Resize", (1, 2, *sizes), None, scale, **given)


def skipped(sizes, attributes):
    """A strided convolution, resized to the size of its input."""
    nodes = [
        node("Conv", "x kernel", "half", strides=[2, 2], pads=[1, 1, 1, 1]),
        node("Shape", "x", "size", start=2),
        node("Concat", "same size", "sizes", axis=0),
        onnx.helper.make_node("Resize", ["half", "", "", "sizes"], ["y"], **attributes),
    ]
    tensors = constants(
        same=np.array([1, 2], "int64"), kernel=np.ones((2, 2, 3, 3), "float32")
    )
    inputs = {"x": ("float32", (1, 2, *sizes))}
    return model_of(nodes, inputs, ["y"], tensors, opset=19)


def inside(window, size):
    if window is None or window[1] < 0 or window[0] >= size:
        return None
    return max(window[0], 0), min(window[1], size - 1)


def hold_at_every_size(make, *given, axes=(2, 3)):
    """Holds what is said of unknown sizes against what is true of known ones.

    Returns:
      The answer for unknown sizes.
    """
    named = make(("h", "w"), *given)
    answer = rf.compute_receptive_field(named, input="x", output="y")
    for sizes in SMALL:
        try:
            known = rf.compute_receptive_field(make(sizes, *given), output="y")
        except GraphError:
            continue  # The map vanishes.
        told = rf.compute_receptive_field(
            named, input="x", output="y", input_resolution=sizes
        )
        assert str(told.axes) == str(known.axes)
        for axis, true in zip(answer.axes, known.axes, strict=True):
            _hold_axis(axis, true, sizes[true.input_axis - axes[0]])
    return answer


def _hold_axis(axis, true, size):
    # A single position, or one that is not resized, may see less than is said.
    special = true.output_size == 1 or true.map.is_identity
    if axis.map.is_floating:
        assert true.map.size(true.output_size) <= axis.map.size()
        return
    for u in range(true.output_size):
        window = inside(true.map.window(u), size)
        stated = inside(axis.map.window(u), size)
        if axis.map.exact and true.map.exact and not special:
            assert stated == window
        elif window is not None:
            assert stated[0] <= window[0] <= window[1] <= stated[1]


@st.composite
def unlimited(draw):
    """Attributes that fit unknown sizes."""
    found = draw(attributes())
    crops = found["coordinate_transformation_mode"] == "tf_crop_and_resize"
    assume(not crops and found["opset"] != 11)
    return found | {"opset": 19}


@given(unlimited(), exact_scales, exact_scales)
@examples(15)
def test_scales_of_unknown_sizes(attributes, vertical, horizontal):
    hold_at_every_size(by_scale, attributes, vertical, horizontal)


@pytest.mark.parametrize("mode", ["linear", "cubic"])
@pytest.mark.parametrize("coordinates", ["half_pixel", "asymmetric"])
@pytest.mark.parametrize("scale", [0.25, 0.5, 0.6, 0.75, 1.5])
def test_antialias_at_unknown_sizes(mode, coordinates, scale):
    """onnxruntime divides by the scale, in float32. If the quotient is rounded, as
    1 / 0.75, a position at the end of the kernel gets a weight of about 1e-7."""
    given = {
        "mode": mode,
        "antialias": 1,
        "coordinate_transformation_mode": coordinates,
    }
    answer = hold_at_every_size(by_scale, given, scale, scale)
    exact = Fraction(scale).limit_denominator(10)
    behind = Fraction(1, 2) if coordinates == "half_pixel" else 0
    end = max(1 / exact, 1) * (1 if mode == "linear" else 2)
    at_end = any(
        (place.denominator == 1)
        for u in range(exact.numerator)
        for place in ((u + behind) / exact - behind + side for side in (-end, end))
    )
    assert answer.exact == (scale in (0.25, 0.5, 1.5) or not at_end)
    size = 12
    run = Session(by_scale((size, 1), given, scale, 1))
    rows = np.eye(size, dtype="float32")[:, None, None, :, None].repeat(2, axis=2)
    seen = np.array([run(row)[0, 0, :, 0] != 0 for row in rows])
    for u in range(seen.shape[1]):
        _, (first, last) = answer.compute_input_region([[0, u]])[0]
        places = np.flatnonzero(seen[:, u])
        assert first <= places[0]
        assert places[-1] <= last


@given(unlimited(), st.integers(1, 4), st.integers(1, 3), st.integers(0, 2))
@examples(15)
def test_sizes_from_unknown_sizes(attributes, times, by, more):
    del attributes["opset"]
    hold_at_every_size(to_new_size, attributes, times, by, more)


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_scale_two_is_exact_at_unknown_sizes(mode):
    """As PyTorch exports ``interpolate(x, scale_factor=2)``, both ways."""
    coordinates = "asymmetric" if mode == "nearest" else "pytorch_half_pixel"
    given = {
        "mode": mode,
        "coordinate_transformation_mode": coordinates,
        "nearest_mode": "floor",
    }
    stated = hold_at_every_size(by_scale, given, 2, 2)
    computed = hold_at_every_size(to_new_size, given, 2, 1, 0)
    for answer in (stated, computed):
        assert answer.exact
        assert (
            answer.size.tolist() == [{"nearest": 1, "linear": 2, "cubic": 4}[mode]] * 2
        )


@pytest.mark.parametrize("rounding", ["ceil", "floor", "round_prefer_ceil"])
@pytest.mark.parametrize("times", [2, 3, 4])
def test_last_position_of_an_enlarged_axis(rounding, times):
    """It may be rounded up to a position behind the axis, and then reads the last."""
    given = {
        "mode": "nearest",
        "coordinate_transformation_mode": "asymmetric",
        "nearest_mode": rounding,
    }
    answer = hold_at_every_size(to_new_size, given, times, 1, 0)
    for size in (3, 5, 8):
        image = np.tile(floats(range(size)), (1, 2, 3, 1))
        ((row, *_), *_) = Session(to_new_size((3, size), given, times, 1, 0))(image)
        for u, read in enumerate(row[0]):
            (first, last), _ = answer.compute_input_region([[u, 0]])[0]
            assert first <= read <= last


@given(unlimited())
@examples(12)
def test_size_of_skip_connection(attributes):
    """As PyTorch exports ``interpolate(x, size=y.shape[2:])``."""
    del attributes["opset"]
    assume(not attributes.get("antialias"))
    hold_at_every_size(skipped, attributes)


def to_quotient(sizes, times, by):
    """A resize by a scale that old exporters compute: the quotient of two sizes."""
    nodes = [
        node("Shape", "x", "shape"),
        node("Slice", "shape two four", "size"),
        node("Mul", "size times", "longer"),
        node("Mul", "size by", "shorter"),
        node("Cast", "longer", "above", to=1),
        node("Cast", "shorter", "below", to=1),
        node("Div", "above below", "quotient"),
        node("Concat", "ones quotient", "scales", axis=0),
        node("Resize", "x scales", "y", mode="linear"),
    ]
    numbers = {"two": 2, "four": 4, "times": times, "by": by}
    given = {name: np.array([n], "int64") for name, n in numbers.items()}
    tensors = constants(ones=floats([1, 1]), **given)
    inputs = {"x": ("float32", (1, 2, *sizes))}
    return model_of(nodes, inputs, ["y"], tensors, opset=10)


@pytest.mark.parametrize(("times", "by"), [(2, 1), (3, 2), (1, 2), (5, 4)])
def test_scale_that_is_computed(times, by):
    answer = hold_at_every_size(to_quotient, times, by)
    assert answer.exact
    assert answer.stride.tolist() == [Fraction(by, times)] * 2
    check(to_quotient((6, 8), times, by), (1, 2, 6, 8), exact=True)


# --- Crops, warps and unpooling ------------------------------------------------------


@given(sizes, sizes, sizes, sizes)
@examples(30)
def test_centre(height, width, new_height, new_width):
    shape = (1, 2, height, width)
    new = np.array([new_height, new_width], "int64")
    model = operation("CenterCropPad", shape, new, axes=[2, 3], opset=18)
    check(ran(model, shape), shape, exact=True)


def cropped(sizes, half):
    """A feature map, cropped to the size of its own half, or padded to its double."""
    nodes = [
        node("Shape", "x", "size", start=2),
        node("Div" if half else "Mul", "size two", "new"),
        node("CenterCropPad", "x new", "y", axes=[2, 3]),
    ]
    inputs = {"x": ("float32", (1, 2, *sizes))}
    return model_of(nodes, inputs, ["y"], constants(two=np.array([2], "int64")), 18)


@pytest.mark.parametrize("half", [True, False])
def test_centre_of_unknown_size(half):
    answer = hold_at_every_size(cropped, half)
    assert answer.exact
    assert answer.stride.tolist() == [1, 1]


def to_constant_size(sizes):
    return operation(
        "CenterCropPad",
        (1, 2, *sizes),
        np.array([6, 6], "int64"),
        axes=[2, 3],
        opset=18,
    )


def test_centre_of_unknown_difference():
    """Whether it crops or pads depends on the size."""
    answer = hold_at_every_size(to_constant_size)
    assert answer.stride.tolist() == [1, 1]


POOLS = [
    {"kernel_shape": [2, 2], "strides": [2, 2]},
    {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 0]},
    {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1},
    {"kernel_shape": [2, 2], "strides": [1, 2], "dilations": [2, 1]},
    {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"},
]


def unpooled(sizes, attributes, batch=1):
    """A max pool and its inverse."""
    nodes = [
        node("MaxPool", "x", "pooled places", **attributes),
        node("Shape", "x", "shape"),
        node("MaxUnpool", "pooled places shape", "y", kernel_shape=[1, 1]),
    ]
    inputs = {"x": ("float32", (batch, 1, *sizes))}
    return model_of(nodes, inputs, ["y"], opset=11)


@pytest.mark.parametrize("attributes", POOLS)
def test_unpooling(attributes):
    """Over many images, every position of the windows that hold a feature matters."""
    sizes = 6, 7
    model = unpooled(sizes, attributes)
    answer = hold_at_every_size(unpooled, attributes)
    assert answer.size.tolist() == rf.compute_receptive_field(model).size.tolist()
    support = rf.compute_receptive_field(model, output="y").support()
    places = list(np.ndindex(*sizes))
    run = Session(unpooled(sizes, attributes, len(places) + 1))
    random = np.random.default_rng(0)
    seen = np.zeros((*sizes, *sizes), bool)
    for _ in range(500):
        image = random.uniform(0, 1, (1, 1, *sizes)).astype("float32")
        images = np.repeat(image, len(places) + 1, axis=0)
        for number, place in enumerate(places):
            images[number, 0][place] += random.choice([-2, 2])
        found = run(images)
        for number, place in enumerate(places):
            seen[(..., *place)] |= (found[number] != found[-1])[0]
    for feature in np.ndindex(*sizes):
        assert (support.mask(feature[::-1]) == seen[feature]).all()


def test_unpooling_with_other_indices():
    """Indices of another order, or into another shape, may lead anywhere."""
    attributes = {"kernel_shape": [2, 2], "strides": [2, 2], "storage_order": 1}
    found = rf.compute_receptive_field(unpooled((6, 6), attributes), output="y")
    assert not found.exact
    assert all(axis.map.is_unbounded for axis in found.axes)


@pytest.mark.parametrize("scale", [1e30, 1e-30])
def test_scales_that_no_integer_of_64_bits_holds(scale):
    scales = np.array([1, 1, scale, scale], np.float32)
    model = operation("Resize", (1, 1, "height", "width"), None, scales)
    found = rf.compute_receptive_field(model)
    assert [axis.output_size for axis in found.axes] == [None, None]


def test_a_resize_of_what_sees_a_wrapped_padding():
    """Past its last position, the resize reads the last, not what is wrapped around."""
    pads = np.array([0, 0, 3, 3, 0, 0, 3, 3])
    scales = np.array([1, 1, 3, 1.5], np.float32)
    pool = {"kernel_shape": [2, 2], "strides": [2, 2]}
    nodes = [
        onnx.helper.make_node("Pad", ["x", "pads"], ["a"], mode="wrap"),
        onnx.helper.make_node("MaxPool", ["a"], ["b"], **pool),
        onnx.helper.make_node(
            "Resize",
            ["b", "", "scales"],
            ["y"],
            mode="linear",
            coordinate_transformation_mode="asymmetric",
        ),
    ]
    constants = [
        onnx.numpy_helper.from_array(pads, "pads"),
        onnx.numpy_helper.from_array(scales, "scales"),
    ]
    model = model_of(nodes, {"x": ("float32", (1, 1, 9, 9))}, ["y"], constants)
    check(model, (1, 1, 9, 9), exact=False)
