"""Relations between tensors against index arithmetic done by NumPy."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from random_search import examples

from receptive_field.algebra import sizes
from receptive_field.algebra.axis_map import IDENTITY, convolution, shift
from receptive_field.relations import boxes
from receptive_field.relations.relation import (
    ALL,
    FULL,
    SAME,
    Relation,
    fixed,
    follow,
    full,
    local,
    ranked,
    source,
    through,
    united,
)
from receptive_field.rules.blocks import depth_to_space, space_to_depth
from receptive_field.rules.reshaping import reshape_relation


def factorings(number, length):
    """All shapes of this length and number of elements."""
    if length == 1:
        return [(number,)]
    return [
        (first, *rest)
        for first in range(1, number + 1)
        if number % first == 0
        for rest in factorings(number // first, length - 1)
    ]


@st.composite
def reshapes(draw, below=None):
    """A shape below, and one above with as many elements."""
    if below is None:
        below = draw(st.lists(st.sampled_from([1, 2, 3, 4, 6]), min_size=1, max_size=4))
    total = math.prod(below)
    above = draw(st.sampled_from(factorings(total, draw(st.integers(1, 4)))))
    return tuple(below), above


def check(relation, below, index):
    """``index`` holds, for every position above, the position below (flat)."""
    assert len(relation.axes) == len(below)
    coordinates = np.unravel_index(index, below)
    for axis, positions in zip(relation.axes, coordinates, strict=True):
        followed, axis_map = source(axis)
        for place in np.ndindex(index.shape):
            window = axis_map.window(0 if followed is None else place[followed])
            assert window[0] <= positions[place] <= window[1]
            if axis_map.exact and followed is not None:
                # One position above reads one below: no window holds more, if the
                # axis is told by a single axis above.
                assert window == (positions[place],) * 2


@given(reshapes())
@examples(300)
def test_reshape(shapes):
    below, above = shapes
    index = np.arange(math.prod(below)).reshape(above)
    check(reshape_relation(below, above), below, index)


@given(st.data())
@examples(500)
def test_chains_of_reshapes_and_transposes(data):
    first = data.draw(reshapes())
    below, above = first
    relation = reshape_relation(below, above)
    index = np.arange(math.prod(below)).reshape(above)
    for _ in range(data.draw(st.integers(1, 3))):
        order = data.draw(st.permutations(range(index.ndim)))
        index = np.transpose(index, order)
        transposed = Relation(
            tuple(follow(order.index(axis)) for axis in range(len(order)))
        )
        relation = through(transposed, relation)
        below_shape, above_shape = data.draw(reshapes(index.shape))
        index = index.reshape(above_shape)
        relation = through(reshape_relation(below_shape, above_shape), relation)
    check(relation, below, index)


@given(reshapes())
@examples(50)
def test_a_reshape_that_is_undone_is_the_identity(shapes):
    below, above = shapes
    assume(1 not in below)
    there = reshape_relation(below, above)
    back = reshape_relation(above, below)
    assume(all(source(axis)[1].exact for r in (there, back) for axis in r.axes))
    for axis, found in enumerate(through(back, there).axes):
        assert source(found) == (axis, IDENTITY)


LAYOUTS = {"NHWC": ((1, 2), 3), "NCHW": ((2, 3), 1)}


def depth_of(image, block, layout, offsets_first):
    """An image whose blocks have moved into the channels."""
    (y, x), channel = LAYOUTS[layout]
    image = np.moveaxis(image, (channel, y, x), (1, 2, 3))
    batch, channels, height, width = image.shape
    rows, columns = height // block, width // block
    parts = image.reshape(batch, channels, rows, block, columns, block)
    order = (0, 3, 5, 1, 2, 4) if offsets_first else (0, 1, 3, 5, 2, 4)
    found = parts.transpose(order).reshape(batch, -1, rows, columns)
    return np.moveaxis(found, (1, 2, 3), (channel, y, x))


@pytest.mark.parametrize("offsets_first", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("block", [2, 3])
def test_blocks_in_the_channels(block, layout, offsets_first):
    (y, x), channel = LAYOUTS[layout]
    shape = [2, 0, 0, 0]
    shape[y], shape[x], shape[channel] = 2 * block, 3 * block, 5
    index = np.arange(math.prod(shape)).reshape(shape)
    moved = depth_of(index, block, layout, offsets_first)
    options = (shape, (y, x), channel, block, offsets_first)
    there, back = space_to_depth(*options), depth_to_space(*options)
    check(there, shape, moved)
    inverse = np.empty(moved.size, int)
    inverse[moved.ravel()] = np.arange(moved.size)
    check(back, moved.shape, inverse.reshape(shape))
    for axis, found in enumerate(through(back, there).axes):
        assert source(found) == (axis, IDENTITY)
    for axis, found in enumerate(through(there, back).axes):
        assert source(found) == (axis, IDENTITY)


def test_tokens_keep_the_axes_of_an_image_apart():
    image, tokens = (2, 5, 7, 3), (2, 35, 3)
    merged = reshape_relation(image, tokens)
    mixed_channels = Relation((follow(0), follow(1), FULL))
    split = reshape_relation(tokens, image)
    whole = through(through(split, mixed_channels), merged)
    layer = local([IDENTITY, convolution(3, 1, 1), convolution(5, 2, 2), None])
    assert through(whole, layer) == Relation(
        (follow(0), *layer.axes[1:3], FULL),
    )


def test_what_mixes_across_factors_is_a_bound():
    tokens = local([IDENTITY, convolution(3, 1, 1), IDENTITY])
    split = reshape_relation((1, 35, 3), (1, 5, 7, 3))
    merged = reshape_relation((1, 5, 7, 3), (1, 35, 3))
    whole = through(through(split, tokens), merged)
    assert not source(whole.axes[2])[1].exact


def test_merged_axes_of_unknown_size_are_taken_apart_by_name():
    height, width = sizes.unknown("h"), sizes.unknown("w")
    image = (1, height, width, 3)
    tokens = (1, height * width, 3)
    there = reshape_relation(image, tokens)
    back = reshape_relation(tokens, image)
    for axis, found in enumerate(through(back, there).axes):
        assert source(found) == (axis, IDENTITY)


def test_relations_of_any_rank():
    layer = local([IDENTITY, convolution(3, 2, 1), None])
    assert through(SAME, layer) is layer
    assert through(layer, SAME) is layer
    assert through(ALL, layer) == full(3)
    assert through(layer, ALL) is ALL
    assert united(SAME, ranked(SAME, 3)) == ranked(SAME, 3)
    assert [*map(source, united(layer, ALL).axes)] == [source(FULL)] * 3
    assert united(ALL, SAME) is ALL


def test_paths_that_disagree_about_the_axis_are_a_bound():
    swapped = Relation((follow(1), follow(0)))
    followed, axis_map = source(united(ranked(SAME, 2), swapped).axes[0])
    assert followed is None
    assert axis_map.is_everything
    assert not axis_map.is_global  # Nothing mixes them.
    assert not axis_map.exact


def test_ranks_that_do_not_fit():
    with pytest.raises(IndexError):
        united(full(3), full(4))
    with pytest.raises(IndexError):
        through(full(2), local([IDENTITY] * 4))


@pytest.mark.parametrize("earlier", [IDENTITY, shift(0)], ids=["identity", "crop"])
def test_a_crop_is_not_taken_for_the_identity(earlier):
    """Whatever was asked before: of a whole axis, a crop leaves something out."""
    follow(7, earlier)
    for axis_map, exact in ((shift(0), False), (IDENTITY, True)):
        relation = Relation((follow(7, axis_map),) * 8)
        found = through(Relation((FULL,) * 8), relation)
        assert [source(axis)[1].exact for axis in found.axes] == [exact] * 8


def test_an_empty_path_is_empty_on_all_axes():
    nothing = shift(0).then(shift(0))
    assert through(Relation(((), follow(1))), local([nothing, IDENTITY])) is None


numbers = st.integers(-5, 9)


@st.composite
def expressions(draw):
    """A symbolic size, and the function that computes it for known sizes."""
    a, b, c = draw(numbers), draw(numbers), draw(numbers)
    divisor = draw(st.integers(1, 6))
    kind = draw(st.sampled_from(["linear", "product", "floor", "ceil", "mod"]))
    functions = {
        "linear": lambda h, w: h * a + w * b + c,
        "product": lambda h, w: h * w * a + c,
        "floor": lambda h, w: (h * a + w * b + c) // divisor,
        "ceil": lambda h, w: sizes.ceiling_division(h * a + w * b + c, divisor),
        "mod": lambda h, w: (h * a + c) % divisor,
    }
    return functions[kind]


def evaluate(size, h, w):
    """A symbolic size at known sizes."""
    if not isinstance(size, sizes.Symbolic):
        return size
    total = Fraction(0)
    for monomial, factor in size.terms.items():
        for atom in monomial:
            if atom.operands:
                (inner,) = atom.operands
                factor *= math.floor(evaluate(inner, h, w))
            else:
                factor *= {"h": h, "w": w}[atom.kind]
        total += factor
    return total


@given(expressions(), expressions(), st.integers(1, 30), st.integers(1, 30))
@examples(400)
def test_symbolic_sizes_compute_what_numbers_do(one, two, h, w):
    symbols = sizes.unknown("h"), sizes.unknown("w")
    for function in (
        one,
        lambda h, w: one(h, w) + two(h, w),
        lambda h, w: one(h, w) * two(h, w),
        lambda h, w: one(h, w) - two(h, w) * 2,
    ):
        assert evaluate(function(*symbols), h, w) == function(h, w)


@given(expressions(), st.integers(1, 6), st.integers(1, 30), st.integers(1, 30))
@examples(300)
def test_residues_that_are_known_are_right(expression, modulus, h, w):
    size = expression(sizes.unknown("h"), sizes.unknown("w"))
    residue = sizes.residue(size, modulus)
    if residue is not None:
        assert expression(h, w) % modulus == residue


def test_scales_are_known_where_sizes_are_not():
    height = sizes.unknown("h")
    half = sizes.ceiling_division(height, 2)
    assert sizes.divide(half * 2, half) == 2
    assert sizes.divide(half, half * 4) == Fraction(1, 4)
    assert sizes.divides(half, half * height) == height
    assert sizes.divides(2, height) is None
    assert sizes.residue(half * 4, 2) == 0
    assert sizes.residue(half, 2) is None
    assert str(half) == "-1*floor(-1/2*h)"


def test_sizes_that_are_no_whole_multiples():
    n, m = sizes.unknown("n"), sizes.unknown("m")
    (((atom,),),) = [list(n.terms)]
    assert sizes.divide(n, 0) is None
    assert sizes.divide(0, n) == 0
    assert sizes.rounded_down(Fraction(7, 2)) == 3
    assert n + np.int64(3) == n + 3
    assert sizes.substituted(12 / n, {atom: 4}) == 3
    assert sizes.substituted(12 / n, {atom: 2 * m}) == 12 / (2 * m)
    assert sizes.can_agree(12 / n, 3) is None  # They do at four.
    half = (n + m) / 2
    assert sizes.remainder_of(half, 2) == sizes.remainder_of(half + 4, 2)
    assert sizes.remainder_of(half, 2) != sizes.remainder_of(half + 1, 2)
    assert sizes.last_not_above(n + m, 5, 100) == 2
    assert sizes.last_not_above(n - 2 * m, 5, 100) == 100
    assert sizes.last_not_above(12 / n, 3, 100) == 100
    assert sizes.last_not_above((n / 2) / m * 2, 0, 99) == 0  # It is 1.
    assert sizes.smaller(0, 12 / n) == 0
    assert sizes.smaller(-1 * (12 / n), 3) == -1 * (12 / n)
    assert sizes.smaller(1, 12 / n) is None  # It is 4 at three, and 0.5 at 24.
    assert sizes.smaller(0, (5 - n) / m) is None
    assert sizes.smaller(1, n + 12 / n) == 1
    assert sizes.in_words(5) == "5"
    assert sizes.in_words(12 / n) == str(12 / n)


@pytest.mark.parametrize("position", range(10))
def test_one_position_of_an_axis_that_was_folded(position):
    """Which row it was in, and which column: neither is lost."""
    below, above = (6, 5), (3, 10)
    picked = Relation((follow(0), fixed(position, position)))
    rows, columns = through(picked, reshape_relation(below, above)).axes
    index = np.arange(30).reshape(above)[:, position]
    followed, axis_map = source(rows)
    assert followed == 0
    assert [axis_map.window(u) for u in range(3)] == [(i // 5, i // 5) for i in index]
    followed, axis_map = source(columns)
    assert axis_map.window(0) == (position % 5, position % 5)


@pytest.mark.parametrize("exact", [True, False])
def test_boxes_that_differ_in_one_group_are_one_box(exact):
    """The four slices at even and odd rows and columns are the whole image."""
    places = np.arange(6) % 2

    def phase(row, column):
        groups = [
            boxes.Group((), (number,), places == offset)
            for number, offset in enumerate((row, column))
        ]
        return boxes.Box(tuple(groups), ((0,), (1,)), exact)

    four = [phase(*offsets) for offsets in itertools.product(range(2), repeat=2)]
    (whole,) = boxes.united(four)
    assert all(group.seen.all() for group in whole.groups)
    assert whole.exact is exact
    assert len(boxes.united([four[0], four[3]])) == 2  # Their union is no product.
    mixed = [four[0], four[1]._replace(exact=not exact)]
    assert len(boxes.united(mixed)) == 2


@pytest.mark.parametrize("kernel", [1, 4, 2**40])
@pytest.mark.parametrize("dilation", [1, 3])
@pytest.mark.parametrize("padding", [0, 7, 2**39])
def test_windows_of_any_width_on_sets(kernel, dilation, padding):
    """Of a window, only the taps inside the map are visited."""
    count, size, stride = 6, 11, 2
    axis_map = convolution(kernel, stride, padding, dilation)
    expected = np.zeros((count, size), bool)
    for v, p in np.ndindex(count, size):
        tap, rest = divmod(p - (v * stride - padding), dilation)
        expected[v, p] = not rest and 0 <= tap < kernel
    found = boxes.image(np.eye(count, dtype=bool), axis_map, size)
    np.testing.assert_array_equal(found, expected)
