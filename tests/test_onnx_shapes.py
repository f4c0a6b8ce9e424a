"""The shape arithmetic that exporters write, at known and at unknown sizes."""

from __future__ import annotations

import pytest
from onnx_experiments import IR_VERSION, check, onnx

import receptive_field as rf

ASKED = {"input": "x", "output": "y"}


def model(text, height="h", width="w", opset=18):
    """A model of some nodes from "x", of two channels, to "y"."""
    nodes = "\n".join(line.strip() for line in text.strip().splitlines())
    image = f"float[1, 2, {height}, {width}] x"
    graph = onnx.parser.parse_graph(f"g ({image}) => (float[a, b, c, d] y) {{{nodes}}}")
    del graph.output[0].type.tensor_type.shape.dim[:]
    graph.output[0].type.tensor_type.ClearField("shape")
    opsets = [onnx.helper.make_opsetid("", opset)]
    return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)


def hold(text, expected=None, sizes=((5, 6), (8, 7)), **options):
    """Holds a model of unknown sizes against the same model of known sizes.

    And that against onnxruntime. What is said of unknown sizes must be ``expected``:
    the numbers that a field unpacks to.
    """
    unknown = model(text, **options)
    for size in sizes:
        known = check(model(text, *size, **options), (1, 2, *size))
        told = rf.compute_receptive_field(unknown, input_resolution=list(size), **ASKED)
        assert list(told) == list(known)
        assert [a.map for a in told.axes] == [a.map for a in known.axes]
    general = rf.compute_receptive_field(unknown, **ASKED)
    if expected is not None:
        assert list(general) == expected
    return general


SAME = [1, 1, 1, 1, 0, 0]

TO_TOKENS_AND_BACK = """
    n = Constant<value_int = 0>()
    one = Constant<value_int = 1>()
    two = Constant<value_int = 2>()
    three = Constant<value_int = 3>()
    axes = Constant<value_ints = [0]>()
    s0 = Shape(x)
    b = Gather<axis = 0>(s0, n)
    c = Gather<axis = 0>(s0, one)
    h0 = Gather<axis = 0>(s0, two)
    w0 = Gather<axis = 0>(s0, three)
    hw = Mul(h0, w0)
    b1 = Unsqueeze(b, axes)
    c1 = Unsqueeze(c, axes)
    hw1 = Unsqueeze(hw, axes)
    h1 = Unsqueeze(h0, axes)
    w1 = Unsqueeze(w0, axes)
    flat = Concat<axis = 0>(b1, c1, hw1)
    tokens = Reshape(x, flat)
    turned = Transpose<perm = [0, 2, 1]>(tokens)
    back = Transpose<perm = [0, 2, 1]>(turned)
    image = Concat<axis = 0>(b1, c1, h1, w1)
    y = Reshape(back, image)
"""


def test_tokens_and_back():
    hold(TO_TOKENS_AND_BACK, SAME)


def test_tokens_and_back_by_minus_one():
    """The height of the result is the one that is left."""
    text = TO_TOKENS_AND_BACK.replace("b1, c1, hw1", "b1, c1, minus")
    text = text.replace("b1, c1, h1, w1", "b1, c1, minus, w1")
    hold("minus = Constant<value_ints = [-1]>()" + text, SAME)


def test_crop_to_even():
    text = """
        two = Constant<value_int = 2>()
        axes = Constant<value_ints = [0]>()
        start = Constant<value_ints = [0]>()
        axis = Constant<value_ints = [2]>()
        s0 = Shape(x)
        h0 = Gather<axis = 0>(s0, two)
        half = Div(h0, two)
        even = Mul(half, two)
        end = Unsqueeze(even, axes)
        y = Slice(x, start, end, axis)
    """
    hold(text, SAME)


def test_flip():
    text = """
        start = Constant<value_ints = [-1]>()
        end = Constant<value_ints = [-9223372036854775807]>()
        axis = Constant<value_ints = [3]>()
        y = Slice(x, start, end, axis, start)
    """
    hold(text)


def test_roll():
    text = """
        start = Constant<value_ints = [-2]>()
        none = Constant<value_ints = [0]>()
        far = Constant<value_ints = [9223372036854775807]>()
        axis = Constant<value_ints = [2]>()
        one = Slice(x, start, far, axis)
        two = Slice(x, none, start, axis)
        y = Concat<axis = 2>(one, two)
    """
    hold(text)


PADS = """
    none = Constant<value_int = 0>()
    front = Constant<value_ints = [0]>()
    pad = Constant<value_ints = [{pads}]>()
    length = Constant<value_ints = [4]>()
    zeros = ConstantOfShape<value = int64[1] {{0}}>(length)
    both = Concat<axis = 0>(pad, zeros)
    shape = Constant<value_ints = [-1, 2]>()
    pairs = Reshape(both, shape)
    last = Constant<value_ints = [-1]>()
    far = Constant<value_ints = [-9223372036854775807]>()
    turned = Slice(pairs, last, far, front, last)
    columns = Transpose<perm = [1, 0]>(turned)
    flat = Reshape(columns, last)
    pads = Cast<to = 7>(flat)
    y = Pad<mode = "{mode}">(x, pads{value})
"""


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge", "wrap"])
def test_pads_of_torch(mode):
    """Pads of the last axis come first: (left, right, top, bottom)."""
    text = PADS.format(pads="2, 1, 3, 0", mode=mode, value="")
    assert list(hold(text)) == [1, 1, 1, 1, 2, 3]


def test_pad_to_the_size_of_a_skip():
    """As a U-Net pads what it has upsampled, by half of the difference."""
    text = """
        kernel = ConstantOfShape<value = float[1] {1}>(size)
        down = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(x)
        up = ConvTranspose<strides = [2, 2]>(down, kernel)
        start = Constant<value_ints = [2]>()
        far = Constant<value_ints = [4]>()
        two = Constant<value_ints = [2]>()
        sx = Shape(x)
        su = Shape(up)
        hx = Slice(sx, start, far)
        hu = Slice(su, start, far)
        more = Sub(hx, hu)
        before = Div(more, two)
        after = Sub(more, before)
        zeros = Constant<value_ints = [0, 0]>()
        pads = Concat<axis = 0>(zeros, before, zeros, after)
        padded = Pad(up, pads)
        y = Concat<axis = 1>(padded, x)
    """
    text = "size = Constant<value_ints = [2, 2, 2, 2]>()" + text
    hold(text, [2, 2, 1, 1, None, None], sizes=((4, 6), (7, 5)))


def test_crop_around_the_centre():
    """As a U-Net without padding crops what it kept."""
    text = """
        kernel = ConstantOfShape<value = float[1] {1}>(size)
        inner = Conv(x, kernel)
        start = Constant<value_ints = [2]>()
        far = Constant<value_ints = [4]>()
        two = Constant<value_ints = [2]>()
        axes = Constant<value_ints = [2, 3]>()
        sx = Shape(x)
        si = Shape(inner)
        hx = Slice(sx, start, far)
        hi = Slice(si, start, far)
        more = Sub(hx, hi)
        before = Div(more, two)
        end = Add(before, hi)
        cropped = Slice(x, before, end, axes)
        y = Add(cropped, inner)
    """
    text = "size = Constant<value_ints = [2, 2, 3, 3]>()" + text
    assert hold(text, [3, 3, 1, 1, 0, 0]).aligned is True


def test_expand_of_torch():
    """A size of -1, which stands for that of the input, is replaced by 1."""
    text = """
        axes = Constant<value_ints = [2, 3]>()
        mean = ReduceMean(x, axes)
        s0 = Shape(x)
        rank = Shape(s0)
        ones = ConstantOfShape<value = int64[1] {1}>(rank)
        minus = Constant<value_ints = [-1]>()
        all = Mul(ones, minus)
        is_kept = Equal(s0, all)
        sizes = Where(is_kept, ones, s0)
        whole = Expand(mean, sizes)
        y = Add(whole, x)
    """
    field = hold(text)
    assert field.size.tolist() == [float("inf")] * 2


def test_shuffle_of_pixels():
    """Written out: reshape, transpose, reshape."""
    text = """
        kernel = ConstantOfShape<value = float[1] {1}>(size)
        wide = Conv(x, kernel)
        start = Constant<value_ints = [2]>()
        far = Constant<value_ints = [4]>()
        sizes = Shape(wide)
        hw = Slice(sizes, start, far)
        h0, w0 = Split<axis = 0, num_outputs = 2>(hw)
        front = Constant<value_ints = [1, 2, 2, 2]>()
        apart = Concat<axis = 0>(front, h0, w0)
        six = Reshape(wide, apart)
        turned = Transpose<perm = [0, 1, 4, 2, 5, 3]>(six)
        two = Constant<value_ints = [2]>()
        hw2 = Mul(hw, two)
        few = Constant<value_ints = [1, 2]>()
        merged = Concat<axis = 0>(few, hw2)
        y = Reshape(turned, merged)
    """
    text = "size = Constant<value_ints = [8, 2, 3, 3]>()" + text
    hold(text)


def test_windows_of_swin():
    """Windows of two by two, in which every position sees all others."""
    text = """
        two = Constant<value_ints = [2]>()
        start = Constant<value_ints = [2]>()
        far = Constant<value_ints = [4]>()
        s0 = Shape(x)
        hw = Slice(s0, start, far)
        halves = Div(hw, two)
        h0, w0 = Split<axis = 0, num_outputs = 2>(halves)
        front = Constant<value_ints = [1, 2]>()
        apart = Concat<axis = 0>(front, h0, two, w0, two)
        six = Reshape(x, apart)
        axes = Constant<value_ints = [3, 5]>()
        most = ReduceMax(six, axes)
        both = Sub(six, most)
        whole = Concat<axis = 0>(front, hw)
        y = Reshape(both, whole)
    """
    hold(text, sizes=((4, 6), (8, 2)))


def test_strided_slice_of_tf2onnx():
    """Sizes are cast to 32 bits and back; slices drop their axis by Squeeze."""
    text = """
        s0 = Shape(x)
        s1 = Cast<to = 6>(s0)
        start = Constant<value_ints = [2]>()
        end = Constant<value_ints = [3]>()
        zero = Constant<value_ints = [0]>()
        piece = Slice(s1, start, end, zero)
        h0 = Squeeze(piece, zero)
        scale = Constant<value_float = 0.5>()
        float = Cast<to = 1>(h0)
        scaled = Mul(float, scale)
        down = Floor(scaled)
        whole = Cast<to = 7>(down)
        h1 = Unsqueeze(whole, zero)
        y = Slice(x, zero, h1, start)
    """
    hold(text, SAME)


def test_sizes_that_are_filled():
    """Zeros of a computed shape, joined to the image, are padding."""
    text = """
        s0 = Shape<end = 2>(x)
        w0 = Shape<start = -1>(x)
        two = Constant<value_ints = [2]>()
        sizes = Concat<axis = 0>(s0, two, w0)
        zeros = ConstantOfShape(sizes)
        y = Concat<axis = 2>(zeros, x)
    """
    hold(text, [1, 1, 1, 1, 0, 2])


def test_same_padding_that_is_computed():
    """As networks compute it that were trained in TensorFlow; the stride is two."""
    text = """
        kernel = ConstantOfShape<value = float[1] {1}>(size)
        start = Constant<value_ints = [2]>()
        far = Constant<value_ints = [4]>()
        one = Constant<value_ints = [1]>()
        two = Constant<value_ints = [2]>()
        three = Constant<value_ints = [3]>()
        zero = Constant<value_ints = [0]>()
        zeros = Constant<value_ints = [0, 0]>()
        s0 = Shape(x)
        hw = Slice(s0, start, far)
        up = Add(hw, one)
        count = Div(up, two)
        less = Sub(count, one)
        strides = Mul(less, two)
        reach = Add(strides, three)
        missing = Sub(reach, hw)
        total = Max(missing, zero)
        before = Div(total, two)
        after = Sub(total, before)
        pads = Concat<axis = 0>(zeros, before, zeros, after)
        padded = Pad(x, pads)
        y = Conv<strides = [2, 2]>(padded, kernel)
    """
    text = "size = Constant<value_ints = [2, 2, 3, 3]>()" + text
    hold(text, [3, 3, 2, 2, None, None])
    beside = """
        stated = Conv<strides = [2, 2], auto_pad = "SAME_UPPER">(x, kernel)
        y = Add(stated, computed)
    """
    both = text.replace("y = Conv", "computed = Conv") + beside
    assert hold(both, [3, 3, 2, 2, None, None]).aligned is True


def test_positions_that_are_counted():
    """A range that is as long as an axis fits the axis at every size."""
    text = """
        two = Constant<value_int = 2>()
        zero = Constant<value_int = 0>()
        one = Constant<value_int = 1>()
        axes = Constant<value_ints = [1]>()
        s0 = Shape(x)
        h0 = Gather<axis = 0>(s0, two)
        count = Range(zero, h0, one)
        float = Cast<to = 1>(count)
        column = Unsqueeze(float, axes)
        y = Add(x, column)
    """
    hold(text, SAME)


HALVES = """
    two = Constant<value_int = 2>()
    i1 = Constant<value_ints = [1]>()
    i2 = Constant<value_ints = [2]>()
    i3 = Constant<value_ints = [3]>()
    i4 = Constant<value_ints = [4]>()
    eight = Constant<value_ints = [8]>()
    s = Shape(x)
    h = Slice(s, i2, i3)
    w = Slice(s, i3, i4)
    h2 = Div(h, two)
    w2 = Div(w, two)
    split = Concat<axis = 0>(i1, i2, h2, i2, w2, i2)
    a = Reshape(x, split)
    t = Transpose<perm = [0, 1, 3, 5, 2, 4]>(a)
    halves = Concat<axis = 0>(i1, eight, h2, w2)
    d = Reshape(t, halves)
    p = MaxPool<kernel_shape = [2, 3]>(d)
"""
"""Blocks of 2 x 2 positions become channels. A window has 2 * 2 rows, 2 * 3 columns."""


def test_blocks_of_a_size_that_need_not_be_even():
    """Nothing sees a whole axis, also if it is not known what is seen."""
    field = hold(HALVES + "y = Relu(p)", sizes=((6, 8), (8, 8)))
    known = rf.compute_receptive_field(
        model(HALVES + "y = Relu(p)"), input_resolution=[6, 8], **ASKED
    )
    assert list(known) == [6, 4, 2, 2, 0, 0]
    assert not field.is_global
    assert not field.exact


def test_paths_with_blocks_of_unknown_sizes_are_not_left_out():
    """One path moves by 2 positions, the other by 1."""
    text = f"""{HALVES}
    zeros = Constant<value_ints = [0, 0, 0, 0]>()
    ends = Concat<axis = 0>(i1, i2, i1, i1)
    first = Slice(p, zeros, ends)
    crop = Slice(x, zeros, ends)
    y = Add(first, crop)
    """
    unknown = model(text)
    field = rf.compute_receptive_field(unknown, global_context="exclude", **ASKED)
    assert (field.size == float("inf")).all()
    assert field.aligned is not True


def test_running_sum_meets_a_path_of_unknown_offset():
    """A running sum has no end, and the start of the crop follows the size.

    A feature sees its own position and all before it, and at even sizes n those from
    n / 2 on.
    """
    field = hold(
        """
        two = Constant<value_int = 2>()
        i3 = Constant<value_ints = [3]>()
        i4 = Constant<value_ints = [4]>()
        axis = Constant<value_int = 3>()
        s = Shape(x)
        w = Slice(s, i3, i4)
        start = Div(w, two)
        right = Slice(x, start, w, i3)
        sum = CumSum(x, axis)
        part = Sub(w, start)
        zero = Constant<value_ints = [0]>()
        left = Slice(sum, zero, part, i3)
        y = Add(right, left)
        """
    )
    assert field.size[0] == float("inf")
    assert not field.exact


def test_empty_part_below_a_product():
    """One part of a Concat has no position, and the product asks where zeros are."""
    field = check(
        model(
            """
            zero = Constant<value_ints = [0]>()
            end = Constant<value_ints = [6]>()
            far = Constant<value_ints = [9]>()
            axis = Constant<value_ints = [3]>()
            all = Slice(x, zero, end, axis)
            none = Slice(x, end, far, axis)
            rolled = Concat<axis = 3>(all, none)
            pads = Constant<value_ints = [0, 0, 1, 0, 0, 0, -1, 0]>()
            moved = Pad(rolled, pads)
            y = Mul(moved, rolled)
            """,
            5,
            6,
        ),
        (1, 2, 5, 6),
    )
    regions = field.compute_input_region([[2, 0], [2, 3]], clip=True)
    # The first row of one factor is zero, so the other is not seen there.
    assert regions[1].tolist() == [[2, 2], [2, 3]]
