"""A few functions of NumPy for small arrays, where there is no NumPy.

The sizes in some models are computed by ops on short lists of numbers. This module
gives the same results as NumPy, or raises `MissingNumPyError`, so that no result can
differ. (It raises this error for integers that overflow and divisions by zero, too,
where NumPy only warns.)
"""

from __future__ import annotations

import itertools
import math
import operator
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

Shape = tuple[int, ...]


class MissingNumPyError(ModuleNotFoundError):
    """NumPy is not installed, and this module cannot replace it."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} needs NumPy, which is not installed", name="numpy")


class DType:
    """A type of numbers. Called with a number, it returns an array without axes."""

    def __init__(self, name: str, kind: str, bits: int) -> None:
        self.name, self.kind, self.bits = name, kind, bits

    def __repr__(self) -> str:
        return f"dtype({self.name!r})"

    def __eq__(self, other: object) -> bool:
        try:
            return self is dtype(other)
        except MissingNumPyError:
            return False

    def __hash__(self) -> int:
        return hash(self.name)

    def __call__(self, number: Any = 0) -> Array:
        """Returns a number as an array of this type."""
        return array(number, self)

    @property
    def type(self) -> DType:
        """What makes a number of this type."""
        return self

    def held(self, value: Any) -> Any:
        """Returns a number as this type holds it."""
        if self.kind == "O":
            return value
        if self.kind == "b":
            return bool(value)
        if self.kind == "i":
            if isinstance(value, float) and not math.isfinite(value):
                raise MissingNumPyError(f"{value} as an integer")
            whole = int(value)
            if not -(1 << (self.bits - 1)) <= whole < 1 << (self.bits - 1):
                raise MissingNumPyError(f"{whole} as {self.name}")
            return whole
        number = float(value)
        if self.bits == 64:
            return number
        try:
            return struct.unpack("<f", struct.pack("<f", number))[0]
        except OverflowError:
            raise MissingNumPyError(f"{number} as {self.name}") from None


bool_ = DType("bool", "b", 8)
int32 = DType("int32", "i", 32)
int64 = DType("int64", "i", 64)
float32 = DType("float32", "f", 32)
float64 = DType("float64", "f", 64)
object_ = DType("object", "O", 0)

_BY_NAME = {t.name: t for t in (bool_, int32, int64, float32, float64, object_)}
_OF_PYTHON = {bool: bool_, int: int64, float: float64, object: object_}


def dtype(thing: Any) -> DType:
    """Returns a type by its name, or the one that stands for a type of Python."""
    if isinstance(thing, DType):
        return thing
    found = _BY_NAME.get(thing) if isinstance(thing, str) else None
    if found is None and isinstance(thing, type):
        found = _OF_PYTHON.get(thing)
    if found is None:
        raise MissingNumPyError(f"the type {thing!r}")
    return found


def result_type(one: DType, two: DType) -> DType:
    """Returns the type of the result of an op on two arrays."""
    if one is two:
        return one
    for kind in (object_, float64):
        if kind in (one, two):
            return kind
    kinds = {one.kind, two.kind}
    if kinds == {"f", "i"}:
        return float64
    if kinds == {"f", "b"}:
        return float32
    return int64 if int64 in (one, two) else int32


class Array:
    """An array: a flat list of Python's numbers, a shape and a type."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(
        self, flat: Iterable[Any], shape: Shape, kind: DType, *rest: Any
    ) -> None:
        if rest:
            raise MissingNumPyError("an array of a buffer")
        self._flat = [kind.held(value) for value in flat]
        self.shape, self.dtype = shape, kind

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise MissingNumPyError(f"array.{name}")

    def __repr__(self) -> str:
        return f"array({self.tolist()}, {self.dtype})"

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return len(self._flat)

    def tolist(self) -> Any:
        """Returns nested lists, or a number."""
        return _nested(self._flat, self.shape)

    def item(self) -> Any:
        """Returns the only element."""
        (value,) = self._flat
        return value

    def ravel(self) -> Array:
        """Returns all elements along one axis."""
        return self.reshape(-1)

    def reshape(self, *sizes: Any) -> Array:
        """Returns the same elements in another shape, of which one size may be -1."""
        given: Any = sizes[0] if len(sizes) == 1 else sizes
        wanted = list(map(operator.index, given if _is_sequence(given) else [given]))
        if wanted.count(-1) == 1:
            rest = -math.prod(wanted)
            if not rest or self.size % rest:
                raise ValueError(f"cannot reshape {self.size} elements to {wanted}")
            wanted[wanted.index(-1)] = self.size // rest
        if math.prod(wanted) != self.size or min(wanted, default=0) < 0:
            raise ValueError(f"cannot reshape {self.size} elements to {wanted}")
        return Array(self._flat, tuple(wanted), self.dtype)

    def astype(self, kind: Any) -> Array:
        """Returns the elements as another type."""
        return Array(self._flat, self.shape, dtype(kind))

    def any(self) -> bool:
        """Returns whether any element is true."""
        return any(self._flat)

    def all(self) -> bool:
        """Returns whether all elements are true."""
        return all(self._flat)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("an array without axes has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator[Array]:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ValueError("an array with several elements is neither true nor false")
        return bool(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __index__(self) -> int:
        if self.dtype.kind != "i" or self.size != 1:
            raise TypeError("only one integer can be an index")
        found: int = self.item()
        return found

    def __getitem__(self, key: Any) -> Array:
        keys = list(key) if isinstance(key, tuple) else [key]
        if Ellipsis in [k for k in keys if not isinstance(k, Array)]:
            place = next(i for i, k in enumerate(keys) if k is Ellipsis)
            used = sum(k is not None for k in keys) - 1
            keys[place : place + 1] = [slice(None)] * (self.ndim - used)
        shape: list[int] = []
        chosen: list[Sequence[int]] = []
        axis = 0
        for each in keys:
            if each is None:
                shape.append(1)
                continue
            if axis == self.ndim:
                raise IndexError("too many indices")
            if isinstance(each, slice):
                taken: Sequence[int] = range(*each.indices(self.shape[axis]))
                shape.append(len(taken))
            elif isinstance(each, int) or (isinstance(each, Array) and not each.ndim):
                taken = [range(self.shape[axis])[operator.index(each)]]
            else:
                raise MissingNumPyError("an index that is an array")
            chosen.append(taken)
            axis += 1
        chosen += map(range, self.shape[axis:])
        flat = [self._flat[place] for place in _places(chosen, self.shape)]
        return Array(flat, (*shape, *self.shape[axis:]), self.dtype)

    def __neg__(self) -> Array:
        if self.dtype is bool_:
            raise TypeError("a truth value has no negative")
        return Array(map(operator.neg, self._flat), self.shape, self.dtype)

    def __abs__(self) -> Array:
        return Array(map(abs, self._flat), self.shape, self.dtype)

    def __matmul__(self, other: Any) -> NoReturn:
        raise MissingNumPyError("a product of matrices")

    def __add__(self, other: Any) -> Array:
        return add(self, other)

    def __radd__(self, other: Any) -> Array:
        return add(other, self)

    def __sub__(self, other: Any) -> Array:
        return subtract(self, other)

    def __rsub__(self, other: Any) -> Array:
        return subtract(other, self)

    def __mul__(self, other: Any) -> Array:
        return multiply(self, other)

    def __rmul__(self, other: Any) -> Array:
        return multiply(other, self)

    def __truediv__(self, other: Any) -> Array:
        return true_divide(self, other)

    def __rtruediv__(self, other: Any) -> Array:
        return true_divide(other, self)

    def __floordiv__(self, other: Any) -> Array:
        return floor_divide(self, other)

    def __rfloordiv__(self, other: Any) -> Array:
        return floor_divide(other, self)

    def __eq__(self, other: Any) -> Array:  # type: ignore[override]
        return equal(self, other)

    def __ne__(self, other: Any) -> Array:  # type: ignore[override]
        return not_equal(self, other)

    def __lt__(self, other: Any) -> Array:
        return less(self, other)

    def __le__(self, other: Any) -> Array:
        return less_equal(self, other)

    def __gt__(self, other: Any) -> Array:
        return greater(self, other)

    def __ge__(self, other: Any) -> Array:
        return greater_equal(self, other)


ndarray = Array

# --- Making arrays -------------------------------------------------------------------


def array(values: Any, dtype: Any = None) -> Array:
    """Returns an array of nested lists, of a number, or of an array."""
    if isinstance(values, Array):
        return values if dtype is None else values.astype(dtype)
    shape, flat = _flattened(values)
    kind = _kind_of(flat) if dtype is None else _dtype(dtype)
    return Array(flat, shape, kind)


_dtype = dtype
asarray = array


def arange(*limits: Any, dtype: Any = int64) -> Array:
    """Returns the integers of a range."""
    if not all(isinstance(limit, int) for limit in limits):
        raise MissingNumPyError("a range of other than integers")
    return array(list(range(*limits)), dtype)


def ones(shape: Any, dtype: Any = float64) -> Array:
    """Returns an array of ones."""
    sizes = tuple(shape) if _is_sequence(shape) else (operator.index(shape),)
    return Array([1] * math.prod(sizes), sizes, _dtype(dtype))


def _flattened(values: Any) -> tuple[Shape, list[Any]]:
    if isinstance(values, Array):
        if not values.size:
            raise MissingNumPyError("an array of empty arrays")
        return values.shape, [
            value if values.dtype is object_ else _Typed(value, values.dtype)
            for value in values._flat
        ]
    if not _is_sequence(values):
        return (), [values]
    parts = [_flattened(value) for value in values]
    shapes = {shape for shape, _ in parts}
    if len(shapes) > 1:
        raise ValueError("the parts of an array have different shapes")
    flat = [value for _, part in parts for value in part]
    return (len(parts), *next(iter(shapes), ())), flat


class _Typed:
    """A number that is known to be of some type."""

    def __init__(self, value: Any, kind: DType) -> None:
        self.value, self.kind = value, kind


def _kind_of(flat: list[Any]) -> DType:
    """Returns the type of an array of these elements, which become plain numbers."""
    found: DType | None = None
    for place, value in enumerate(flat):
        if isinstance(value, _Typed):
            kind, flat[place] = value.kind, value.value
        else:
            kind = _OF_PYTHON.get(type(value), object_)
        found = kind if found is None else result_type(found, kind)
    return float64 if found is None else found


def _is_sequence(thing: Any) -> bool:
    return isinstance(thing, (list, tuple, range)) or (
        isinstance(thing, Array) and bool(thing.ndim)
    )


def _nested(flat: Sequence[Any], shape: Shape) -> Any:
    if not shape:
        return flat[0]
    step = math.prod(shape[1:])
    return [
        _nested(flat[i * step : (i + 1) * step], shape[1:]) for i in range(shape[0])
    ]


def _places(chosen: Sequence[Sequence[int]], shape: Shape) -> Iterator[int]:
    """Yields the places in a flat list of all combinations of these indices."""
    steps = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    for indices in itertools.product(*chosen):
        yield sum(map(operator.mul, indices, steps))


# --- Ops on single elements ----------------------------------------------------------


def broadcast_to(values: Any, shape: Sequence[int]) -> Array:
    """Returns an array whose axes of size 1 are repeated."""
    given, sizes = asarray(values), tuple(map(operator.index, shape))
    added = len(sizes) - given.ndim
    old = (1,) * added + given.shape
    pairs = list(zip(old, sizes, strict=True)) if added >= 0 else [(2, 0)]
    if any(size not in (1, new) for size, new in pairs):
        raise ValueError(f"cannot broadcast {given.shape} to {sizes}")
    chosen = [range(new) if size == new else [0] * new for size, new in pairs]
    flat = [given._flat[place] for place in _places(chosen, old)]
    return Array(flat, sizes, given.dtype)


def _broadcast(one: Array, two: Array) -> tuple[Array, Array]:
    pairs = list(itertools.zip_longest(one.shape[::-1], two.shape[::-1], fillvalue=1))
    shape = [b if a == 1 else a for a, b in pairs][::-1]
    return broadcast_to(one, shape), broadcast_to(two, shape)


def _operands(one: Any, two: Any) -> tuple[Array, Array]:
    """Returns two operands as arrays. Numbers of Python take the type of the array."""
    weak = [type(x) in (bool, int, float) for x in (one, two)]
    arrays = [asarray(one), asarray(two)]
    for number, other in ((0, 1), (1, 0)):
        if weak[number] and not weak[other]:
            mine, theirs = arrays[number].dtype, arrays[other].dtype
            if (
                "biOf".find(mine.kind) <= "biOf".find(theirs.kind)
                and theirs.kind != "O"
            ):
                arrays[number] = arrays[number].astype(theirs)
            elif theirs is bool_ or mine is bool_:
                continue
            elif theirs is not object_:
                arrays[number] = arrays[number].astype(float64)
    one, two = arrays
    return _broadcast(one, two)


def _arithmetic(
    function: Callable[[Any, Any], Any], real: bool = False
) -> Callable[[Any, Any], Array]:
    def apply(one: Any, two: Any) -> Array:
        first, second = _operands(one, two)
        kind = result_type(first.dtype, second.dtype)
        if kind is bool_:
            raise MissingNumPyError("arithmetic with truth values")
        if real and kind.kind == "i":
            kind = float64
        try:
            flat = list(map(function, first._flat, second._flat))
        except ZeroDivisionError:
            raise MissingNumPyError("a division by zero") from None
        return Array(flat, first.shape, kind)

    return apply


def _comparison(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Array]:
    def apply(one: Any, two: Any) -> Array:
        first, second = _operands(one, two)
        if first.dtype is not second.dtype:
            raise MissingNumPyError("a comparison of different types")
        flat = map(function, first._flat, second._flat)
        return Array(flat, first.shape, bool_)

    return apply


add = _arithmetic(operator.add)
subtract = _arithmetic(operator.sub)
multiply = _arithmetic(operator.mul)
true_divide = divide = _arithmetic(operator.truediv, real=True)
floor_divide = _arithmetic(operator.floordiv)
equal = _comparison(operator.eq)
not_equal = _comparison(operator.ne)
less = _comparison(operator.lt)
less_equal = _comparison(operator.le)
greater = _comparison(operator.gt)
greater_equal = _comparison(operator.ge)


def mod(one: Any, two: Any) -> Array:
    """Returns the remainders of divisions of integers, with the sign of the divisor."""
    first, second = _operands(one, two)
    if {first.dtype.kind, second.dtype.kind} != {"i"}:
        raise MissingNumPyError("the remainder of a fraction")
    return _remainder(first, second)


_remainder = _arithmetic(operator.mod)


def _of_reals(function: Callable[[float], float]) -> Callable[[Any], Array]:
    def apply(values: Any) -> Array:
        given = asarray(values)
        if given.dtype.kind != "f" or not all(map(math.isfinite, given._flat)):
            raise MissingNumPyError("a function of other than finite fractions")
        try:
            return Array(map(function, given._flat), given.shape, given.dtype)
        except ValueError:
            raise MissingNumPyError("a function outside of its domain") from None

    return apply


floor = _of_reals(math.floor)
ceil = _of_reals(math.ceil)
sqrt = _of_reals(math.sqrt)


class vectorize:  # noqa: N801
    """A function of single elements as one of arrays; see NumPy."""

    def __init__(self, function: Callable[..., Any], otypes: Sequence[Any]) -> None:
        self._function, (self._kind,) = function, map(dtype, otypes)

    def __call__(self, *arrays: Any) -> Array:
        """Returns the results for all elements."""
        given = [asarray(each) for each in arrays]
        for each in given[1:]:
            given[0], _ = _broadcast(given[0], each)
        given = [broadcast_to(each, given[0].shape) for each in given]
        flat = map(self._function, *(each._flat for each in given))
        return Array(flat, given[0].shape, self._kind)


def _extreme(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Array]:
    def apply(one: Any, two: Any) -> Array:
        first, second = _operands(one, two)
        kind = result_type(first.dtype, second.dtype)
        flat = [*first._flat, *second._flat]
        if kind.kind not in "if" or not all(map(math.isfinite, flat)):
            raise MissingNumPyError("the larger one of other than finite numbers")
        return Array(map(function, first._flat, second._flat), first.shape, kind)

    return apply


maximum = _extreme(max)
minimum = _extreme(min)


def sign(values: Any) -> Array:
    """Returns -1, 0 or 1 for each integer."""
    given = asarray(values)
    if given.dtype.kind != "i":
        raise MissingNumPyError("the sign of other than integers")
    flat = [(value > 0) - (value < 0) for value in given._flat]
    return Array(flat, given.shape, given.dtype)


def negative(values: Any) -> Array:
    """Returns the negative of each element."""
    return -asarray(values)


def array_equal(one: Any, two: Any) -> bool:
    """Returns whether two arrays have the same shape and equal elements."""
    first, second = asarray(one), asarray(two)
    return first.shape == second.shape and equal(first, second).all()


# --- Ops on axes ---------------------------------------------------------------------


def concatenate(arrays: Sequence[Any], axis: int = 0) -> Array:
    """Returns arrays one after another along an axis."""
    parts = [asarray(each) for each in arrays]
    kind = parts[0].dtype
    for part in parts[1:]:
        kind = result_type(kind, part.dtype)
    axis = range(parts[0].ndim)[axis]
    ends = {part.shape[:axis] + part.shape[axis + 1 :] for part in parts}
    if len(ends) > 1 or len({part.ndim for part in parts}) > 1:
        raise ValueError("the arrays do not fit together")
    first = parts[0].shape
    rows = [
        part._flat[i * step : (i + 1) * step]
        for i in range(math.prod(first[:axis]))
        for part in parts
        for step in [math.prod(part.shape[axis:])]
    ]
    total = sum(part.shape[axis] for part in parts)
    flat = itertools.chain.from_iterable(rows)
    return Array(flat, (*first[:axis], total, *first[axis + 1 :]), kind)


def expand_dims(values: Any, axis: Any) -> Array:
    """Returns an array with more axes of size 1, at these places of its shape."""
    given = asarray(values)
    listed = list(axis) if _is_sequence(axis) else [axis]
    total = range(given.ndim + len(listed))
    added = {total[operator.index(place)] for place in listed}
    if len(added) < len(listed):
        raise ValueError("an axis is listed twice")
    rest = iter(given.shape)
    shape = tuple(1 if place in added else next(rest) for place in total)
    return Array(given._flat, shape, given.dtype)


def stack(arrays: Sequence[Any], axis: int = 0) -> Array:
    """Returns arrays of the same shape along a new axis."""
    return concatenate([expand_dims(each, axis) for each in arrays], axis)


def squeeze(values: Any, axis: Any = None) -> Array:
    """Returns an array without axes of size 1: all of them, or these."""
    given = asarray(values)
    if axis is None:
        gone = {a for a, size in enumerate(given.shape) if size == 1}
    else:
        listed = axis if _is_sequence(axis) else [axis]
        if not given.ndim:
            raise MissingNumPyError("an axis of an array without axes")
        gone = {range(given.ndim)[a] for a in listed}
        if len(gone) < len(listed):
            raise ValueError("an axis is listed twice")
    if any(given.shape[a] != 1 for a in gone):
        raise ValueError("only an axis of size 1 can be left out")
    shape = tuple(size for a, size in enumerate(given.shape) if a not in gone)
    return Array(given._flat, shape, given.dtype)


def transpose(values: Any, axes: Any = None) -> Array:
    """Returns an array with its axes in another order."""
    given = asarray(values)
    order = range(given.ndim)[::-1] if axes is None else axes
    order = [range(given.ndim)[operator.index(axis)] for axis in order]
    if sorted(order) != list(range(given.ndim)):
        raise ValueError("these are not the axes of the array")
    steps = [math.prod(given.shape[axis + 1 :]) for axis in order]
    shape = tuple(given.shape[axis] for axis in order)
    indices = itertools.product(*map(range, shape))
    flat = [given._flat[sum(map(operator.mul, each, steps))] for each in indices]
    return Array(flat, shape, given.dtype)


def take(values: Any, indices: Any, axis: int | None = None) -> Array:
    """Returns the elements at these indices of an axis."""
    given, wanted = asarray(values), asarray(indices)
    if axis is None or not given.size or not given.ndim or wanted.dtype.kind != "i":
        raise MissingNumPyError("take")
    axis = range(given.ndim)[axis]
    sizes = given.shape
    rows = [range(sizes[axis])[i] for i in wanted._flat]
    chosen = [rows if a == axis else range(size) for a, size in enumerate(sizes)]
    flat = [given._flat[place] for place in _places(chosen, sizes)]
    return Array(flat, sizes[:axis] + wanted.shape + sizes[axis + 1 :], given.dtype)


@contextmanager
def errstate(**_: str) -> Iterator[None]:
    """Does nothing: there are no warnings."""
    yield


def __getattr__(name: str) -> NoReturn:
    if name.startswith("__"):
        raise AttributeError(name)
    raise MissingNumPyError(f"numpy.{name}")
