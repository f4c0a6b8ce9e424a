"""Rules for inputs, weights, new tensors, random numbers and arithmetic of sizes.

Paths end at most of these ops.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from receptive_field.algebra.sizes import (
    Size,
    Symbolic,
    bounds,
    ceiling_division,
    product,
    rounded_down,
    rounded_up,
    smaller,
    unknown,
)
from receptive_field.arrays import np
from receptive_field.frameworks.torch.definitions import Read
from receptive_field.frameworks.torch.ops.operands import (
    LARGEST_VALUE,
    data_type,
    filled,
    is_small,
    kept,
    none,
    operand,
    related,
)
from receptive_field.frameworks.torch.ops.registry import place, register, size, sizes
from receptive_field.relations.relation import FULL, SAME, Relation, follow
from receptive_field.rules.elementwise import first_follows, rounded_towards_zero
from receptive_field.rules.op import (
    Call,
    Op,
    Relations,
    Shape,
    Value,
    exact,
    first_shape,
    scalar,
)


def _recorded(call: Call) -> Sequence[Shape]:
    """Returns the recorded shape. Unknown sizes of one name are equal."""
    (kind,) = call.node.definition.kinds
    if kind is None or kind.sizes is None:
        return [None]
    return [
        tuple(
            unknown(size)
            if isinstance(size, str)
            else call.unknown_size(axis)
            if size is None
            else size
            for axis, size in enumerate(kind.sizes)
        )
    ]


def _held(call: Call) -> Sequence[Value]:
    """Returns the values of a buffer or constant, if they are known."""
    values = call.attribute("values")
    return [None if values is None else np.asarray(values())]


def _parameters(call: Call) -> Size:
    """Returns the number of elements of a parameter."""
    (shape,) = _recorded(call)
    return product(shape) if shape else 1


register("Input", Op(None, _recorded))
register("Parameter", Op(None, _recorded, weights=_parameters))
register("Buffer", Op(None, _recorded, _held))

# --- New tensors ---------------------------------------------------------------------


def _stated(call: Call, name: str = "size") -> Shape:
    """Returns an argument that is a shape, with a symbol for each unknown size."""
    found = sizes(call, name) or []
    return tuple(call.unknown_size(a) if s is None else s for a, s in enumerate(found))


def _stated_shape(call: Call) -> Sequence[Shape]:
    return [_stated(call)]


def _of_number(number: float) -> Callable[[Call], Sequence[Value]]:
    return lambda call: filled(call, np.array(number))


def _of_argument(call: Call) -> Sequence[Value]:
    return filled(call, operand(call, "fill_value"))


def _from_argument(call: Call, output: int) -> Relations:
    """Relates a tensor to the number that fills it, if the number is computed."""
    return related(call, {"fill_value": Relation(())}, rest=None)


for _number, _word in enumerate(("zeros", "ones")):
    _values = _of_number(_number)
    register(_word, Op(none, _stated_shape, _values, values_need_shapes=True))
    register(f"new_{_word}", Op(none, _stated_shape, _values, values_need_shapes=True))
    register(f"{_word}_like", Op(none, first_shape, _values, values_need_shapes=True))
register("full new_full", Op(_from_argument, _stated_shape, _of_argument))
register("full_like", Op(_from_argument, first_shape, _of_argument))
register("fill", Op(lambda call, output: _filling(call), first_shape))
register("zero", Op(none, first_shape, _of_number(0), values_need_shapes=True))


def _filling(call: Call) -> Relations:
    return related(call, {"value": Relation(())}, rest=None)


register("empty new_empty empty_permuted", Op(none, _stated_shape))
register("empty_strided new_empty_strided", Op(none, _stated_shape))
register("empty_like", Op(none, first_shape))
register("rand randn randint", Op(none, _stated_shape, is_random=True))
register(
    "rand_like randn_like randint_like normal_functional uniform exponential "
    "cauchy geometric log_normal random",
    Op(none, first_shape, is_random=True),
)
register("randperm", Op(none, lambda call: [_counted(call, "n")], is_random=True))


def _counted(call: Call, *names: str) -> Shape:
    found = [size(call, name) for name in names]
    return tuple(call.unknown_size(a) if s is None else s for a, s in enumerate(found))


def _normal_shape(call: Call) -> Sequence[Shape]:
    """Returns the shape of random numbers whose mean or deviation may be a tensor."""
    if call.attribute("size") is not None:
        return [_stated(call)]
    number = place(call, "mean")
    number = place(call, "std") if number is None else number
    return [None if number is None else call.shape(number)]


register(
    "normal",
    Op(lambda call, output: [SAME] * len(call), _normal_shape, is_random=True),
)


def _drawn(call: Call, output: int) -> Relations:
    """Relates numbers of draws to the probabilities on the last axis."""
    rank = len(call.known_shape(0))
    return [Relation((*map(follow, range(rank - 1)), FULL))]


def _drawn_shape(call: Call) -> Sequence[Shape]:
    return [(*call.known_shape(0)[:-1], call.number("num_samples"))]


register("multinomial", Op(_drawn, _drawn_shape, is_random=True))

# --- Ranges and matrices of numbers --------------------------------------------------


def _limits(call: Call) -> list[Any] | None:
    """Returns start, end and step of a range; None if one is not known."""
    found = []
    for name, default in (("start", 0), ("end", None), ("step", 1)):
        value = operand(call, name, default)
        if value is None or value.size != 1:
            return None
        found.append(exact(value.ravel().tolist()[0]))
    return found


def _steps_of(call: Call, reach: Any, step: Any) -> int:
    """Returns how many numbers a range has. ``range`` contains its end."""
    if call.node.op == "range":
        return max(int(reach // step) + 1, 0)
    return max(-int(-reach // step), 0)


def _range_shape(call: Call) -> Sequence[Shape]:
    limits = _limits(call)
    if limits is None:
        return [None if data_type(call) == "" else (call.unknown_size(0),)]
    start, end, step = limits
    if step == 0 or isinstance(step, Symbolic):
        return [(call.unknown_size(0),)]
    reach = (end - start) * (1 if step > 0 else -1)
    if not isinstance(reach, Symbolic):
        return [(_steps_of(call, reach, abs(step)),)]
    if not isinstance(step, int) or call.node.op == "range":
        return [(call.unknown_size(0),)]
    length = ceiling_division(reach, abs(step))
    if isinstance(length, Symbolic):
        call.exceeds(length, -1)
    return [(length,)]


def _range_value(call: Call) -> Sequence[Value]:
    limits = _limits(call)
    if limits is None or any(isinstance(limit, Symbolic) for limit in limits):
        return [None]
    start, end, step = limits
    if step == 0 or abs((end - start) / step) > LARGEST_VALUE:
        return [None]
    count = _steps_of(call, (end - start) * (1 if step > 0 else -1), abs(step))
    return [kept(start + step * np.arange(count), data_type(call))]


def _of_limits(call: Call, output: int) -> Relations:
    return [call.all_of(number) for number in range(len(call))]


register("arange range", Op(_of_limits, _range_shape, _range_value))


def _steps_shape(call: Call) -> Sequence[Shape]:
    return [_counted(call, "steps")]


def _steps_value(call: Call) -> Sequence[Value]:
    ends = [operand(call, name) for name in ("start", "end")]
    (shape,) = _steps_shape(call)
    if shape is None or not is_small(shape) or any(e is None for e in ends):
        return [None]
    first, last = (e.ravel().tolist()[0] for e in ends if e is not None)
    if isinstance(first, Symbolic) or isinstance(last, Symbolic):
        return [None]
    return [kept(np.linspace(first, last, int(shape[0])), data_type(call))]  # type: ignore[arg-type]


register("linspace", Op(_of_limits, _steps_shape, _steps_value))
register("logspace", Op(_of_limits, _steps_shape))


def _eye_shape(call: Call) -> Sequence[Shape]:
    return [_counted(call, "n", "n" if call.attribute("m") is None else "m")]


def _eye_value(call: Call) -> Sequence[Value]:
    (shape,) = _eye_shape(call)
    if shape is None or not is_small(shape):
        return [None]
    rows, columns = shape
    return [kept(np.eye(int(rows), int(columns)), data_type(call))]  # type: ignore[arg-type]


register("eye", Op(none, _eye_shape, _eye_value))


def _triangle(call: Call) -> Sequence[Value]:
    """Returns the rows and columns of the elements of a triangle."""
    row, column, offset = (call.number(n, 0) for n in ("row", "col", "offset"))
    if row * column > LARGEST_VALUE:
        return [None]
    if call.node.op == "tril_indices":
        places = np.tril_indices(row, offset, column)
    else:
        places = np.triu_indices(row, offset, column)
    return [kept(np.stack(places), data_type(call))]


def _triangle_shape(call: Call) -> Sequence[Shape]:
    (value,) = _triangle(call)
    return [None if value is None else value.shape]


register("tril_indices triu_indices", Op(none, _triangle_shape, _triangle))


def _window_shape(call: Call) -> Sequence[Shape]:
    return [_counted(call, "window_length")]


register(
    "bartlett_window blackman_window hamming_window hann_window kaiser_window",
    Op(none, _window_shape),
)
register("fft_fftfreq", Op(none, lambda call: [_counted(call, "n")]))


def _half_shape(call: Call) -> Sequence[Shape]:
    length = size(call, "n")
    return [(call.unknown_size(0) if length is None else length // 2 + 1,)]


register("fft_rfftfreq", Op(none, _half_shape))


def _number_value(call: Call) -> Sequence[Value]:
    return [kept(operand(call, "s"), data_type(call))]


register("scalar_tensor", Op(first_follows, scalar, _number_value))

# --- Ops without a result ------------------------------------------------------------

register(
    "_assert_async _assert_scalar _assert_tensor_metadata _functional_assert_async "
    "_functional_assert_scalar _print sym_constrain_range "
    "sym_constrain_range_for_size _functional_sym_constrain_range "
    "_functional_sym_constrain_range_for_size _make_dep_token manual_seed "
    "torch._check torch._check_is_size profiler._record_function_enter_new "
    "profiler._record_function_exit",
    Op(None, scalar),
)

# --- Sizes ---------------------------------------------------------------------------


def _array(found: Any) -> Value:
    """Returns a number, or a list of numbers, as a value."""
    parts = found if isinstance(found, (list, tuple)) else [found]
    symbolic = any(isinstance(part, (Symbolic, tuple)) for part in parts)
    return np.array(found, dtype=object if symbolic else None)


def _size_value(call: Call) -> Sequence[Value]:
    """Returns the size of one axis of the first input."""
    shape = call.shape(0)
    if shape is None:
        return [None]
    return [_array(shape[call.axis(call.number("dim"), len(shape))])]


def _numel_value(call: Call) -> Sequence[Value]:
    shape = call.shape(0)
    return [None if shape is None else _array(product(shape))]


def _stride_value(call: Call) -> Sequence[Value]:
    """Returns the stride of one axis, if it was recorded."""
    index, number = call.input(0)
    kinds = call.node.graph.nodes[index].definition.kinds
    kind = kinds[number] if number < len(kinds) else None
    if kind is None or kind.strides is None or kind.sizes is None:
        return [None]
    shape = call.shape(0)
    stride = kind.strides[call.axis(call.number("dim"), len(kind.strides))]
    # Strides follow from sizes, so they only hold for the recorded sizes.
    return [_array(stride) if stride is not None and shape == kind.sizes else None]


_OF_SHAPE = Op(None, scalar, _size_value, values_need_shapes=True)
register("sym_size size", _OF_SHAPE)
register("sym_numel numel", _OF_SHAPE._replace(values=_numel_value))
register("sym_stride", _OF_SHAPE._replace(values=_stride_value))
register("sym_storage_offset", Op(None, scalar))
register("sym_is_contiguous", Op(None, scalar))

# --- Arithmetic of numbers -----------------------------------------------------------


def _numbers(call: Call) -> list[Any] | None:
    """Returns the operands of an op on numbers; None if one is not known."""
    found = []
    for argument in call.node.definition.arguments.values():
        parts = argument if isinstance(argument, list) else [argument]
        for part in parts:
            if not isinstance(part, Read):
                found.append(part)
                continue
            value = call.value(part.number)
            if value is None or value.size != 1:
                return None
            found.append(exact(value.ravel().tolist()[0]))
    return found


def _calculated(function: Callable[..., Any]) -> Callable[[Call], Sequence[Value]]:
    """Returns a function for `Op.values` that computes a number.

    ``function`` gets the call and the operands. It raises a TypeError if the result
    depends on unknown sizes.
    """

    def values(call: Call) -> Sequence[Value]:
        numbers = _numbers(call)
        if numbers is None:
            return [None]
        try:
            return [_array(function(call, *numbers))]
        except (ArithmeticError, TypeError, ValueError):
            return [None]

    return values


def _is_less(call: Call, one: Any, two: Any, or_equal: bool) -> bool:
    """Returns whether a number is smaller than another one.

    If this depends on unknown sizes, the result may hold only for large ones, which
    `Call.exceeds` records.
    """
    ahead = two - one
    if not isinstance(ahead, Symbolic):
        return bool(ahead >= 0 if or_equal else ahead > 0)
    limits, least = bounds(ahead), 0 if or_equal else 1
    if limits is not None:
        if limits[0] >= least:
            return True
        if limits[1] < least:
            return False
        raise TypeError("depends on a size")
    low = smaller(0, ahead)
    if low is None:
        raise TypeError("depends on a size")
    room = ahead if low == 0 else -1 * ahead
    if isinstance(room, Symbolic):
        call.exceeds(room, 0)
    return low == 0


def _is_equal(call: Call, one: Any, two: Any) -> bool:
    if not isinstance(one, (Symbolic, int, float)) or not isinstance(
        two, (Symbolic, int, float)
    ):
        return bool(one == two)
    ahead = two - one
    if not isinstance(ahead, Symbolic):
        return bool(ahead == 0)
    if _is_less(call, two, one, or_equal=False):
        return False
    if _is_less(call, one, two, or_equal=False):
        return False
    raise TypeError("depends on a size")


def _larger(call: Call, *numbers: Any) -> Any:
    found = numbers[0]
    for number in numbers[1:]:
        found = number if _is_less(call, found, number, or_equal=True) else found
    return found


def _smaller(call: Call, *numbers: Any) -> Any:
    found = numbers[0]
    for number in numbers[1:]:
        found = found if _is_less(call, found, number, or_equal=True) else number
    return found


def _truncated(call: Call, number: Any) -> Any:
    value = np.array(number, dtype=object)
    return rounded_towards_zero(call, value).ravel().tolist()[0]


def _root(call: Call, number: Any) -> Any:
    if isinstance(number, Symbolic):
        raise TypeError("depends on a size")
    return math.sqrt(number)


def _power(call: Call, one: Any, two: Any) -> Any:
    if isinstance(one, Symbolic) and isinstance(two, int) and two >= 0:
        return product([one] * two)
    if isinstance(one, Symbolic) or isinstance(two, Symbolic):
        raise TypeError("depends on a size")
    return one**two


def _known_bits(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a function of numbers that must be known."""

    def computed(call: Call, *numbers: Any) -> Any:
        if any(isinstance(number, Symbolic) for number in numbers):
            raise TypeError("depends on a size")
        return function(*numbers)

    return computed


_NUMBERS: dict[str, Callable[..., Any]] = {
    "operator.add": lambda call, one, two: one + two,
    "operator.sub": lambda call, one, two: one - two,
    "operator.mul": lambda call, one, two: one * two,
    "operator.floordiv": lambda call, one, two: one // two,
    "operator.truediv": lambda call, one, two: one / two,
    "operator.mod": lambda call, one, two: one % two,
    "operator.pow": _power,
    "operator.neg": lambda call, one: -one,
    "operator.pos": lambda call, one: one,
    "operator.abs": lambda call, one: _larger(call, one, -one),
    "operator.eq": _is_equal,
    "operator.ne": lambda call, one, two: not _is_equal(call, one, two),
    "operator.lt": lambda call, one, two: _is_less(call, one, two, or_equal=False),
    "operator.le": lambda call, one, two: _is_less(call, one, two, or_equal=True),
    "operator.gt": lambda call, one, two: _is_less(call, two, one, or_equal=False),
    "operator.ge": lambda call, one, two: _is_less(call, two, one, or_equal=True),
    "operator.and_": _known_bits(lambda one, two: one & two),
    "operator.or_": _known_bits(lambda one, two: one | two),
    "operator.xor": _known_bits(lambda one, two: one ^ two),
    "operator.not_": _known_bits(lambda one: not one),
    "operator.lshift": _known_bits(lambda one, two: one << two),
    "operator.rshift": _known_bits(lambda one, two: one >> two),
    "operator.index": lambda call, one: one,
    "math.floor": lambda call, one: rounded_down(one),
    "math.ceil": lambda call, one: rounded_up(one),
    "math.trunc": _truncated,
    "math.sqrt": _root,
    "math.pow": _power,
    "builtins.round": _known_bits(round),
    "builtins.abs": lambda call, one: _larger(call, one, -one),
    "builtins.max": _larger,
    "builtins.min": _smaller,
    "torch.sym_max": _larger,
    "torch.sym_min": _smaller,
    "torch.sym_float": lambda call, one: one,
    "torch.sym_int": _truncated,
    "torch.sym_not": _known_bits(lambda one: not one),
    "torch.sym_ite": lambda call, test, one, two: one if test else two,
    "torch.sym_sum": lambda call, *numbers: sum(numbers),
    "torch._sym_sqrt": _root,
}
for _name in ("sin", "cos", "tan", "exp", "log", "log2"):
    _function = getattr(math, _name)
    _NUMBERS[f"math.{_name}"] = _NUMBERS[f"torch._sym_{_name}"] = _known_bits(_function)


def _of_numbers(call: Call, output: int) -> Relations:
    return [Relation(())] * len(call)


for _name, _calculation in _NUMBERS.items():
    register(_name, Op(_of_numbers, scalar, _calculated(_calculation)))


def _item(call: Call, output: int) -> Relations:
    return [call.all_of(0)]


def _item_value(call: Call) -> Sequence[Value]:
    value = call.value(0)
    return [None if value is None or value.size != 1 else value.reshape(())]


register("item _local_scalar_dense is_nonzero", Op(_item, scalar, _item_value))
