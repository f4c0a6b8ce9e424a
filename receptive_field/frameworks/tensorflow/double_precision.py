"""Converts TensorFlow graphs to double precision, and removes rounding errors."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

SINGLE_PRECISION: dict[str, tuple[int, ...]] = {
    "LRN": (0,),
    "ResizeBilinear": (),
    "ResizeBicubic": (),
    "ResizeArea": (),
    "ScaleAndTranslate": (2, 3),
    "CropAndResize": (1,),
    "MaxPool3D": (0,),
    "AvgPool3D": (0,),
    "FakeQuantWithMinMaxArgs": (0,),
    "FakeQuantWithMinMaxVars": (0, 1, 2),
    "FakeQuantWithMinMaxVarsPerChannel": (0, 1, 2),
}
"""Op whose output is always single precision -> the numbers of the inputs that must
also be single precision."""


WIDE = {1: 2, 2: 2, 19: 2, 14: 2, 101: 102, 8: 18}
"""Floating and complex data types -> the corresponding type in double precision."""


def to_double(tf: Any, definition: Any) -> None:
    """Converts a graph and its functions to double precision."""
    _nodes_to_double(tf, definition.node, {})
    for function in definition.library.function:
        signature = function.signature
        for argument in (*signature.input_arg, *signature.output_arg):
            argument.type = WIDE.get(argument.type, argument.type)
        # Inside a function, inputs refer to an output as "node:argument:number".
        read = (text for node in function.node_def for text in node.input)
        texts = (*read, *function.ret.values())
        outputs = {text.partition(":")[0]: text for text in texts if ":" in text}
        cast = _nodes_to_double(tf, function.node_def, outputs)
        for node in function.node_def:
            if f"{node.name}:y:0" not in cast.values():
                node.input[:] = [cast.get(text, text) for text in node.input]
        for name, text in function.ret.items():
            function.ret[name] = cast.get(text, text)


def _nodes_to_double(tf: Any, nodes: Any, outputs: Mapping[str, str]) -> dict[str, str]:
    """Converts nodes to double precision, with casts around single-precision ops.

    Args:
      tf: the TensorFlow module.
      nodes: the nodes to change.
      outputs: node name -> the text with which inputs refer to the node's output. A
        node that is missing is referred to by its name.

    Returns:
      Input text to replace -> the input text that refers to the cast instead.
    """
    instead = {}
    for node in list(nodes):
        single = SINGLE_PRECISION.get(node.op)
        _node_to_double(tf, node)
        if single is None:
            continue
        name, output = node.name, outputs.get(node.name, node.name)
        inner = nodes.add()
        inner.CopyFrom(node)
        inner.name = f"{name}/single"
        for number in single:
            cast = nodes.add(name=f"{name}/single_{number}", op="Cast")
            cast.input.append(node.input[number])
            cast.attr["SrcT"].type, cast.attr["DstT"].type = 2, 1
            inner.input[number] = f"{cast.name}:y:0" if ":" in output else cast.name
        if 0 in single and "T" in inner.attr:
            inner.attr["T"].type = 1
        if ":" in output:
            instead[output] = f"{name}:y:0"
        node.Clear()
        node.name, node.op = name, "Cast"
        node.input.append(output.replace(name, inner.name, 1))
        node.attr["SrcT"].type, node.attr["DstT"].type = 1, 2
    return instead


def is_batch_norm(op: str) -> bool:
    """Returns whether an op is a fused batch normalisation.

    In experiments, such an op runs as an identity.
    """
    return op.startswith("FusedBatchNorm")


def _node_to_double(tf: Any, node: Any) -> None:
    if is_batch_norm(node.op):
        # With the chosen weights, the op is the identity.
        dtype = node.attr["T"].type
        del node.input[1:]
        node.op = "Identity"
        node.attr.clear()
        node.attr["T"].type = dtype
    _state_types(node)
    node.attr.pop("_output_shapes", None)
    for attribute in node.attr.values():
        kind = attribute.WhichOneof("value")
        if kind == "type":
            attribute.type = WIDE.get(attribute.type, attribute.type)
        elif kind == "list":
            types = [WIDE.get(dtype, dtype) for dtype in attribute.list.type]
            attribute.list.type[:] = types
        elif kind == "tensor" and attribute.tensor.dtype in WIDE:
            value = tf.make_ndarray(attribute.tensor)
            wide = tf.dtypes.as_dtype(WIDE[attribute.tensor.dtype])
            attribute.tensor.CopyFrom(tf.make_tensor_proto(value, wide))


def _state_types(node: Any) -> None:
    """States the data types that a SavedModel leaves out because they are defaults."""
    registry = import_module("tensorflow.python.framework.op_def_registry")
    definition = registry.get(node.op)
    for attribute in () if definition is None else definition.attr:
        default = attribute.default_value
        if default.WhichOneof("value") == "type" and attribute.name not in node.attr:
            node.attr[attribute.name].CopyFrom(default)


LEAST_WEIGHTS = {"lanczos": 1e-12}


LEAST_WEIGHT = 2e-6
"""Weights of `ScaleAndTranslate` below this limit are rounding errors. `LEAST_WEIGHTS`
has different limits for some kernels."""


def without_rounded_zeros(tf: Any, definition: Any) -> None:
    """Sets resize weights to zero if they differ from zero only by rounding.

    In single precision, the weight at a zero of a cubic kernel may be a millionth
    instead of zero, and the weight at the end of a Lanczos kernel may be 1e-16. Each
    resize op is replaced by a function that obtains the weights from the op, sets tiny
    weights to zero, and multiplies by the result. (Inside a Lanczos kernel, weights of
    1e-8 are real and are kept.)
    """
    functions = (function.node_def for function in definition.library.function)
    made: set[str] = set()
    for node in [n for nodes in (definition.node, *functions) for n in nodes]:
        if node.op != "ScaleAndTranslate":
            continue
        attributes = node.attr
        kernel = attributes["kernel_type"].s.decode() or "lanczos3"
        given = "antialias" in attributes
        antialias = attributes["antialias"].b if given else True
        dtype = tf.dtypes.as_dtype(attributes["T"].type)
        name = f"scaled_by_{kernel}_{antialias}_{dtype.name}"
        if name not in made:
            made.add(name)
            function = _resize_by_weights(tf, kernel, antialias, dtype)
            function.signature.name = name
            definition.library.function.append(function)
        node.op = name
        node.attr.clear()


def _resize_by_weights(tf: Any, kernel: str, antialias: bool, dtype: Any) -> Any:
    """Returns a FunctionDef that computes the resize with tiny weights set to zero."""

    least = LEAST_WEIGHTS.get(kernel.rstrip("135"), LEAST_WEIGHT)

    def weights(axis: int, count: Any, size: Any, scale: Any, offset: Any) -> Any:
        unit = tf.eye(count)[tf.newaxis, :, tf.newaxis]
        found = tf.raw_ops.ScaleAndTranslate(
            images=unit,
            size=tf.stack([size[axis], 1]),
            scale=tf.stack([scale[axis], 1.0]),
            translation=tf.stack([offset[axis], 0.0]),
            kernel_type=kernel,
            antialias=antialias,
        )[0, :, 0]
        return tf.where(tf.abs(found) < least, tf.zeros_like(found), found)

    def resized(images: Any, size: Any, scale: Any, offset: Any) -> Any:
        numbers = size, scale, offset
        counts = tf.shape(images)
        rows, columns = (weights(a, counts[a + 1], *numbers) for a in (0, 1))
        tall = tf.einsum("ph,bhwc->bpwc", rows, tf.cast(images, rows.dtype))
        return tf.einsum("qw,bpwc->bpqc", columns, tall)

    pair = [2]
    function = tf.function(resized, autograph=False).get_concrete_function(
        tf.TensorSpec([None] * 4, dtype),
        tf.TensorSpec(pair, tf.int32),
        tf.TensorSpec(pair, tf.float32),
        tf.TensorSpec(pair, tf.float32),
    )
    definition = type(function.function_def)()
    definition.CopyFrom(function.function_def)
    (output,) = definition.signature.output_arg
    definition.ret["resized_images"] = definition.ret.pop(output.name)
    output.name = "resized_images"
    return definition
