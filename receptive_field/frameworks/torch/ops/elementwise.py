"""Rules for ops that compute each position on its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from receptive_field.algebra.axis_map import IDENTITY
from receptive_field.algebra.sizes import divide
from receptive_field.arrays import np
from receptive_field.frameworks.torch.ops.operands import (
    data_type,
    filled,
    in_data_type,
    kept,
    none,
    operand,
    operands,
    related,
    shape_of,
)
from receptive_field.frameworks.torch.ops.registry import (
    count,
    place,
    register,
    treat_zeros,
    weigh,
)
from receptive_field.relations.relation import (
    ALL,
    FULL,
    SAME,
    Relation,
    follow,
    local,
    moved,
)
from receptive_field.rules.elementwise import (
    ELEMENTWISE,
    FIRST,
    broadcast,
    broadcast_relation,
    broadcast_shapes,
    computed,
    equal,
    extreme,
    first_follows,
    rounded_towards_zero,
    rounding,
)
from receptive_field.rules.flops import per_input, per_output
from receptive_field.rules.masks import ADDED, MULTIPLIED, SUBTRACTED, selected
from receptive_field.rules.op import (
    Call,
    Op,
    Relations,
    Shape,
    Taps,
    Value,
    Zeros,
    first_shape,
)

# --- One tensor ----------------------------------------------------------------------

ACTIVATION = Op(first_follows, first_shape, taps=Taps.ACTIVATION)
"""The rules of an elementwise op with one tensor and numbers."""

register(
    "abs absolute acos acosh alpha_dropout angle asin asinh atan atanh bitwise_not "
    "ceil celu conj _conj _conj_physical conj_physical cos cosh deg2rad digamma "
    "dropout elu erf erfc erfinv exp exp2 expm1 feature_alpha_dropout feature_dropout "
    "fix floor frac gelu hardshrink hardsigmoid hardswish hardtanh i0 isfinite isinf "
    "isnan isneginf isposinf leaky_relu lgamma log log10 log1p log2 log_sigmoid "
    "logical_not logit mish mvlgamma nan_to_num neg negative polygamma positive "
    "rad2deg reciprocal relu relu6 resolve_conj resolve_neg round rrelu rsqrt selu "
    "sgn sigmoid sign signbit silu sin sinc sinh softplus softshrink special_airy_ai "
    "special_bessel_j0 special_bessel_j1 special_bessel_y0 special_bessel_y1 "
    "special_digamma special_entr special_erf special_erfc special_erfcx "
    "special_erfinv special_exp2 special_expit special_expm1 special_gammaln "
    "special_i0 special_i0e special_i1 special_i1e special_log1p special_log_ndtr "
    "special_logit special_modified_bessel_i0 special_modified_bessel_i1 "
    "special_modified_bessel_k0 special_modified_bessel_k1 special_multigammaln "
    "special_ndtr special_ndtri special_polygamma special_psi special_round "
    "special_scaled_modified_bessel_k0 special_scaled_modified_bessel_k1 "
    "special_sinc special_spherical_bessel_j0 sqrt square tan tanh threshold trunc",
    ACTIVATION,
)


def _log_sigmoid_shapes(call: Call) -> Sequence[Shape]:
    return [call.shape(0)] * 2


register("log_sigmoid_forward", ACTIVATION._replace(shapes=_log_sigmoid_shapes))

_UNARY: dict[str, str | Callable[..., Any]] = {
    "abs": "abs",
    "absolute": "abs",
    "bitwise_not": "invert",
    "ceil": rounding(-1),
    "cos": "cos",
    "exp": "exp",
    "floor": rounding(1),
    "log": "log",
    "logical_not": "logical_not",
    "neg": "negative",
    "negative": "negative",
    "positive": "positive",
    "reciprocal": "reciprocal",
    "relu": lambda x: np.maximum(x, 0),
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "sign": "sign",
    "sin": "sin",
    "sqrt": "sqrt",
    "square": lambda x: x * x,
    "tanh": "tanh",
}
for _name, _function in _UNARY.items():
    _values = computed(_function, operands("self"))
    register(_name, ACTIVATION._replace(values=in_data_type(_values)))


def _rounded(call: Call) -> Sequence[Value]:
    decimals = call.number("decimals", 0)
    return computed(lambda x: np.round(x, decimals), operands("self"))(call)


def _truncated(call: Call) -> Sequence[Value]:
    def truncated(value: Any) -> Any:
        if value.dtype == object:
            return rounded_towards_zero(call, value)
        return np.trunc(value).astype(value.dtype)

    return computed(truncated, operands("self"))(call)


register("round", ACTIVATION._replace(values=_rounded))
register("fix trunc", ACTIVATION._replace(values=_truncated))

# --- Copies --------------------------------------------------------------------------


def _first(call: Call) -> Sequence[Value]:
    return [call.value(0)]


COPY = FIRST._replace(values=_first)
"""The rules of an op that passes on its first input."""

register(
    "alias alias_copy clone contiguous detach detach_copy lift lift_fresh "
    "lift_fresh_copy pin_memory",
    COPY,
)


def _cast(call: Call) -> Sequence[Value]:
    """Returns a cast value. Fractions that become integers are rounded towards zero."""
    value, dtype = call.value(0), data_type(call)
    if value is None:
        return [None]
    if value.dtype == object:
        if dtype.startswith(("int", "uint")):
            return computed(lambda x: rounded_towards_zero(call, x), operands("self"))(
                call
            )
        return [value if dtype.startswith("float") else None]
    if value.dtype.kind == "f" and not np.isfinite(value).all() and "int" in dtype:
        return [None]
    return [kept(value, dtype)]


def _converted(call: Call, output: int) -> Relations:
    # Another tensor only says which data type the result has.
    return related(call, {"self": SAME}, rest=None)


CAST = COPY._replace(relations=_converted, values=_cast)
register("to _to_copy type_as", CAST)


def _copied(call: Call, output: int) -> Relations:
    below = broadcast_relation(shape_of(call, "src"), call.shape(0))
    return related(call, {"self": None, "src": below}, rest=None)


def _copied_value(call: Call) -> Sequence[Value]:
    return filled(call, operand(call, "src"))


register("copy", COPY._replace(relations=_copied, values=_copied_value))


def _expanded(call: Call) -> Sequence[Shape]:
    return [call.shape(0), call.shape(0)]


def _dropped(call: Call, output: int) -> Relations:
    # The mask does not depend on the values.
    return none(call, output) if output else first_follows(call, output)


register("native_dropout", FIRST._replace(relations=_dropped, shapes=_expanded))
register("_fused_dropout", FIRST._replace(relations=_dropped, shapes=_expanded))
register("bernoulli poisson", ELEMENTWISE._replace(is_random=True, taps=Taps.COPY))

# --- Several tensors that broadcast --------------------------------------------------

register(
    "add addcdiv addcmul arctan2 atan2 bitwise_and bitwise_left_shift bitwise_or "
    "bitwise_right_shift bitwise_xor clamp clamp_max clamp_min clip complex copysign "
    "div divide eq float_power floor_divide fmax fmin fmod gcd ge greater "
    "greater_equal gt heaviside hypot isclose lcm ldexp le lerp less less_equal "
    "logaddexp logaddexp2 logical_and logical_or logical_xor lt maximum minimum mul "
    "multiply ne nextafter not_equal polar pow remainder rsub special_gammainc "
    "special_gammaincc special_xlog1py special_xlogy special_zeta sub subtract "
    "true_divide xlogy __and__ __or__ __xor__ __lshift__ __rshift__",
    ELEMENTWISE,
)


def _not_equal(one: Any, two: Any) -> Any:
    return ~np.asarray(equal(one, two), dtype=bool)


def _added(one: Any, two: Any, alpha: Any) -> Any:
    if one.dtype.kind == two.dtype.kind == "b":
        return one | two
    return one + alpha * two


_ARITHMETIC: dict[str, Callable[..., Any]] = {
    "add": _added,
    "sub": lambda one, two, alpha: one - alpha * two,
    "subtract": lambda one, two, alpha: one - alpha * two,
    "rsub": lambda one, two, alpha: two - alpha * one,
}
for _name, _function in _ARITHMETIC.items():
    _values = computed(
        _function, operands("self", "other", "alpha", alike=True, alpha=1)
    )
    _rules = ADDED if _name == "add" else SUBTRACTED
    register(_name, _rules._replace(values=in_data_type(_values)))

_PRODUCTS: dict[str, str | Callable[..., Any]] = {
    "mul": "multiply",
    "multiply": "multiply",
    "bitwise_and": "bitwise_and",
    "bitwise_or": "bitwise_or",
    "bitwise_xor": "bitwise_xor",
    "__and__": "bitwise_and",
    "__or__": "bitwise_or",
    "__xor__": "bitwise_xor",
    "remainder": "mod",
    "fmod": "fmod",
}
for _name, _function in _PRODUCTS.items():
    _values = computed(_function, operands("self", "other", alike=True))
    _rules = MULTIPLIED if _function == "multiply" else ELEMENTWISE
    register(_name, _rules._replace(values=in_data_type(_values)))

_COMPARISONS: dict[str, str | Callable[..., Any]] = {
    "eq": equal,
    "ne": _not_equal,
    "not_equal": _not_equal,
    "ge": "greater_equal",
    "greater_equal": "greater_equal",
    "gt": "greater",
    "greater": "greater",
    "le": "less_equal",
    "less_equal": "less_equal",
    "lt": "less",
    "less": "less",
    "logical_and": "logical_and",
    "logical_or": "logical_or",
    "logical_xor": "logical_xor",
}
for _name, _function in _COMPARISONS.items():
    _values = computed(_function, operands("self", "other"))
    register(_name, ELEMENTWISE._replace(values=_values))


def _powers(call: Call) -> Sequence[Value]:
    values = computed("power", operands("self", "exponent", alike=True))
    return in_data_type(values)(call)


register("pow", ELEMENTWISE._replace(values=_powers))


def _divided(call: Call) -> Sequence[Value]:
    """Returns a quotient, which may be rounded down or towards zero."""
    mode = call.attribute("rounding_mode")
    if call.node.op == "floor_divide":
        mode = "floor"

    def divided(one: Any, two: Any) -> Any:
        if object not in (one.dtype, two.dtype) and mode == "floor":
            return np.floor_divide(one, two)
        found = one / two
        if mode == "floor":
            return rounding(1)(found)
        if mode is None:
            return found
        if found.dtype == object:
            return rounded_towards_zero(call, found)
        return np.trunc(found)

    values = computed(divided, operands("self", "other", alike=True))
    return in_data_type(values)(call)


register("div divide true_divide floor_divide", ELEMENTWISE._replace(values=_divided))
register(
    "maximum fmax", ELEMENTWISE._replace(values=extreme(1, operands("self", "other")))
)
register(
    "minimum fmin", ELEMENTWISE._replace(values=extreme(-1, operands("self", "other")))
)


def _clamped(call: Call) -> Sequence[Value]:
    """Returns a value between limits, either of which may be absent."""
    found = operand(call, "self")
    for name, sign in (("min", 1), ("max", -1)):
        if call.attribute(name) is None or found is None:
            continue
        limit, before = operand(call, name), found
        (found,) = extreme(sign, lambda _, p=before, q=limit: [p, q])(call)  # type: ignore[misc]
    return [found]


register("clamp clip", ELEMENTWISE._replace(values=in_data_type(_clamped)))
register("clamp_min clamp_max", ELEMENTWISE._replace(values=in_data_type(_clamped)))
weigh("clamp clip clamp_min clamp_max", Taps.ACTIVATION)


def _lerped(call: Call) -> Sequence[Value]:
    values = computed(
        lambda one, two, weight: one + weight * (two - one),
        operands("self", "end", "weight", alike=True),
    )
    return in_data_type(values)(call)


register("lerp", ELEMENTWISE._replace(values=_lerped))


# --- Masks ---------------------------------------------------------------------------


def _where(call: Call, output: int) -> Relations:
    condition = _number_of(call, "condition")
    return selected(call, condition, place(call, "self"), place(call, "other"))


def _number_of(call: Call, name: str) -> int:
    number = place(call, name)
    if number is None:
        call.malformed(name, "a tensor")
    return number


def _filled(call: Call, output: int) -> Relations:
    value = place(call, "value")
    return selected(call, _number_of(call, "mask"), value, place(call, "self"))


SELECT = ELEMENTWISE._replace(chooses=True, taps=Taps.CHOICE)
register(
    "where",
    SELECT._replace(
        relations=_where,
        values=in_data_type(computed("where", operands("condition", "self", "other"))),
    ),
)
register(
    "masked_fill",
    SELECT._replace(
        relations=_filled,
        shapes=broadcast_shapes,
        values=in_data_type(computed("where", operands("mask", "value", "self"))),
    ),
)

# --- Parameters of channels, and parts of complex numbers ----------------------------

register("prelu _prelu_kernel", FIRST._replace(taps=Taps.ACTIVATION))


def _noisy(call: Call, output: int) -> Relations:
    # The noise does not depend on the values.
    return none(call, output) if output else first_follows(call, output)


register(
    "rrelu_with_noise rrelu_with_noise_functional",
    ACTIVATION._replace(relations=_noisy, shapes=_expanded),
)


def _glu(call: Call, output: int) -> Relations:
    """Relates each position to itself, and to the one half an axis further."""
    shape = call.known_shape(0)
    axis = call.axis(call.number("dim", -1), len(shape))
    maps = [IDENTITY] * len(shape)
    maps[axis] = IDENTITY | moved(IDENTITY, _half(call, shape[axis]))
    return [local(maps)]


def _half(call: Call, size: Any) -> Any:
    half = divide(size, 2)
    if half is None or (isinstance(size, int) and size % 2):
        call.fail(f"has {size} positions on an axis, which cannot be halved")
    return half


def _glu_shape(call: Call) -> Sequence[Shape]:
    sizes = list(call.known_shape(0))
    axis = call.axis(call.number("dim", -1), len(sizes))
    sizes[axis] = _half(call, sizes[axis])
    return [tuple(sizes)]


register("glu", Op(_glu, _glu_shape))


def _parts(call: Call, output: int) -> Relations:
    """Relates the parts of complex numbers, on a new last axis, to the numbers."""
    return [SAME if (s := call.shape(0)) is None else _all_axes(len(s))]


def _all_axes(rank: int) -> Relation:
    return Relation(tuple(map(follow, range(rank))))


def _parts_shape(call: Call) -> Sequence[Shape]:
    return [(*call.known_shape(0), 2)]


def _numbers(call: Call, output: int) -> Relations:
    """Relates complex numbers to their parts, which lie on the last axis."""
    rank = len(call.known_shape(0))
    return [Relation((*map(follow, range(rank - 1)), FULL))]


def _numbers_shape(call: Call) -> Sequence[Shape]:
    return [call.known_shape(0)[:-1]]


register("view_as_real view_as_real_copy", Op(_parts, _parts_shape, taps=Taps.COPY))
register(
    "view_as_complex view_as_complex_copy",
    Op(_numbers, _numbers_shape, taps=Taps.COPY),
)
register("real imag", FIRST)


def _one_hot(call: Call, output: int) -> Relations:
    return [_all_axes(len(call.known_shape(0)))]


def _one_hot_shape(call: Call) -> Sequence[Shape]:
    shape, classes = call.known_shape(0), call.number("num_classes", -1)
    return [(*shape, call.unknown_size(len(shape)) if classes < 0 else classes)]


register("one_hot", Op(_one_hot, _one_hot_shape))

# --- Places in sorted lists ----------------------------------------------------------


def _sorted_in(call: Call, output: int) -> Relations:
    return related(call, {"self": SAME, "boundaries": ALL})


def _like_self(call: Call) -> Sequence[Shape]:
    return [shape_of(call, "self")]


register("bucketize", Op(_sorted_in, _like_self))


def _searched(call: Call, output: int) -> Relations:
    """Relates places to the values, and to sorted lists on the last axis."""
    shape = shape_of(call, "sorted_sequence")
    lists: Relation | None = None
    if shape is not None and len(shape) > 1:
        lists = Relation((*map(follow, range(len(shape) - 1)), FULL))
    elif shape is not None:
        lists = Relation((FULL,))
    else:
        lists = call.all_of(0, exact=False)
    named = {"self": SAME, "sorted_sequence": lists, "sorter": lists}
    return related(call, named)


register("searchsorted", Op(_searched, _like_self))


def _among(call: Call, output: int) -> Relations:
    elements = place(call, "elements")
    elements = place(call, "element") if elements is None else elements
    return [SAME if number == elements else ALL for number in range(len(call))]


def _like_elements(call: Call) -> Sequence[Shape]:
    return [shape_of(call, "elements")]


register("isin", Op(_among, _like_elements))

# --- Losses --------------------------------------------------------------------------


def _is_reduced(call: Call) -> bool:
    return call.number("reduction", 1) != 0


def _loss(call: Call, output: int) -> Relations:
    if _is_reduced(call):
        return [call.all_of(number) for number in range(len(call))]
    shapes = [call.shape(number) for number in range(len(call))]
    whole = broadcast(call, *shapes)
    return [broadcast_relation(shape, whole) for shape in shapes]


def _loss_shape(call: Call) -> Sequence[Shape]:
    if _is_reduced(call):
        return [()]
    return [broadcast(call, *[call.shape(number) for number in range(len(call))])]


register(
    "binary_cross_entropy binary_cross_entropy_with_logits "
    "hinge_embedding_loss huber_loss kl_div l1_loss margin_ranking_loss mse_loss "
    "poisson_nll_loss smooth_l1_loss soft_margin_loss",
    Op(_loss, _loss_shape),
)


def _scored(call: Call, output: int) -> Relations:
    """Relates a loss to the scores of all classes, which lie on the second axis."""
    if output or _is_reduced(call):
        return [call.all_of(number) for number in range(len(call))]
    rank, labels = len(call.known_shape(0)), shape_of(call, "target")
    places = [follow(axis) for axis in range(rank - 1)]
    scores = Relation((*places[:1], FULL, *places[1:]) if rank > 1 else (FULL,))
    by_class = labels is not None and len(labels) == rank
    target = scores if by_class else Relation(tuple(places))
    return related(call, {"self": scores, "target": target})


def _scored_shape(call: Call) -> Sequence[Shape]:
    if _is_reduced(call):
        return [(), ()]
    shape = call.known_shape(0)
    return [(*shape[:1], *shape[2:]) if len(shape) > 1 else (), ()]


register(
    "cross_entropy_loss nll_loss nll_loss_nd nll_loss2d", Op(_scored, _scored_shape)
)
register("nll_loss_forward nll_loss2d_forward", Op(_scored, _scored_shape))

# --- Quantised values ----------------------------------------------------------------


def _requantised_shapes(call: Call) -> Sequence[Shape]:
    return [call.shape(0)] * 2


register(
    "fake_quantize_per_tensor_affine fake_quantize_per_channel_affine "
    "quantize_per_tensor quantize_per_channel dequantize "
    "quantized_decomposed.quantize_per_tensor "
    "quantized_decomposed.dequantize_per_tensor "
    "quantized_decomposed.quantize_per_channel "
    "quantized_decomposed.dequantize_per_channel int_repr",
    FIRST,
)
register(
    "fake_quantize_per_tensor_affine_cachemask "
    "fake_quantize_per_channel_affine_cachemask "
    "_fake_quantize_per_tensor_affine_cachemask_tensor_qparams",
    FIRST._replace(shapes=_requantised_shapes),
)

# --- Weights of positions, zeros and operations --------------------------------------

weigh("add lerp", Taps.COPY)
weigh("sub subtract", Taps.COPY, signs=(1, -1))
weigh("rsub", Taps.COPY, signs=(-1, 1))
weigh("neg negative", Taps.COPY, signs=(-1,))
treat_zeros(
    "abs absolute alias asin asinh atan ceil celu clone contiguous copy "
    "detach dropout elu erf expm1 feature_dropout floor gelu hardshrink hardswish "
    "leaky_relu lift_fresh_copy log1p mish neg negative prelu _prelu_kernel "
    "relu relu6 round rrelu selu sgn sign silu sin sinh softshrink sqrt square tan "
    "tanh to _to_copy trunc type_as",
    Zeros.KEPT,
)
treat_zeros(
    "acos alpha_dropout cos cosh exp exp2 feature_alpha_dropout hardsigmoid "
    "log_sigmoid logical_not sigmoid softplus",
    Zeros.FILLED,
)


def _sum_of_zeros(call: Call) -> Zeros:
    """Returns how an op that adds treats zeros: a number that is added fills them."""
    return Zeros.SUM if place(call, "other") is not None else Zeros.FILLED


def _limited_zeros(call: Call) -> Zeros:
    limits = call.attribute("min_val", -1), call.attribute("max_val", 1)
    return Zeros.KEPT if limits[0] <= 0 <= limits[1] else Zeros.FILLED


treat_zeros("add rsub sub subtract", _sum_of_zeros)
treat_zeros("hardtanh", _limited_zeros)
treat_zeros("bitwise_and logical_and mul multiply", Zeros.KEPT, absorbing=(0, 1))
treat_zeros("div divide true_divide", Zeros.KEPT, absorbing=(0,))
count("log neg reciprocal rsqrt sqrt", per_input(profiled=False))
count(
    "add div eq ge gt le lt maximum minimum mul ne pow rsub sub",
    per_output(profiled=False),
)
