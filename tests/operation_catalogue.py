"""Functions of ``keras.ops``: calls of each with random parameters, or a reason.

Each file of examples has a dict ``EXAMPLES``: the name of a function in ``keras.ops``
-> a function of `Random` that returns an `Example(shape, call, dtype)`, as in
`layer_catalogue`. The shape has no batch axis, and ``call`` makes tensors of a symbolic
tensor. ``REASONS`` says of a function why it has no rule: its positions depend on the
data, its outputs have no positions, or it runs a user's code. ``BOUNDS`` says of a
function why its result is an upper bound. `operation_catalogue_nn` has the functions of
the modules nn, image, linalg and math.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import operation_catalogue_nn as others
from layer_catalogue import Example, Make, Random, words
from needed import needed

keras = needed("keras")
ops = keras.ops


def _on(rank: int, call: Callable[[Random, Any], Any], channels: int = 2) -> Make:
    """An example with an input of this many axes besides batch and channels."""
    return lambda random: Example(
        random.shape(rank, channels), _fixed(random, lambda x: call(random, x))
    )


def _fixed(random: Random, call: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A call that draws the same numbers each time."""
    state = random.generator.bit_generator.state

    def fixed(x: Any) -> Any:
        random.generator.bit_generator.state = state
        return call(x)

    return fixed


def _of(name: str, before: Callable[[Any], Any] = lambda x: x, **options: Any) -> Make:
    """An example of a function of one tensor."""
    return _on(2, lambda random, x: getattr(ops, name)(before(x), **options))


def _integers(x: Any) -> Any:
    return ops.cast(x * 1000.0, "int32")


def _unit(x: Any) -> Any:
    return ops.tanh(x) * 0.9


def _positive(x: Any) -> Any:
    return ops.exp(x) + 1.0


def _two(name: str, before: Callable[[Any], Any] = lambda x: x, **options: Any) -> Make:
    """An example of a function of two tensors, a tensor and an array, or a number."""

    def call(random: Random, x: Any) -> Any:
        x, function = before(x), getattr(ops, name)
        array = np.arange(1, x.shape[2] * 2 + 1).reshape(x.shape[2], 2)
        other = random.of(
            ops.flip(x, axis=1),
            -ops.max(x, axis=random.of(1, 2), keepdims=True),
            x[:, :, :1],
            array.astype(x.dtype),
            3,
        )
        if isinstance(other, int) and name not in _WITH_NUMBERS:
            other = ops.flip(x, axis=1)
        pair = (x, other) if random.one(0, 1) else (other, x)
        return function(*pair, **options)

    return _on(2, call)


def _kept(random: Random) -> Any:
    """Axes of which some with positions are left."""
    return random.of(0, 1, 2, -1, -2, (0, -1), (1,), (1, 3))


def _reduced(name: str, before: Callable[[Any], Any] = lambda x: x) -> Make:
    def call(random: Random, x: Any) -> Any:
        axis = _kept(random)
        found = getattr(ops, name)(
            before(x), axis=axis, keepdims=bool(random.one(0, 1))
        )
        return found

    return _on(2, call)


def _place(name: str) -> Make:
    def call(random: Random, x: Any) -> Any:
        axis, keeps = random.of(1, 2, -1), bool(random.one(0, 1))
        return getattr(ops, name)(x, axis=axis, keepdims=keeps)

    return _on(2, call)


def _along(name: str, before: Callable[[Any], Any] = lambda x: x) -> Make:
    def call(random: Random, x: Any) -> Any:
        return getattr(ops, name)(before(x), axis=random.of(None, 1, 2, -1, -2))

    return _on(2, call)


def _small(make: Make, *sizes: int) -> Make:
    """The same example with few positions, for what runs eagerly and slowly."""
    return lambda random: make(random)._replace(shape=(*(sizes or (4, 3)), 2))


def _quantile(name: str, quantiles: tuple[Any, ...]) -> Make:
    def call(random: Random, x: Any) -> Any:
        options: dict[str, Any] = {"axis": _kept(random)}
        options["keepdims"] = bool(random.one(0, 1))
        if not quantiles:
            return getattr(ops, name)(x, **options)
        methods = words("linear lower higher midpoint nearest")
        q = random.of(*quantiles)
        return getattr(ops, name)(x, q, method=random.of(*methods), **options)

    return _on(2, call)


def _split(name: str, axis: int | None = None) -> Make:
    def call(random: Random, x: Any) -> Any:
        if axis is None:
            place: Any = random.of(1, 2, -2)
            options = {"axis": place}
        else:
            place, options = axis, {}
        if axis is None or axis == 2:
            place = axis or place
        size = x.shape[place]
        sections: Any = random.one(2, 3)
        if name != "array_split" and (size % sections or random.one(0, 1)):
            first = random.one(1, 3)
            sections = random.of([first], [first, first + 2])
        parts = getattr(ops, name)(x, sections, **options)
        return parts[random.one(0, len(parts) - 1)]

    return _on(2, call)


def _joined(name: str, *axes: int) -> Make:
    def call(random: Random, x: Any) -> Any:
        options = {"axis": random.of(*axes)} if axes else {}
        others = [x, ops.flip(x, axis=1), np.ones(x.shape, "float32")]
        parts = [others[random.one(0, 2)] for _ in range(random.one(1, 3))]
        return getattr(ops, name)([x, *parts], **options)

    return _on(2, call)


def _vector(call: Callable[[Random, Any], Any]) -> Make:
    """An example with a tensor that has one axis."""
    return _on(1, lambda random, x: call(random, x[0, :, 0]))


def _matrix(call: Callable[[Random, Any], Any]) -> Make:
    """An example with a tensor that has two axes."""
    return _on(2, lambda random, x: call(random, x[0, :, :, 0]))


def _array(random: Random, *shape: int) -> Any:
    return random.generator.normal(size=shape).astype("float32")


def _item(random: Random, x: Any) -> Any:
    one, two = random.one(0, 2), random.one(3, 5)
    return x[
        random.of(
            (slice(None), slice(one, two)),
            (slice(None), slice(None, None, random.one(2, 3)), random.one(-2, 2)),
            (slice(None), slice(None, None, -1)),
            (slice(None), slice(two, one, -random.one(1, 2)), slice(one, -1)),
            (..., slice(1, None, 2), slice(None)),
            (slice(None), None, slice(-two, None)),
            (0, ..., 0),
            (..., None),
            (slice(None), -1),
            (slice(None), slice(None), slice(-one - 2, -1), -1),
            0,
        )
    ]


def _pad(random: Random, x: Any) -> Any:
    mode = random.of("constant", "reflect", "symmetric")
    pairs = ((0, 0), *random.pairs(2), (0, 0))
    if mode == "constant":
        options = random.of({}, {"constant_values": 1.0})
        return ops.pad(x, pairs, **options)
    return ops.pad(x, pairs, mode=mode)


def _take(random: Random, x: Any) -> Any:
    axis = random.of(1, 2)
    indices = random.of(2, -1, [0, 3, 1], [[1, 2], [-1, 0]], list(range(4))[::-1])
    return ops.take(x, np.array(indices), axis=axis)


def _take_along_axis(random: Random, x: Any) -> Any:
    axis = random.of(1, 2)
    shape = list(x.shape)
    shape[axis] = random.one(1, 4)
    shape[3 - axis] = random.of(1, shape[3 - axis])
    indices = random.generator.integers(-2, 4, shape)
    return ops.take_along_axis(x, indices, axis=axis)


def _where(random: Random, x: Any) -> Any:
    rows = np.arange(x.shape[1])[:, None, None] > random.one(0, 4)
    columns = np.arange(x.shape[2])[:, None] % 2
    condition = random.of(x > 0, rows, columns)
    return ops.where(condition, x, random.of(0.0, 1, ops.flip(x, axis=1)))


def _einsum(random: Random, x: Any) -> Any:
    height, width = x.shape[1:3]
    y = ops.flip(x, axis=1)
    equation, *others = random.of(
        ("bhwc,cd->bhwd", _array(random, 2, 3)),
        ("bhwc,wd->bhcd", _array(random, width, 3)),
        ("bhwc,bhwc->bhw", y),
        ("bhwc,bkwc->bhk", y),
        ("bhwc->bwhc",),
        ("bhwc->bhc",),
        ("...c,cd->...d", _array(random, 2, 3)),
        ("bhwc,hk->bkwc", _array(random, height, 4)),
        ("abcd,abed->abce", y),
        ("abcd,acbe->adbe", ops.transpose(y, (0, 2, 1, 3))),
        ("abcd,cde->abe", _array(random, width, 2, 3)),
    )
    return ops.einsum(equation, x, *others)


def _matmul(random: Random, x: Any) -> Any:
    rows = ops.transpose(ops.flip(x, axis=1), (0, 1, 3, 2))
    return random.of(
        lambda: x @ _array(random, 2, 3),
        lambda: ops.matmul(x, _array(random, 2)),
        lambda: x @ rows,
        lambda: ops.matmul(_array(random, x.shape[2]), x),
        lambda: ops.matmul(_array(random, 3, x.shape[2]), x),
        lambda: x[0, :, :, 0] @ _array(random, x.shape[2], 3),
        lambda: x[0, :, :, 0] @ ops.transpose(x[0, :, :, 1]),
    )()


def _dot(random: Random, x: Any) -> Any:
    return random.of(
        lambda: ops.dot(x, _array(random, 2, 3)),
        lambda: ops.dot(x, _array(random, 2)),
        lambda: ops.dot(_array(random, 3, x.shape[2]), x),
        lambda: ops.dot(x, 2.0 * np.ones((), "float32")),
    )()


def _tensordot(random: Random, x: Any) -> Any:
    axes, *shape = random.of(
        (1, 2, 3),
        (2, x.shape[2], 2, 3),
        ([[1], [0]], x.shape[1], 3),
        ([[2, 3], [1, 0]], 2, x.shape[2]),
        ([[-1], [1]], 3, 2),
    )
    return ops.tensordot(x, _array(random, *shape), axes=axes)


def _cross(random: Random, x: Any) -> Any:
    other = ops.roll(ops.flip(x, axis=1), 1, axis=-1)
    return random.of(
        lambda: ops.cross(x, other),
        lambda: ops.cross(x, _array(random, 3)),
        lambda: ops.cross(x[..., :2], other[..., :2]),
        lambda: ops.cross(x[..., :2], other),
        lambda: ops.cross(x[:, :3], other[:, :3], axis=1),
    )()


def _kron(random: Random, x: Any) -> Any:
    ones = np.ones((random.one(1, 2), random.one(1, 3), 1), "float32")
    return ops.kron(*random.of((x, ones), (ones, x)))


def _average(random: Random, x: Any) -> Any:
    axis = random.of(1, 2)
    weights = random.of(
        None, _array(random, x.shape[axis]), np.ones(x.shape, "float32"), x * x
    )
    return ops.average(x, axis=axis, weights=weights)


def _trapezoid(random: Random, x: Any) -> Any:
    axis = random.of(-1, 1, 2)
    points = None if axis != -1 else random.of(None, np.array([1.0, 3.0], "float32"))
    return ops.trapezoid(x, x=points, dx=2.0, axis=axis)


def _roll(random: Random, x: Any) -> Any:
    shift = random.one(-3, 3)
    axis: Any = random.of(1, 2, (1, 2), None)
    if isinstance(axis, tuple):
        shift = (shift, random.one(-3, 3))
    return ops.roll(x, shift, axis=axis)


def _repeat(random: Random, x: Any) -> Any:
    axis = random.of(1, 2, -2)
    counts = random.generator.integers(0, 3, x.shape[axis])
    return ops.repeat(x, random.of(2, 3, counts), axis=axis)


def _tile(random: Random, x: Any) -> Any:
    return ops.tile(x, random.of((1, 2, 1, 1), (1, 1, 3, 2), (2, 1), 2, (1,) * 5))


def _reshape(random: Random, x: Any) -> Any:
    height, width, count = x.shape[1:]
    shape = random.of(
        (-1, height * width, count),
        (1, height, width * count),
        (-1, height, width, 1, count),
        (1, width, height, count),
        (-1, count),
    )
    return ops.reshape(x, shape)


def _rearrange(random: Random, x: Any) -> Any:
    pattern, lengths = random.of(
        ("b h w c -> b w c h", {}),
        ("b h w c -> b (w h) c", {}),
        ("b h w c -> b h (w c)", {}),
        ("b h w (one two) -> (b two) h w one", {"one": 2}),
        ("b (h two) w c -> b h w (two c)", {"two": 2}),
        ("b (h two) w c -> b two w h c", {"two": 2}),
        ("b (two h) w c -> b h (w two) c", {"two": 2}),
    )
    return ops.rearrange(ops.repeat(x, 2, axis=1), pattern, **lengths)


def _meshgrid(random: Random, x: Any) -> Any:
    other = random.of(np.arange(3.0, dtype="float32"), ops.flip(x))
    grids = ops.meshgrid(x, other, indexing=random.of("xy", "ij"))
    return grids[random.one(0, 1)] if not isinstance(other, np.ndarray) else grids[0]


def _rot90(random: Random, x: Any) -> Any:
    axes = random.of((1, 2), (2, 1), (-2, 1), (2, 3))
    return ops.rot90(x, k=random.one(-1, 4), axes=axes)


def _diagonal(random: Random, x: Any) -> Any:
    axes = random.of((1, 2), (2, 1), (-2, -1), (2, 3))
    offset = random.one(-1, 1)
    return ops.diagonal(x, offset=offset, axis1=axes[0], axis2=axes[1])


def _between(name: str, *axes: int) -> Make:
    def call(random: Random, x: Any) -> Any:
        end = random.of(ops.flip(x, axis=1), 5.0 * np.ones(x.shape, "float32"))
        return getattr(ops, name)(
            x,
            end,
            num=random.one(1, 4),
            endpoint=bool(random.one(0, 1)),
            axis=random.of(*axes),
        )

    return _on(2, call)


def _correlate(random: Random, x: Any) -> Any:
    kernel = _array(random, random.one(1, 4))
    return ops.correlate(x, kernel, mode=random.of("valid", "same", "full"))


def _slice_update(random: Random, x: Any) -> Any:
    start = (0, random.one(0, 2), random.one(0, 2), 0)
    update = random.of(
        _array(random, 1, 3, 3, 2), ops.flip(x, axis=1)[:, :3, 1:4], x[:, :2, :3]
    )
    return ops.slice_update(x, start, update)


def _scatter_update(random: Random, x: Any) -> Any:
    update = random.of(_array(random, 2, 2), x[0, 1:3, 1])
    indices = np.array([[0, 1, 2], [0, random.one(0, 3), 3]])
    reduction = random.of(None, "add", "max", "min", "mul")
    return ops.scatter_update(x, indices, update, reduction=reduction)


def _clip(random: Random, x: Any) -> Any:
    return ops.clip(x, -100.0, random.of(100.0, np.array([10.0, 20.0], "float32")))


def _select(random: Random, x: Any) -> Any:
    rows = np.broadcast_to(np.arange(x.shape[1])[:, None, None] > 2, x.shape)
    other = ops.flip(x, axis=1)
    return ops.select([random.of(x > 1.0, rows), x > 0.0], [x, other], default=0.0)


def _view(random: Random, x: Any) -> Any:
    return ops.view(x, dtype=random.of("int32", "int16", "uint8", "float64"))


_WITH_NUMBERS = words(
    "add divide divide_no_nan floor_divide maximum minimum multiply power subtract "
    "true_divide"
)
_BINARY = words(
    "add arctan2 divide divide_no_nan equal floor_divide fmax fmin greater "
    "greater_equal heaviside hypot isclose less less_equal logaddexp logaddexp2 "
    "logical_and logical_or maximum minimum mod multiply nextafter "
    "not_equal power subtract true_divide fmod"
)
_INTEGER = words(
    "bitwise_and bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor gcd lcm "
    "left_shift right_shift"
)
_UNARY = words(
    "abs absolute angle arcsinh arctan array cbrt ceil conj conjugate "
    "convert_to_tensor copy cos cosh deg2rad exp exp2 expm1 fabs floor i0 isfinite "
    "isinf isnan isneginf isposinf nan_to_num negative rad2deg ravel real reciprocal "
    "round sign signbit sin sinc sinh square stop_gradient tan tanh trunc"
)
_BOUNDED = words("arccos arcsin arctanh")
_ABOVE = words("arccosh log log10 log1p log2 sqrt")
_REDUCED = words(
    "all amax amin any max mean min nanmax nanmean nanmin nanprod nanstd nansum nanvar "
    "prod ptp std sum var"
)

EXAMPLES: dict[str, Make] = {
    **others.EXAMPLES,
    **{name: _two(name) for name in _BINARY},
    **{name: _two(name, _integers) for name in _INTEGER},
    **{name: _of(name) for name in _UNARY},
    **{name: _of(name, _unit) for name in _BOUNDED},
    **{name: _of(name, _positive) for name in _ABOVE},
    **{name: _reduced(name) for name in _REDUCED},
    **{name: _of(name, _integers) for name in ("bitwise_invert", "bitwise_not")},
    **{name: _place(name) for name in words("argmax argmin nanargmax nanargmin")},
    **{
        name: _along(name)
        for name in words("argsort cumprod cumsum flip nancumprod nancumsum sort")
    },
    "allclose": _on(2, lambda random, x: x + ops.cast(ops.allclose(x, x), x.dtype)),
    "append": _on(2, lambda random, x: ops.append(x, x * 2.0, axis=random.of(1, 2))),
    "argpartition": _matrix(
        lambda random, x: ops.argpartition(ops.ravel(x), random.one(0, 3))
    ),
    "array_split": _split("array_split"),
    "average": _on(2, _average),
    "broadcast_to": _on(
        2, lambda random, x: ops.broadcast_to(x, (random.one(1, 2), *x.shape[1:]))
    ),
    "cast": _of("cast", lambda x: x * 1000.0, dtype="int32"),
    "clip": _on(2, _clip),
    "concatenate": _joined("concatenate", 1, 2, -1),
    "corrcoef": _matrix(lambda random, x: ops.corrcoef(x)),
    "correlate": _vector(_correlate),
    "count_nonzero": _on(2, lambda random, x: ops.count_nonzero(x, axis=_kept(random))),
    "cross": _on(2, _cross, channels=3),
    "diag": _on(
        2,
        lambda random, x: ops.diag(
            random.of(x[0, :, :, 0], x[0, :, 0, 0]), k=random.one(-1, 1)
        ),
    ),
    "diagflat": _matrix(lambda random, x: ops.diagflat(x, k=random.one(-1, 1))),
    "diagonal": _on(2, _diagonal),
    "diff": _on(
        2, lambda random, x: ops.diff(x, n=random.one(0, 2), axis=random.of(1, 2, -2))
    ),
    "digitize": _on(2, lambda random, x: ops.digitize(x, np.linspace(-3, 3, 500))),
    "dot": _on(2, _dot),
    "dsplit": _split("dsplit", 2),
    "dstack": _joined("dstack"),
    "einsum": _on(2, _einsum),
    "expand_dims": _on(
        2, lambda random, x: ops.expand_dims(x, random.of(0, 1, -1, (1, 3), (0, -2)))
    ),
    "empty_like": _on(2, lambda random, x: x + ops.empty_like(x)),
    "fliplr": _of("fliplr"),
    "flipud": _of("flipud", lambda x: x[0]),
    "full": _on(1, lambda random, x: ops.full((2, *x.shape), x)),
    "full_like": _on(2, lambda random, x: ops.full_like(x, x[:, :1])),
    "geomspace": _between("geomspace", 0),
    "get_item": _on(2, _item),
    "hsplit": _split("hsplit", 1),
    "hstack": _joined("hstack"),
    "imag": _on(2, lambda random, x: ops.imag(ops.cast(x, "complex64") * 1j) + x * 0.0),
    "inner": _on(2, lambda random, x: ops.inner(x, _array(random, x.shape[2], 2))),
    "isin": _on(2, lambda random, x: ops.isin(x, np.array([1.0, 2.0], "float32"))),
    "isreal": _on(2, lambda random, x: ops.isreal(ops.cast(x, "complex64") * 1j)),
    "kron": _small(_on(2, _kron)),
    "ldexp": _on(2, lambda random, x: ops.ldexp(x, np.array([1, 2]))),
    "linspace": _between("linspace", 0, 1, -1),
    "logical_xor": _two("logical_xor", lambda x: ops.maximum(x, 0.0)),
    "logical_not": _of("logical_not", lambda x: x > 0),
    "logspace": _between("logspace", 0, 1, -1),
    "matmul": _on(2, _matmul),
    "median": _quantile("median", ()),
    "meshgrid": _vector(_meshgrid),
    "moveaxis": _on(
        2,
        lambda random, x: ops.moveaxis(
            x, *random.of((1, 2), (2, 1), (-1, 1), ((1, 2), (2, 1)), ((1, 2), (-1, -2)))
        ),
    ),
    "nanmedian": _small(_quantile("nanmedian", ()), 3, 2),
    "nanpercentile": _small(_quantile("nanpercentile", (50, 20.0)), 3, 2),
    "nanquantile": _small(_quantile("nanquantile", (0.5, 0.2)), 3, 2),
    "ones_like": _on(2, lambda random, x: x + ops.ones_like(x)),
    "outer": _vector(lambda random, x: ops.outer(x, random.of(x, np.ones(3, "f")))),
    "pad": _on(2, _pad),
    "percentile": _quantile("percentile", (50, 20.0, [10, 20, 30])),
    "quantile": _quantile("quantile", (0.5, [0.2, 0.7], [0.1])),
    "repeat": _on(2, _repeat),
    "reshape": _on(2, _reshape),
    "rearrange": _on(2, _rearrange),
    "roll": _on(2, _roll),
    "rot90": _on(2, _rot90),
    "saturate_cast": _of("saturate_cast", lambda x: x * 1000.0, dtype="int16"),
    "scatter": _on(
        1,
        lambda random, x: ops.scatter(np.array([[1], [5], [2]]), x[0, :3], (9, 2)),
    ),
    "scatter_update": _on(2, _scatter_update),
    "searchsorted": _vector(
        lambda random, x: ops.searchsorted(np.linspace(-3, 3, 500, dtype="float32"), x)
    ),
    "select": _on(2, _select),
    "slice": _on(
        2,
        lambda random, x: ops.slice(
            x, (0, random.one(0, 2), random.one(0, 2), 0), (1, 3, random.of(3, 4), 2)
        ),
    ),
    "slice_update": _on(2, _slice_update),
    "slogdet": lambda random: Example(
        (random.one(3, 5), 3, 3), lambda x: ops.slogdet(x)[1]
    ),
    "split": _split("split"),
    "squeeze": _on(
        2,
        lambda random, x: ops.squeeze(
            x[:, :, None, :, :1], random.of(None, 2, (2, -1), -1)
        ),
    ),
    "stack": _joined("stack", 0, 1, -1, 2),
    "swapaxes": _on(
        2, lambda random, x: ops.swapaxes(x, *random.of((1, 2), (-1, 1), (2, 2)))
    ),
    "take": _on(2, _take),
    "take_along_axis": _on(2, _take_along_axis),
    "tensordot": _on(2, _tensordot),
    "tile": _on(2, _tile),
    "trace": lambda random: Example(
        (random.one(3, 5), 3, 3),
        _fixed(random, lambda x: ops.trace(x, random.one(-1, 1), 2, random.of(3, -1))),
    ),
    "transpose": _on(
        2,
        lambda random, x: ops.transpose(
            x, random.of(None, (0, 2, 1, 3), (3, 1, 0, 2), (0, -2, 1, -1))
        ),
    ),
    "trapezoid": _on(2, _trapezoid),
    "tril": _on(2, lambda random, x: ops.tril(x[..., 0], k=random.one(-2, 2))),
    "triu": _on(2, lambda random, x: ops.triu(x[..., 0], k=random.one(-2, 2))),
    "unravel_index": _on(
        2,
        lambda random, x: ops.unravel_index(_integers(x), (7, 5, 90))[random.one(0, 2)],
    ),
    "unstack": _on(2, lambda random, x: ops.unstack(x, axis=random.of(0, 1, -1))[0]),
    "vander": _vector(
        lambda random, x: ops.vander(
            x, N=random.of(None, 3), increasing=bool(random.one(0, 1))
        )
    ),
    "vdot": _on(2, lambda random, x: x * ops.vdot(x, x)),
    "view": _on(2, _view),
    "vsplit": _on(
        2, lambda random, x: ops.vsplit(x[0], [random.one(1, 3)])[random.one(0, 1)]
    ),
    "vstack": _joined("vstack"),
    "where": _on(2, _where),
    "zeros_like": _on(2, lambda random, x: x + ops.zeros_like(x)),
}

_DATA = "the data decide which positions it returns, or how many"
_NOWHERE = "its output has no positions"
_CONSTANT = "it makes a constant"
_CODE = "it runs a function of the user"

REASONS: dict[str, str] = {
    **others.REASONS,
    **dict.fromkeys(words("arange nonzero unique"), _DATA),
    **dict.fromkeys(
        words("bincount histogram ndim size shape dtype is_tensor"), _NOWHERE
    ),
    "convert_to_numpy": _NOWHERE,
    **dict.fromkeys(
        words(
            "bartlett blackman empty eye hamming hanning identity kaiser ones tri zeros"
        ),
        _CONSTANT,
    ),
    **dict.fromkeys(
        words(
            "associative_scan cond custom_gradient fori_loop map scan switch vectorize "
            "vectorized_map while_loop"
        ),
        _CODE,
    ),
}

_FLAT = "if the axes are flattened, it sees parts of a row"
_MATRIX = "elements outside a diagonal are zero"
_INDICES = "the values of the indices are not followed"

BOUNDS: dict[str, str] = {
    **others.BOUNDS,
    **dict.fromkeys(words("cumprod cumsum nancumprod nancumsum"), _FLAT),
    **dict.fromkeys(words("diag diagflat trace tril triu"), _MATRIX),
    **dict.fromkeys(words("scatter scatter_update take_along_axis"), _INDICES),
    **dict.fromkeys(words("reshape roll"), "rows and columns may be mixed"),
    **dict.fromkeys(words("geomspace stack"), "the parts may be joined in the batch"),
    "rot90": "for half a turn, Keras reshapes an image as if it was not turned",
    "slice_update": "an update may replace a part of several axes",
    "trapezoid": "it sees a whole axis, but may skip an end",
}

STATED = words("adaptive_average_pool adaptive_max_pool broadcast_to full")
"""Functions that need to know the sizes of the input, or whose examples state them."""

FAIL_IN_MODELS, REGULAR = others.FAIL_IN_MODELS, others.REGULAR

SLOW = words("nanmedian nanpercentile nanquantile")
"""Functions that only run eagerly, and take long."""

SEE_NAN = words("allclose isfinite isinf isnan isneginf isposinf nan_to_num")
"""Functions that find numbers that are not finite."""


def functions() -> list[str]:
    """The names of all functions in `keras.ops`, and then in its modules."""
    found: dict[Any, str] = {}
    names: list[str] = []
    for place, module in (
        ("", ops),
        ("image.", ops.image),
        ("linalg.", ops.linalg),
        ("nn.", ops.nn),
        ("numpy.", ops.numpy),
    ):
        for name, function in vars(module).items():
            if callable(function) and (not place or function not in found):
                found[function] = place + name
                names.append(place + name)
    return names


def example_of(name: str, seed: int) -> Example:
    """An example of this function with random parameters."""
    keras.backend.clear_session(free_memory=False)
    return EXAMPLES[name](Random(seed))


def model_of(example: Example, sized: bool = True) -> keras.Model:
    """A model that calls the function of an example.

    Unless ``sized``, the sizes of all axes but batch and channels are unknown.
    """
    shape = example.shape
    if not sized:
        shape = (*[None] * (len(shape) - 1), shape[-1])
    x = keras.Input(batch_shape=(1, *shape), dtype=example.dtype)
    return keras.Model(x, example.call(x))
