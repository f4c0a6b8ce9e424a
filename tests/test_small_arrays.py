"""The stand-in for NumPy gives what NumPy gives, or refuses."""

import operator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_search import examples

from receptive_field import small_arrays as small
from receptive_field.small_arrays import MissingNumPyError

ERRORS = TypeError, ValueError, IndexError
KINDS = ("bool", "int32", "int64", "float32", "float64")


@st.composite
def values(draw, kinds=KINDS, sizes=None):
    """The same array in NumPy and here."""
    kind = draw(st.sampled_from(kinds))
    shape = draw(st.lists(st.integers(0, 3), max_size=3)) if sizes is None else sizes
    numbers = {
        "b": st.booleans(),
        "i": st.integers(-9, 9) | st.integers(-(2**31), 2**31 - 1),
        "f": st.integers(-9, 9) | st.floats(-1e6, 1e6, width=32),
    }[np.dtype(kind).kind]
    count = int(np.prod(shape))
    flat = draw(st.lists(numbers, min_size=count, max_size=count))
    theirs = np.array(flat, dtype=kind).reshape(shape)
    return theirs, small.array(flat, kind).reshape(tuple(shape))


def check(of_numpy, of_ours):
    """Both are the same, or both fail, or ours refuses; True if there is a result."""
    with np.errstate(all="ignore"):
        try:
            theirs = of_numpy()
        except ERRORS:
            with pytest.raises((*ERRORS, MissingNumPyError)):
                of_ours()
            return False
    try:
        ours = of_ours()
    except MissingNumPyError:
        return False
    theirs = np.asarray(theirs)
    assert ours.dtype.name == theirs.dtype.name
    assert ours.shape == theirs.shape
    np.testing.assert_array_equal(ours.tolist(), theirs.tolist())
    return True


PAIRS = (
    *("add", "subtract", "multiply", "true_divide", "floor_divide", "mod", "maximum"),
    *("minimum", "equal", "not_equal", "less", "less_equal", "greater"),
    "greater_equal",
)


@pytest.mark.parametrize("name", PAIRS)
@examples(40)
@given(values(), values())
def test_ops_on_two_arrays(name, one, two):
    check(
        lambda: getattr(np, name)(one[0], two[0]),
        lambda: getattr(small, name)(one[1], two[1]),
    )


OPERATORS = (
    *(operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv),
    *(operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge),
)


@pytest.mark.parametrize("function", OPERATORS)
@examples(40)
@given(values(), st.booleans() | st.integers(-9, 9) | st.floats(-9, 9), st.booleans())
def test_operators_with_a_number_of_python(function, one, number, first):
    def applied(array):
        return function(number, array) if first else function(array, number)

    check(lambda: applied(one[0]), lambda: applied(one[1]))


@pytest.mark.parametrize("name", ["floor", "ceil", "sqrt", "sign", "negative"])
@examples(40)
@given(values())
def test_ops_on_one_array(name, one):
    check(lambda: getattr(np, name)(one[0]), lambda: getattr(small, name)(one[1]))


@examples(70)
@given(values(), st.sampled_from(KINDS))
def test_types_are_changed_as_in_numpy(one, kind):
    check(lambda: one[0].astype(kind), lambda: one[1].astype(kind))


INDICES = (
    st.integers(-4, 4)
    | st.none()
    | st.just(Ellipsis)
    | st.slices(4)
    | st.builds(slice, st.none(), st.none(), st.sampled_from([-2, -1, 2]))
)


@examples(100)
@given(values(), st.lists(INDICES, max_size=4).filter(lambda x: x.count(...) < 2))
def test_indices(one, indices):
    key = tuple(indices)
    check(lambda: one[0][key], lambda: one[1][key])


AXIS = st.integers(-4, 4)
SHAPE = st.lists(st.integers(-1, 4), max_size=4).map(tuple)


@examples(100)
@given(values(), SHAPE, st.lists(AXIS, max_size=3).map(tuple), AXIS)
def test_shapes(one, shape, axes, axis):
    found = [
        check(lambda: one[0].reshape(shape), lambda: one[1].reshape(shape)),
        check(lambda: one[0].ravel(), lambda: one[1].ravel()),
    ]
    for name, given_axes in (
        *(("expand_dims", axis), ("expand_dims", axes)),
        *(("squeeze", axes), ("squeeze", axis), ("squeeze", None)),
        *(("transpose", axes), ("transpose", None)),
    ):
        found.append(
            check(
                lambda f=name, a=given_axes: getattr(np, f)(one[0], a),
                lambda f=name, a=given_axes: getattr(small, f)(one[1], a),
            )
        )
    assert any(found)


@examples(70)
@given(st.lists(values(), min_size=1, max_size=3), AXIS)
def test_arrays_are_joined(arrays, axis):
    theirs, ours = zip(*arrays, strict=True)
    for name in ("concatenate", "stack"):
        check(
            lambda f=name: getattr(np, f)(theirs, axis),
            lambda f=name: getattr(small, f)(ours, axis),
        )
    check(lambda: np.array(theirs), lambda: small.array(ours))


@examples(70)
@given(values(), values(kinds=("int32", "int64")), AXIS)
def test_elements_are_taken(one, indices, axis):
    check(
        lambda: np.take(one[0], indices[0], axis),
        lambda: small.take(one[1], indices[1], axis),
    )


def test_what_is_missing_is_named():
    with pytest.raises(MissingNumPyError, match=r"numpy\.einsum needs NumPy"):
        small.einsum  # noqa: B018
    with pytest.raises(MissingNumPyError, match=r"array\.cumsum"):
        small.array([1]).cumsum()
    with pytest.raises(MissingNumPyError, match="2147483648 as int32"):
        small.array([2**31], "int32")
    with pytest.raises(MissingNumPyError, match="a division by zero"):
        small.array([1]) // small.array([0])
