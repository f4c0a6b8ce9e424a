"""The rules of functions of TensorFlow that models of Keras 2 call.

Keras 2 wraps such a call in a layer: a ``TFOpLambda`` names the function, a
``SlicingOpLambda`` is an index in brackets, and a ``TensorFlowOpLayer`` (until
TensorFlow 2.3) holds the node of the op.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from receptive_field.errors import quoted
from receptive_field.frameworks.keras.calls import NoRuleError, leaves
from receptive_field.frameworks.keras.operations.operand import Operation
from receptive_field.frameworks.keras.writer import KERAS, Writer
from receptive_field.frameworks.tensorflow.functions import flattened
from receptive_field.frameworks.tensorflow.ops import OPS
from receptive_field.graph.graph import Tensor


def _named(text: str) -> dict[str, str]:
    """Returns the ops of functions, written as ``function`` or ``function:op``."""
    pairs = (word.partition(":")[::2] for word in text.split())
    return {
        name: op or "".join(part.title() for part in name.rpartition(".")[2].split("_"))
        for name, op in pairs
    }


UNARY = _named(
    "abs math.abs math.acos math.asin math.atan math.ceil math.cos math.cosh math.erf "
    "math.exp math.expm1 math.floor math.log math.log1p:Log1p math.negative:Neg "
    "math.round math.reciprocal math.rsqrt math.sigmoid math.sign math.sin math.sinh "
    "math.softplus math.sqrt math.square math.tan math.tanh nn.elu nn.relu nn.relu6 "
    "nn.selu nn.sigmoid nn.softplus nn.softsign nn.tanh identity stop_gradient "
    "zeros_like ones_like math.logical_not __operators__.neg math.is_nan:IsNan "
    "math.is_finite:IsFinite"
)

BINARY = _named(
    "__operators__.add:AddV2 math.add:AddV2 math.subtract:Sub math.multiply:Mul "
    "math.truediv:RealDiv math.divide:RealDiv math.divide_no_nan:DivNoNan "
    "math.floordiv:FloorDiv floor_div:FloorDiv math.floormod:FloorMod "
    "math.mod:FloorMod math.pow:Pow math.maximum math.minimum math.squared_difference "
    "math.atan2 math.equal math.not_equal math.greater math.greater_equal math.less "
    "math.less_equal math.logical_and math.logical_or "
    "__operators__.logical_and:LogicalAnd __operators__.logical_or:LogicalOr "
    "__operators__.eq:Equal __operators__.ne:NotEqual"
)

REDUCTIONS = _named(
    "math.reduce_mean:Mean math.reduce_sum:Sum math.reduce_max:Max "
    "math.reduce_min:Min math.reduce_prod:Prod math.reduce_all:All "
    "math.reduce_any:Any"
)


def _unary(op: str) -> Operation:
    def rule(w: Writer, *given: Any, **named: Any) -> Tensor:
        (x,) = [*given, *(part for key, part in named.items() if key != "dtype")]
        return w.op(op, x)

    return rule


def _binary(op: str) -> Operation:
    def rule(w: Writer, *given: Any, **named: Any) -> Tensor:
        x, y = [*given, *named.values()]
        return w.op(op, _vector(w, x), _vector(w, y))

    return rule


def _reduction(op: str) -> Operation:
    def rule(
        w: Writer, input_tensor: Tensor, axis: Any = None, keepdims: Any = False
    ) -> Tensor:
        axes = list(range(w.rank(input_tensor))) if axis is None else axis
        return w.op(op, input_tensor, axes, keep_dims=bool(keepdims))

    return rule


def _vector(w: Writer, value: Any) -> Any:
    """Returns a list of numbers as it is, and packs one that holds tensors."""
    if isinstance(value, list) and any(isinstance(part, tuple) for part in value):
        return w.sizes(*(_vector(w, part) for part in value))
    return value


def _parts(tensor: Tensor, count: int) -> list[Tensor]:
    """Returns the outputs of a node, of which the first is given."""
    return [(tensor[0], number) for number in range(count)]


def _integer(w: Writer, value: Any) -> int:
    if type(value) is not int:
        raise NoRuleError(f"{value!r} is no number")
    return value


# --- Functions with arguments of their own -------------------------------------------


def _leaky_relu(w: Writer, features: Tensor, alpha: Any = 0.2) -> Tensor:
    return w.op("LeakyRelu", features)


def _silu(w: Writer, features: Tensor, beta: Any = 1.0) -> Tensor:
    return w.op("Mul", features, w.op("Sigmoid", w.op("Mul", beta, features)))


def _gelu(w: Writer, features: Tensor, approximate: bool = False) -> Tensor:
    gate = w.op("Tanh" if approximate else "Erf", features)
    return w.op("Mul", features, w.op("AddV2", 1.0, gate))


def _softmax(op: str) -> Operation:
    def rule(w: Writer, logits: Tensor, axis: int | None = -1) -> Tensor:
        last = w.rank(logits) - 1
        place = (-1 if axis is None else axis) % (last + 1)
        order = list(range(last + 1))
        order[place], order[last] = last, place
        if place == last:
            return w.op(op, logits)
        y = w.op(op, w.op("Transpose", logits, order))
        return w.op("Transpose", y, order)

    return rule


def _clipped(w: Writer, t: Tensor, clip_value_min: Any, clip_value_max: Any) -> Tensor:
    return w.op("Maximum", w.op("Minimum", t, clip_value_max), clip_value_min)


def _add_n(w: Writer, inputs: list[Tensor]) -> Tensor:
    return w.op("AddN", *inputs)


def _cast(w: Writer, x: Tensor, dtype: Any = None) -> Tensor:
    return w.op("Cast", x, DstT=w.dtype(getattr(dtype, "name", dtype)))


def _concat(w: Writer, values: Any, axis: Any) -> Tensor:
    return w.op("ConcatV2", *values, axis) if isinstance(values, list) else values


def _stack(w: Writer, values: list[Any], axis: int = 0) -> Tensor:
    return w.op("Pack", *values, axis=axis)


def _unstack(
    w: Writer, value: Tensor, num: int | None = None, axis: int = 0
) -> list[Tensor]:
    count = _integer(w, w.shape(value)[axis] if num is None else num)
    return _parts(w.op("Unpack", value, axis=axis, num=count), count)


def _split(
    w: Writer, value: Tensor, num_or_size_splits: Any, axis: int = 0, num: Any = None
) -> list[Tensor]:
    if isinstance(num_or_size_splits, int):
        count = num_or_size_splits
        return _parts(w.op("Split", axis, value, num_split=count), count)
    sizes = list(num_or_size_splits)
    split = w.op("SplitV", value, _vector(w, sizes), axis, num_split=len(sizes))
    return _parts(split, len(sizes))


def _reshape(w: Writer, tensor: Tensor, shape: Any) -> Tensor:
    return w.op("Reshape", tensor, _vector(w, shape))


def _transpose(
    w: Writer, a: Tensor, perm: Any = None, conjugate: bool = False
) -> Tensor:
    order = list(range(w.rank(a)))[::-1] if perm is None else list(perm)
    return w.op("Transpose", a, order)


def _pad(
    w: Writer,
    tensor: Tensor,
    paddings: Any,
    mode: str = "CONSTANT",
    constant_values: Any = 0,
) -> Tensor:
    widths = [_vector(w, pair) for pair in paddings]
    given = _vector(w, widths)
    if mode.upper() == "CONSTANT":
        return (
            w.op("PadV2", tensor, given, constant_values)
            if (constant_values)
            else w.op("Pad", tensor, given)
        )
    return w.op("MirrorPad", tensor, given, mode=mode.upper())


def _squeeze(w: Writer, input: Tensor, axis: Any = None, **old: Any) -> Tensor:
    axes = old.get("squeeze_dims") if axis is None else axis
    listed = axes if isinstance(axes, list) else [] if axes is None else [axes]
    return w.op("Squeeze", input, squeeze_dims=listed)


def _expand(w: Writer, input: Tensor, axis: Any = None, dim: Any = None) -> Tensor:
    return w.op("ExpandDims", input, dim if axis is None else axis)


def _tile(w: Writer, input: Tensor, multiples: Any) -> Tensor:
    return w.op("Tile", input, _vector(w, multiples))


def _shape(w: Writer, input: Tensor, out_type: Any = None) -> Tensor:
    return w.op("Shape", input)


def _reverse(w: Writer, tensor: Tensor, axis: Any) -> Tensor:
    return w.op("ReverseV2", tensor, axis)


def _broadcast(w: Writer, input: Tensor, shape: Any) -> Tensor:
    return w.op("BroadcastTo", input, _vector(w, shape))


def _select(w: Writer, condition: Any, x: Any, y: Any) -> Tensor:
    return w.op("SelectV2", condition, x, y)


def _blocks(op: str) -> Operation:
    def rule(
        w: Writer, input: Tensor, block_size: int, data_format: str = "NHWC"
    ) -> Tensor:
        return w.op(op, input, block_size=block_size, data_format=data_format)

    return rule


def _normalized(w: Writer, x: Tensor, axis: Any = None, epsilon: Any = 0) -> Tensor:
    axes = list(range(w.rank(x))) if axis is None else axis
    total = w.op("Sum", w.op("Square", x), axes, keep_dims=True)
    return w.op("Mul", x, w.op("Rsqrt", w.op("Maximum", total, float(epsilon))))


def _matmul(
    w: Writer, a: Any, b: Any, transpose_a: bool = False, transpose_b: bool = False
) -> Tensor:
    return w.op("BatchMatMulV2", a, b, adj_x=transpose_a, adj_y=transpose_b)


def _arg(op: str) -> Operation:
    def rule(
        w: Writer, input: Tensor, axis: Any = 0, output_type: Any = None
    ) -> Tensor:
        return w.op(op, input, axis or 0)

    return rule


def _gathered(
    w: Writer, params: Tensor, indices: Any, axis: Any = None, batch_dims: int = 0
) -> Tensor:
    place = batch_dims if axis is None else axis
    return w.op("GatherV2", params, indices, place, batch_dims=batch_dims)


def _slice(w: Writer, input_: Tensor, begin: Any, size: Any) -> Tensor:
    return w.op("Slice", input_, _vector(w, begin), _vector(w, size))


def _summed(
    w: Writer, x: Tensor, axis: Any = 0, exclusive: bool = False, reverse: bool = False
) -> Tensor:
    return w.op("Cumsum", x, axis, exclusive=exclusive, reverse=reverse)


def _rolled(w: Writer, input: Tensor, shift: Any, axis: Any) -> Tensor:
    return w.op("Roll", input, shift, axis)


def _flipped(axis: int) -> Operation:
    def rule(w: Writer, image: Tensor) -> Tensor:
        return w.op("ReverseV2", image, [axis + w.rank(image) - 4])

    return rule


def _variance(
    w: Writer, input_tensor: Tensor, axis: Any = None, keepdims: Any = False
) -> Tensor:
    axes = list(range(w.rank(input_tensor))) if axis is None else axis
    mean = w.op("Mean", input_tensor, axes, keep_dims=True)
    squares = w.op("Square", w.op("Sub", input_tensor, mean))
    return w.op("Mean", squares, axes, keep_dims=bool(keepdims))


def _deviation(w: Writer, *given: Any, **named: Any) -> Tensor:
    return w.op("Sqrt", _variance(w, *given, **named))


def _concatenated_relu(w: Writer, features: Tensor, axis: int = -1) -> Tensor:
    return w.op(
        "ConcatV2", *(w.op("Relu", x) for x in (features, w.op("Neg", features))), axis
    )


RESIZES = {
    "area": "ResizeArea",
    "bicubic": "ResizeBicubic",
    "bilinear": "ResizeBilinear",
    "nearest": "ResizeNearestNeighbor",
}
"""Method of `tf.image.resize` -> op."""


def _resized(
    w: Writer,
    images: Tensor,
    size: Any,
    method: str = "bilinear",
    preserve_aspect_ratio: bool = False,
    antialias: bool = False,
) -> Tensor:
    if method not in RESIZES or preserve_aspect_ratio or w.rank(images) != 4:
        raise NoRuleError(f"the method {method!r}")
    if antialias and method in ("bilinear", "bicubic"):
        raise NoRuleError("antialias")
    half = {} if method == "area" else {"half_pixel_centers": True}
    return w.op(RESIZES[method], images, _vector(w, size), **half)


def _resized_before(op: str) -> Operation:
    def rule(
        w: Writer,
        images: Tensor,
        size: Any,
        align_corners: bool = False,
        half_pixel_centers: bool = False,
    ) -> Tensor:
        options = {
            "align_corners": align_corners,
            "half_pixel_centers": half_pixel_centers,
        }
        return w.op(op, images, _vector(w, size), **options)

    return rule


def _each_axis(value: Any, rank: int, data_format: str) -> list[int]:
    """Returns a number for each axis of an image, as TensorFlow's functions do."""
    numbers = value if isinstance(value, list) else [1 if value is None else value]
    if len(numbers) == rank:
        return numbers
    spatial = numbers * (rank - 2) if len(numbers) == 1 else numbers
    first = data_format.startswith("NC")
    return [1, 1, *spatial] if first else [1, *spatial, 1]


def _window(*ops: str) -> Callable[..., Tensor]:
    """Returns the rule of a function that slides a kernel over an image.

    It takes images with as many axes as one of the ops.
    """

    def rule(
        w: Writer,
        input: Tensor,
        filters: Any = None,
        strides: Any = 1,
        padding: Any = "VALID",
        data_format: str | None = None,
        dilations: Any = None,
        **old: Any,
    ) -> Tensor:
        kernel = filters if filters is not None else old.get("filter")
        rank = w.rank(input)
        fitting = [op for op in ops if rank == (5 if op == "Conv3D" else 4)]
        if not fitting:
            raise NoRuleError(f"an image with {rank} axes")
        found = data_format or {4: "NHWC", 5: "NDHWC"}[rank]
        around = [] if isinstance(padding, str) else list(leaves(padding))
        return w.op(
            fitting[0],
            input,
            kernel,
            explicit_paddings=around,
            strides=_each_axis(strides, rank, found),
            dilations=_each_axis(
                old.get("rate") if dilations is None else dilations, rank, found
            ),
            padding="EXPLICIT" if around else padding,
            data_format=found,
        )

    return rule


def _transposed(
    w: Writer,
    input: Tensor,
    filters: Any,
    output_shape: Any,
    strides: Any,
    padding: str = "SAME",
    data_format: str = "NHWC",
    dilations: Any = None,
) -> Tensor:
    return w.op(
        "Conv2DBackpropInput",
        _vector(w, output_shape),
        filters,
        input,
        strides=_each_axis(strides, 4, data_format),
        dilations=_each_axis(dilations, 4, data_format),
        padding=padding,
        data_format=data_format,
    )


def _pooled(op: str) -> Callable[..., Tensor]:
    """Returns the rule of a function that pools an image with two spatial axes."""

    def rule(
        w: Writer,
        input: Any = None,
        ksize: Any = 1,
        strides: Any = 1,
        padding: Any = "VALID",
        data_format: str | None = "NHWC",
        **old: Any,
    ) -> Tensor:
        image = old["value"] if input is None else input
        found = data_format or "NHWC"
        if w.rank(image) != 4 or not isinstance(padding, str):
            raise NoRuleError("another image or padding")
        return w.op(
            op,
            image,
            ksize=_each_axis(ksize, 4, found),
            strides=_each_axis(strides, 4, found),
            padding=padding,
            data_format=found,
        )

    return rule


def _biased(w: Writer, value: Tensor, bias: Any, data_format: Any = None) -> Tensor:
    first = str(data_format or "").startswith("NC")
    return w.op("BiasAdd", value, bias, data_format="NCHW" if first else "NHWC")


def _sliced(w: Writer, tensor: Tensor, slice_spec: Any, var: Any = None) -> Tensor:
    """Writes an index in brackets, whose slices may be dicts."""
    spec = slice_spec if isinstance(slice_spec, list) else [slice_spec]
    begin: list[Any] = []
    end: list[Any] = []
    step: list[Any] = []
    masks = dict.fromkeys(
        (
            "begin_mask",
            "end_mask",
            "ellipsis_mask",
            "new_axis_mask",
            "shrink_axis_mask",
        ),
        0,
    )
    for place, saved in enumerate(spec):
        is_dots = isinstance(saved, Mapping) and "start" not in saved
        part = ... if is_dots else saved
        bounds = _bounds(w, part)
        if isinstance(part, Mapping):
            masks["begin_mask"] |= (bounds[0] is None) << place
            masks["end_mask"] |= (bounds[1] is None) << place
        elif part is ...:
            masks["ellipsis_mask"] |= 1 << place
        elif part is None:
            masks["new_axis_mask"] |= 1 << place
        else:
            masks["shrink_axis_mask"] |= 1 << place
        for numbers, bound, default in zip(
            (begin, end, step), bounds, (0, 0, 1), strict=True
        ):
            numbers.append(default if bound is None else bound)
    limits = (_vector(w, numbers) for numbers in (begin, end, step))
    return w.op("StridedSlice", tensor, *limits, **masks)


def _bounds(w: Writer, part: Any) -> tuple[Any, Any, Any]:
    """Returns where a part of an index starts and stops, and its step."""
    if isinstance(part, Mapping):
        return part["start"], part["stop"], part["step"]
    if part is None or part is ...:
        return 0, 1, 1
    if isinstance(part, tuple):
        return part, w.op("AddV2", part, 1), 1
    return part, part + 1, 1


TENSORFLOW: dict[str, Operation] = {
    **{name: _unary(op) for name, op in UNARY.items()},
    **{name: _binary(op) for name, op in BINARY.items()},
    **{name: _reduction(op) for name, op in REDUCTIONS.items()},
    "__operators__.getitem": _sliced,
    "broadcast_to": _broadcast,
    "gather": _gathered,
    "image.flip_left_right": _flipped(2),
    "image.flip_up_down": _flipped(1),
    "math.argmax": _arg("ArgMax"),
    "math.argmin": _arg("ArgMin"),
    "math.cumsum": _summed,
    "math.reduce_std": _deviation,
    "math.reduce_variance": _variance,
    "nn.conv2d_transpose": _transposed,
    "nn.convolution": _window("Conv2D", "Conv3D"),
    "nn.crelu": _concatenated_relu,
    "roll": _rolled,
    "slice": _slice,
    "cast": _cast,
    "clip_by_value": _clipped,
    "concat": _concat,
    "expand_dims": _expand,
    "image.resize": _resized,
    "linalg.matmul": _matmul,
    "math.add_n": _add_n,
    "math.l2_normalize": _normalized,
    "nn.avg_pool": _pooled("AvgPool"),
    "nn.avg_pool2d": _pooled("AvgPool"),
    "nn.bias_add": _biased,
    "nn.conv2d": _window("Conv2D"),
    "nn.conv3d": _window("Conv3D"),
    "nn.depth_to_space": _blocks("DepthToSpace"),
    "nn.depthwise_conv2d": _window("DepthwiseConv2dNative"),
    "nn.gelu": _gelu,
    "nn.leaky_relu": _leaky_relu,
    "nn.log_softmax": _softmax("LogSoftmax"),
    "nn.max_pool": _pooled("MaxPool"),
    "nn.max_pool2d": _pooled("MaxPool"),
    "nn.silu": _silu,
    "nn.softmax": _softmax("Softmax"),
    "nn.space_to_depth": _blocks("SpaceToDepth"),
    "nn.swish": _silu,
    "pad": _pad,
    "reshape": _reshape,
    "reverse": _reverse,
    "shape": _shape,
    "split": _split,
    "squeeze": _squeeze,
    "stack": _stack,
    "tile": _tile,
    "transpose": _transpose,
    "unstack": _unstack,
    "where": _select,
    "compat.v1.image.resize_bilinear": _resized_before("ResizeBilinear"),
    "compat.v1.image.resize_bicubic": _resized_before("ResizeBicubic"),
    "compat.v1.image.resize_nearest_neighbor": _resized_before("ResizeNearestNeighbor"),
}
"""Name of a function, without ``compat.v1`` -> its rule."""


def function_of(name: Any) -> Operation:
    """Returns the rule of a function of TensorFlow.

    Functions that TensorFlow keeps for version 1 have the rules of today's.

    Raises:
      NoRuleError: if it has none.
    """
    plain = str(name).removeprefix("compat.v1.")
    known = str(name) if str(name) in DIFFERENT or str(name) in TENSORFLOW else plain
    if known not in TENSORFLOW:
        raise NoRuleError(f"the function tf.{name} has no rule")
    return TENSORFLOW[known]


DIFFERENT = ("compat.v1.image.resize",)
"""Functions of TensorFlow 1 that do something else than those named alike today."""


def _lambda(
    w: Writer, config: Mapping[str, Any], given: Sequence[Any], named: Mapping[str, Any]
) -> Tensor | list[Tensor]:
    name = config["function"]
    places = OLD_ORDER.get(str(name).removeprefix("compat.v1."), "").split()
    known = dict(zip(places, given, strict=False)) | dict(named)
    rest = {key: value for key, value in known.items() if key not in UNUSED}
    return function_of(name)(w, *given[len(places) :], **rest)


OLD_ORDER = {
    "expand_dims": "input axis name dim",
    "gather": "params indices validate_indices name axis batch_dims",
    "pad": "tensor paddings mode name constant_values",
    "shape": "input name out_type",
    "squeeze": "input axis name squeeze_dims",
    "transpose": "a perm name conjugate",
}
"""Function -> its arguments in the order of TensorFlow 1, which Keras calls with."""


UNUSED = ("name", "use_cudnn_on_gpu", "validate_indices")
"""Arguments that do not change what a function does."""


def _node_of(config: Mapping[str, Any]) -> Any:
    """Returns the graph with the only node that a ``TensorFlowOpLayer`` holds.

    Raises:
      NoRuleError: if its op has no rule.
    """
    from google.protobuf import json_format, message

    from receptive_field.frameworks.tensorflow.messages import GraphDef

    saved, graph = config["node_def"], GraphDef()
    try:
        if isinstance(saved, Mapping):
            json_format.ParseDict({"node": [saved]}, graph, ignore_unknown_fields=True)
        else:
            graph.node.add().MergeFromString(str(saved).encode())
    except (json_format.ParseError, message.DecodeError, TypeError) as error:
        raise NoRuleError(f"its node is damaged ({quoted(error)})") from error
    if graph.node[0].op not in OPS:
        raise NoRuleError(f"the op {graph.node[0].op} has no rule")
    return graph


def _op_layer(
    w: Writer, config: Mapping[str, Any], given: Sequence[Any], named: Mapping[str, Any]
) -> Tensor | list[Tensor]:
    """Writes the node that a layer holds, whose other inputs are constants."""
    graph = _node_of(config)
    inputs = list(given[0]) if isinstance(given[0], list) else list(given)
    if not all(isinstance(thing, tuple) for thing in inputs):
        raise NoRuleError(f"it reads {inputs!r:.80}, which are no tensors")
    constants = config.get("constants") or {}
    for place, value in sorted((int(key), part) for key, part in constants.items()):
        inputs.insert(place, w.op("Identity", value))
    node = graph.node[0]
    node.name = "node"
    node.input[:] = [f"input_{number}" for number in range(len(inputs))]
    for name in node.input:
        graph.node.add(name=name, op="Placeholder")
    flat = flattened(graph.node, (), "layer", rules=OPS, framework=KERAS)
    places = {
        flat.index_of[name]: x for name, x in zip(node.input, inputs, strict=True)
    }
    return _parts(w.add(flat, places)((flat.index_of["node"], 0)), MOST_OUTPUTS)


MOST_OUTPUTS = 64
"""The most outputs of an op that a layer holds."""


def check_function(kind: str, config: Mapping[str, Any]) -> None:
    """Checks what a layer of one of the `FUNCTIONS` would call.

    Raises:
      NoRuleError: if it has no rule.
    """
    if kind == "TensorFlowOpLayer":
        _node_of(config)
    else:
        function_of(config["function"])


FUNCTIONS: dict[str, Callable[..., Tensor | list[Tensor]]] = {
    "SlicingOpLambda": _lambda,
    "TFOpLambda": _lambda,
    "TensorFlowOpLayer": _op_layer,
}
"""Class of a layer that calls a function of TensorFlow -> its rule.

A rule receives the writer, the layer's config, and the arguments of the call.
"""
