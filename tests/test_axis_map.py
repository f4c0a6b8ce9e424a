"""The algebra against brute-force sets of positions."""

import doctest
import math
from fractions import Fraction
from itertools import pairwise
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_search import examples

from receptive_field.algebra import axis_map
from receptive_field.algebra.axis_map import (
    ANYWHERE,
    GLOBAL,
    IDENTITY,
    INFINITY,
    NONE,
    AxisMap,
    Drift,
    Extents,
    Tabulated,
    _largest_ahead,
    constant,
    convolution,
    one_sided,
    periodic,
    quotient,
    remainder,
    sampling,
    shift,
    table,
    transposed_convolution,
)

FEATURES = range(-9, 10)


class Layer:
    """A map beside the true set of positions of every feature."""

    def __init__(self, axis_map, members):
        self.map = axis_map
        self.members = members

    def then(self, other):
        def members(u):
            return {w for v in self.members(u) for w in other.members(v)}

        return Layer(self.map.then(other.map), members)

    def __or__(self, other):
        return Layer(self.map | other.map, lambda u: self.members(u) | other.members(u))


def check(layer, all_gaps=True):
    """A window holds the truth; if it claims to be exact, it is its hull.

    The largest gap is that of the truth, or larger; with Anywhere, only if exact.
    """
    for u in FEATURES:
        truth = sorted(layer.members(u))
        window = layer.map.window(u)
        if window is None:
            assert truth == []
            continue
        first, last = window
        assert all(first <= position <= last for position in truth)
        if layer.map.exact:
            assert truth
            assert (first, last) == (truth[0], truth[-1])
        alone = len(layer.map.strands) == 1 and (layer.map.exact or all_gaps)
        for strand in layer.map.strands if alone else ():
            for a, b in pairwise(truth):
                assert b - a <= strand.gap


def conv(k, s, p, d=1):
    return Layer(
        convolution(k, s, p, d), lambda u: {u * s - p + d * i for i in range(k)}
    )


def transposed(k, s, p, d=1):
    """All v that a convolution's tap connects to u: ``v * s - p + d * i = u``."""

    def members(u):
        near = range((u + p - d * k) // s - 1, (u + p) // s + 2)
        return {v for v in near if u in {v * s - p + d * i for i in range(k)}}

    return Layer(transposed_convolution(k, s, p, d), members)


def nearest(up):
    return Layer(periodic(1, [(0, 0)] * up), lambda u: {u // up})


def bilinear(up, down):
    """Two taps around a rational position; a tap of weight zero carries nothing."""

    def members(u):
        position = Fraction(u * down, up)
        return {math.floor(position), math.ceil(position)}

    windows = [(min(members(u)), max(members(u))) for u in range(up)]
    return Layer(periodic(down, windows), members)


def flip(n):
    return Layer(sampling(n - 1, -1), lambda u: {n - 1 - u})


def mirrored(before, n, after):
    """Reflected padding: inside as a shift, the reflections as a table."""
    entries = {u: {before - u} for u in range(before)}
    entries |= {before + n + i: {n - 2 - i} for i in range(after)}
    windows = [
        (min(entries[u]), min(entries[u])) if u in entries else None
        for u in range(before + n + after)
    ]
    return Layer(
        shift(-before) | table(windows), lambda u: {u - before} | entries.get(u, set())
    )


def gather(start, positions):
    windows = [None if p is None else (p, p) for p in positions]

    def members(u):
        inside = 0 <= u - start < len(positions)
        position = positions[u - start] if inside else None
        return set() if position is None else {position}

    return Layer(table(windows, start), members)


small = st.integers(1, 4)
any_padding = st.integers(-2, 4)

convolutions = st.builds(conv, small, small, any_padding, st.just(1))
dilated = st.builds(conv, small, small, any_padding, st.integers(1, 3))
full_transposed = st.tuples(st.integers(1, 3), st.integers(0, 2), any_padding).map(
    lambda t: transposed(t[0] + t[1], t[0], t[2])
)
any_transposed = st.builds(
    transposed, small, st.integers(1, 3), any_padding, st.integers(1, 2)
)
resizes = st.one_of(
    st.builds(nearest, st.integers(1, 3)),
    st.tuples(st.integers(1, 4), st.integers(1, 3)).map(lambda t: bilinear(*t)),
)
monotone = st.one_of(convolutions, full_transposed, resizes)
others = st.one_of(
    dilated,
    any_transposed,
    st.builds(flip, st.integers(1, 9)),
    st.builds(mirrored, st.integers(0, 3), st.integers(4, 9), st.integers(0, 3)),
    st.builds(
        gather,
        st.integers(-2, 2),
        st.lists(st.none() | st.integers(-3, 9), min_size=1, max_size=9),
    ),
)


def chain(layers):
    whole = layers[0]
    for layer in layers[1:]:
        whole = whole.then(layer)
    return whole


@given(st.lists(monotone, min_size=1, max_size=5).map(chain))
@examples(300)
def test_chains_without_gaps_are_exact(layer):
    check(layer)
    stride_gaps = [strand.gap for strand in layer.map.strands]
    if stride_gaps == [1]:
        assert layer.map.exact


@given(st.lists(monotone | others, min_size=1, max_size=5).map(chain))
@examples(600)
def test_any_chain_is_never_smaller_than_the_truth(layer):
    check(layer)


networks = st.recursive(
    monotone | others,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda t: t[0].then(t[1])),
        st.tuples(inner, inner).map(lambda t: t[0] | t[1]),
    ),
    max_leaves=6,
)


@given(networks)
@examples(600)
def test_chains_and_merges_are_never_smaller_than_the_truth(layer):
    check(layer)


@given(st.data())
@examples(600)
def test_maps_that_repeat_late_are_bounds(data):
    """Here, as soon as they repeat after more than two positions."""
    with mock.patch.multiple(axis_map, LONGEST_PERIOD=2, FEW_SPANS=1):
        layer = data.draw(networks)
        check(layer, all_gaps=False)
    for strand in layer.map.strands:
        if isinstance(strand, axis_map.Periodic) and len(strand.windows) > 2:
            assert len(strand.windows) == strand.rate.denominator or strand.exact


@given(networks)
@examples(200)
def test_evaluate_agrees_with_window(layer):
    firsts, lasts = layer.map.evaluate(np.array(FEATURES).reshape(1, -1))
    expected = [layer.map.window(u) or (INFINITY, -INFINITY) for u in FEATURES]
    assert list(zip(firsts[0], lasts[0], strict=True)) == expected


@given(networks)
@examples(200)
def test_size_is_the_largest_window(layer):
    count = 12
    windows = [layer.map.window(u) for u in range(count)]
    largest = max([w[1] - w[0] + 1 for w in windows if w is not None], default=0)
    periods = [len(s.windows) for s in layer.map.strands]
    if layer.map.is_none or len(layer.map.strands) > 1 or periods[0] <= count:
        assert layer.map.size(count) >= largest
    if len(layer.map.strands) > 1:
        assert layer.map.size(count) == largest
    assert layer.map.size() >= largest


@given(networks, networks, networks)
@examples(100)
def test_laws(a, b, c):
    def windows(m):
        return [m.window(u) for u in FEATURES]

    assert windows(a.map | b.map) == windows(b.map | a.map)
    assert windows((a.map | b.map) | c.map) == windows(a.map | (b.map | c.map))
    assert (a.map | a.map).strands == a.map.strands
    assert a.map | NONE == a.map == NONE | a.map
    assert a.map.then(IDENTITY) == a.map == IDENTITY.then(a.map)
    assert NONE.then(a.map) is NONE
    assert a.map.then(NONE) is NONE
    # What lies between two paths counts where they merge first: a bound, if it is one.
    first_merged = (a.map | b.map).then(c.map)
    for left, right in zip(
        windows(first_merged),
        windows(a.map.then(c.map) | b.map.then(c.map)),
        strict=True,
    ):
        if first_merged.exact:
            assert left == right
        elif right is not None:
            assert left[0] <= right[0] <= right[1] <= left[1]


@given(monotone, monotone, st.integers(1, 5))
@examples(200)
def test_interleave_merges_two_axes(outer, inner, count):
    merged = Layer(
        outer.map.interleave(inner.map, count),
        lambda u: {a * count + b for a in outer.members(u) for b in inner.members(u)},
    )
    check(merged)


@given(st.integers(1, 12), st.integers(1, 12))
def test_splitting_and_merging_an_axis_is_the_identity(n, m):
    merged = quotient(n).interleave(remainder(n), n)
    assert merged == shift(0)  # Nobody says that the axis ends where it did.
    assert merged.strands == IDENTITY.strands
    both = quotient(n).then(remainder(m)).interleave(remainder(n), n)
    assert both == remainder(n * m)


def floating(kernel, stride, name="u"):
    return convolution(kernel, stride).with_unknown_offset(name)


@given(
    st.lists(st.tuples(small, small, st.integers(0, 3)), min_size=1, max_size=5),
    st.data(),
)
def test_an_unknown_padding_keeps_size_and_stride(layers, data):
    hidden = data.draw(st.integers(0, len(layers) - 1))
    known = chain([conv(*layer) for layer in layers]).map
    unknown = IDENTITY
    for i, (k, s, p) in enumerate(layers):
        layer = convolution(k, s, p)
        unknown = unknown.then(layer.with_unknown_offset("u") if i == hidden else layer)
    assert unknown.is_floating
    assert unknown.size() == known.size()
    assert unknown.rates == known.rates
    with pytest.raises(ValueError, match="offset"):
        unknown.window(0)


@given(
    st.lists(monotone, min_size=1, max_size=3),
    st.lists(monotone, min_size=1, max_size=3),
    small,
    small,
)
@examples(200)
def test_an_unknown_offset_never_hides_size(before, after, kernel, stride):
    unknown = chain([*before, Layer(floating(kernel, stride), None), *after]).map
    for padding in range(4):
        known = chain([*before, conv(kernel, stride, padding), *after]).map
        assert unknown.size() >= known.size()


def test_unknown_offsets_that_merge():
    one = floating(3, 2)
    assert (one | convolution(5, 2, 1)).size() == INFINITY
    assert (one | convolution(5, 2, 1)).aligned is None
    assert not (one | convolution(5, 2, 1)).exact
    assert (one | convolution(5, 1, 1)).aligned is False
    assert (one | convolution(5, 1, 1)).size() == INFINITY
    assert (one | GLOBAL) is GLOBAL
    assert GLOBAL.then(one).is_global
    assert not GLOBAL.then(one).exact
    assert one.then(GLOBAL) == GLOBAL
    assert one.then(constant(0, 0)) == constant(0, 0)


@given(
    st.lists(convolutions, min_size=1, max_size=3).map(chain),
    st.lists(convolutions, min_size=1, max_size=3).map(chain),
    st.lists(convolutions, min_size=1, max_size=2).map(chain),
    small,
    small,
)
@examples(200)
def test_paths_above_the_same_unknown_layer_are_compared(one, two, below, k, s):
    """Merged before the unknown layer or after it, they say the same."""
    layer = floating(k, s)
    before = (one.map | two.map).then(layer).then(below.map)
    after = one.map.then(layer).then(below.map) | two.map.then(layer).then(below.map)
    assert before.aligned is after.aligned is (one.map | two.map).aligned
    assert before.strands == after.strands


@st.composite
def moved_convolutions(draw):
    """A convolution of stride 2, and how far two unknowns may move it, by factors."""
    size, padding = draw(st.integers(1, 5)), draw(st.integers(0, 3))
    factors = draw(st.tuples(st.integers(0, 3), st.integers(0, 3)))
    return size, padding, factors


@given(st.lists(moved_convolutions(), min_size=2, max_size=4), st.integers(0, 2))
@examples(200)
def test_paths_with_unknown_paddings_have_the_size_of_the_worst_case(paths, most):
    """Two unknowns, of which each path has multiples, as of layers below each other."""
    step = convolution(1, 1, 0)
    moves = [step.with_unknown_offset(name, -most, 0) for name in ("u", "v")]
    whole = NONE
    for size, padding, (u, v) in paths:
        path = convolution(size, 2, padding)
        for move in [moves[0]] * u + [moves[1]] * v:
            path = path.then(move)
        whole |= path
    worst = max(
        max(-p - u * a - v * b + k for k, p, (u, v) in paths)
        - min(-p - u * a - v * b for _, p, (u, v) in paths)
        for a in range(most + 1)
        for b in range(most + 1)
    )
    assert whole.size() >= worst
    if len(paths) == 2:
        assert whole.size() == worst


@given(convolutions, convolutions, convolutions)
@examples(100)
def test_either_of_several_unknown_layers(a, b, c):
    one, two, three = (
        layer.map.with_unknown_offset(name, -name, 1)
        for layer, name in ((a, 1), (b, 2), (c, 3))
    )
    assert ((one | two) | three) == (one | (two | three))
    assert (one | two).aligned is (None if one.rates == two.rates else False)


def test_global_and_none():
    layer = convolution(3, 2, 1)
    assert layer.then(GLOBAL) == GLOBAL == GLOBAL.then(GLOBAL)
    # All of a map need not be all of the one below: a stride may leave out its end.
    assert GLOBAL.then(layer).window(0) == (-INFINITY, INFINITY)
    assert not GLOBAL.then(layer).exact
    assert layer | GLOBAL == GLOBAL == GLOBAL | layer
    assert NONE.then(GLOBAL) is NONE
    assert NONE | GLOBAL == GLOBAL
    assert GLOBAL.window(3) == (-INFINITY, INFINITY)
    assert GLOBAL.size() == INFINITY
    assert GLOBAL.is_global
    assert NONE.is_none
    assert NONE.size() == 0
    assert NONE.window(1) is None


def test_maps_of_which_nothing_is_known():
    assert ANYWHERE.span(0, 3) == (-INFINITY, INFINITY)
    assert ANYWHERE.inverse(np.array([3])) == (-INFINITY, INFINITY)
    assert ANYWHERE.then(GLOBAL).is_everything
    assert not ANYWHERE.then(GLOBAL).exact
    assert shift(2).beside_anything().with_unknown_offset("u").is_unbounded
    for known in (table([(0, 0), (3, 3), (1, 1)]), one_sided(last=0)):
        assert known.with_unknown_offset("u") == ANYWHERE
        assert known.then(floating(3, 2)).is_everything
        assert not known.then(floating(3, 2)).exact
    assert constant(2, 2).then(floating(3, 2)).is_everything
    # Of a table, some position is seen that lies in it; nobody knows which.
    moved = floating(3, 2).then(table([(0, 0), (3, 3), (1, 1)]))
    assert moved.window(0) == (0, 3)
    assert not moved.exact


def test_maps_that_see_nothing():
    firsts, lasts = NONE.evaluate(np.arange(3))
    assert (firsts > lasts).all()
    assert NONE.showing(IDENTITY) == IDENTITY
    assert IDENTITY.showing(NONE) == NONE


def test_a_map_is_no_other_thing():
    assert IDENTITY != "identity"


@pytest.mark.parametrize(
    "extents", [((3, 5), 4), ((2, 2, 5, 5), 6), (range(1, 50), 99)]
)
def test_extents_in_short_are_never_smaller(extents):
    several, advance = extents
    long = Extents(several[0], tuple(several), advance)
    short = long.shortest()
    assert len(short.several) < len(several)
    for count in range(1, 200):
        assert short(count) >= long(count)
    if len(several) < 10:
        assert [*map(short, range(1, 200))] == [*map(long, range(1, 200))]


def drifting(name):
    """Twice the size, or nearly so."""
    drift = Drift(False, -1, 1, Extents(2, (2, 3), 1))
    return IDENTITY.with_drift(name, drift)


def test_two_drifts_may_cancel():
    both = drifting("one").then(drifting("two"))
    (strand,) = both.strands
    assert strand.drifts is None
    assert both.size() >= 2
    assert (both | IDENTITY).aligned is None


def test_strands_without_a_common_rate():
    """They are placed differently at each size."""
    (strand,) = floating(3, 2).strands
    free = AxisMap((strand._replace(rate=None),), None)
    assert (free | free) == free
    for other in (free, convolution(3, 2)):
        assert (free | other).aligned is None
    assert free.then(convolution(3)).is_everything
    assert not free.then(convolution(3)).exact


def test_one_sided_maps():
    causal = one_sided(last=0)
    assert causal.then(convolution(3, 2, 1)).window(4) == (-INFINITY, 9)
    assert convolution(3, 2, 1).then(causal).window(4) == (-INFINITY, 9)
    assert (causal | convolution(3, 1, 1)).window(4) == (-INFINITY, 5)
    assert causal | one_sided(first=0) == GLOBAL
    # The first feature sees nothing in front of itself.
    beside = one_sided(last=-1) | one_sided(first=1)
    assert beside.window(0) == (-INFINITY, INFINITY)
    assert not beside.exact
    mirrored = sampling(6, -1).then(one_sided(first=0))
    assert (causal | mirrored).is_global
    assert not (causal | mirrored).exact
    assert sampling(9, -1).then(causal).window(2) == (-INFINITY, 7)
    assert causal.then(sampling(9, -1)).window(2) == (7, INFINITY)
    assert causal.size() == INFINITY


@given(st.lists(st.tuples(small, small, st.integers(0, 3)), min_size=1, max_size=6))
def test_the_closed_forms_of_the_paper(layers):
    """Equations (rf_recurrence_final) and (rf_loc_recurrence_final_*)."""
    whole = chain([conv(*layer) for layer in reversed(layers)]).map
    strides = [math.prod(s for _, s, _ in layers[:i]) for i in range(len(layers))]
    pairs = list(zip(layers, strides, strict=True))
    size = sum((k - 1) * product for (k, _, _), product in pairs) + 1
    stride = math.prod(s for _, s, _ in layers)
    padding = sum(p * product for (_, _, p), product in pairs)
    for u in FEATURES:
        first = u * stride - padding
        last = u * stride - sum((1 + p - k) * n for (k, _, p), n in pairs)
        assert whole.window(u) == (first, last)
        assert last == first + size - 1
    assert whole.size() == size


def test_centres_are_multiples_of_the_stride_when_padding_is_half_the_kernel():
    whole = IDENTITY
    for kernel, stride in [(7, 2), (3, 2), (5, 3), (1, 2)]:
        whole = convolution(kernel, stride, (kernel - 1) // 2).then(whole)
    for u in range(5):
        first, last = whole.window(u)
        assert (first + last) / 2 == u * 24


def test_the_misaligned_example_of_the_paper():
    """Six samples for the second feature, five for the third."""
    padded = convolution(5, 2, 2)
    other = convolution(3, 1, 0).then(convolution(3, 1, 0))
    both = padded | other
    assert both.aligned is False
    sizes = [last - first + 1 for first, last in map(both.window, range(3))]
    assert sizes[1:] == [6, 5]
    assert len(both.rates) == 2


def test_the_aligned_example_of_the_paper():
    both = convolution(1, 4, 0) | convolution(1, 2, 0).then(convolution(3, 2, 1))
    assert both == convolution(3, 4, 1)
    assert both.aligned is True


@pytest.mark.parametrize(
    ("one", "two", "aligned"),
    [
        (convolution(3, 1, 1), convolution(5, 1, 2), True),
        (convolution(3, 1, 1), convolution(5, 1, 1), False),
        (convolution(3, 2, 1), convolution(3, 1, 1), False),
        (floating(3, 2), convolution(3, 2, 0), None),
        (quotient(2), quotient(2), True),
        (quotient(2), IDENTITY, False),
        (GLOBAL, IDENTITY, True),
    ],
)
def test_alignment_of_two_paths(one, two, aligned):
    assert (one | two).aligned is aligned
    below = convolution(3, 2, 1)
    assert one.then(below).aligned is True
    assert (one | two).then(below).aligned is aligned


def test_an_encoder_and_its_decoder_come_back_to_period_one():
    down = convolution(3, 2, 1)
    up = transposed_convolution(4, 2, 1)
    whole = up.then(down)
    assert all(w is not None for w in map(whole.window, FEATURES))
    restored = quotient(4).interleave(remainder(4), 4)
    assert restored.then(down) == down


def test_strides_outgrow_machine_integers():
    whole = IDENTITY
    for _ in range(400):
        whole = whole.then(convolution(3, 8, 1))
    assert whole.rates == (Fraction(8**400),)
    assert whole.size() == 2 * (8**400 - 1) // 7 + 1
    assert (whole | one_sided(last=0)).window(1)[0] == -INFINITY
    firsts, _ = whole.evaluate(np.array([1]))
    assert firsts[0] == 8**400 - (8**400 - 1) // 7
    assert one_sided(last=0).then(whole).window(3)[0] == -INFINITY


def test_examples_in_the_documentation():
    assert doctest.testmod(axis_map).failed == 0


@pytest.mark.parametrize("reach", [1, 2, 5, 9])
def test_the_largest_of_those_ahead(reach):
    values = np.random.default_rng(reach).integers(-9, 9, 200).tolist()
    assert [*_largest_ahead(values, reach)] == [
        max(values[i + 1 : i + 1 + reach]) for i in range(len(values) - reach)
    ]


def test_a_table_is_no_periodic_map_of_the_same_numbers():
    """As tuples, their strands are equal."""
    one, other = shift(1), table([(1, 1)], start=1)
    assert one.strands == other.strands
    assert one != other


windows_of_a_period = st.integers(1, 3).flatmap(
    lambda count: st.tuples(
        *[
            st.lists(
                st.tuples(st.integers(-2, 2), st.integers(0, 2)),
                min_size=count,
                max_size=count,
            )
        ]
        * 2
    )
)


@given(st.integers(1, 3), windows_of_a_period)
@examples(150)
def test_paths_are_aligned_if_all_their_centres_are_the_same(advance, both):
    """Those of all positions of a period; the first may be the same by chance."""
    both[1][0] = both[0][0]
    one, two = (
        periodic(advance, [(first, first + more) for first, more in windows])
        for windows in both
    )
    same = all(sum(one.window(u)) == sum(two.window(u)) for u in FEATURES)
    assert (one | two).aligned is same


def test_a_long_mirrored_axis_takes_linear_time(monkeypatch):
    """The entries of a table are passed over a few times, not once for each window."""
    counted = 0
    original = Tabulated.window

    def window(self, position):
        nonlocal counted
        counted += 1
        return original(self, position)

    monkeypatch.setattr(Tabulated, "window", window)
    size, pad = 44_000, 128
    border = [pad - u for u in range(pad)], [size - 2 - u for u in range(pad)]
    windows = [*border[0], *range(size), *border[1]]
    mirrored = table((p, p) for p in windows)
    found = convolution(256, 64).then(shift(-pad).showing(mirrored))
    assert found.window(0) == (0, 128)
    assert counted < 4 * len(windows)
