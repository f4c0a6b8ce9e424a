"""Runs a TensorFlow network in double precision, with weights for experiments."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from receptive_field.errors import GraphError
from receptive_field.frameworks.tensorflow.functions import is_written_out
from receptive_field.graph.graph import Graph, Node, Tensor
from receptive_field.graph.model import Model
from receptive_field.graph.runner import Computation
from receptive_field.rules.op import Call, Shape, rule_of


class TensorFlowRunner:
    """Runs TensorFlow graphs; see `graph.runner.Runner`."""

    def __init__(self) -> None:
        """Imports TensorFlow.

        Raises:
          GraphError: if TensorFlow is not installed.
        """
        try:
            self._tf = import_module("tensorflow")
        except ImportError:
            raise GraphError(
                "a measurement runs the network, but TensorFlow is not installed: "
                'pip install "receptive_field[tensorflow]"'
            ) from None

    def network(
        self,
        model: Model,
        network: Between,
        outputs: Sequence[Tensor],
        shape: Sequence[int],
    ) -> Computation:
        """Returns a computation of the outputs from an image of this shape."""
        graph = model.graph
        names = [_full_name(graph.name_of(output)) for output in outputs]
        for output in outputs:
            if graph.nodes[output[0]].frame.function:
                raise GraphError(
                    f"{graph.name_of(output)!r} is inside a function that the graph "
                    "calls, so TensorFlow cannot return it: measure an output of the "
                    "model, the Keras model itself, or a frozen graph of the model."
                )
        serialized = model.definition.SerializeToString()
        definition = self._tf.compat.v1.GraphDef.FromString(serialized)
        weights = network_weights(network)
        start = _full_name(graph.name_of(network.input))
        with self._failing("the network"):
            run, dtype = runner(self._tf, definition, weights, start, names, shape)
        return Computation(self._guarded(run, "the network"), dtype)

    def runs(self, node: Node) -> bool:
        """Returns whether TensorFlow can run this node as a single op."""
        return not is_written_out(node)

    def reads(self, node: Node, number: int) -> bool:
        """Returns whether the op reads this input in an experiment.

        A batch normalisation runs as an identity, and reads only its first input.
        """
        return not number or not _is_batch_norm(node.op)

    def scale(self, call: Call) -> float | None:
        """Returns the scale to use for weights that this call passes on to the
        features."""
        return weight_scale(call)

    def alone(
        self, node: Node, number: int, given: Callable[[int, Tensor, str], Any]
    ) -> _Alone:
        """Returns a graph in which the node runs by itself."""
        return _Alone(self, _alone(self._tf, node, number, given), f"input_{number}:0")

    def compute(
        self, definition: Any, start: str, name: str, shape: Sequence[int], double: bool
    ) -> Computation:
        """Returns a computation of one output of a node that runs by itself."""
        copy = type(definition)()
        copy.CopyFrom(definition)
        with self._failing("it"):
            run, dtype = runner(self._tf, copy, {}, start, [name], shape, double)
        return Computation(self._guarded(run, "it"), dtype)

    @contextmanager
    def _failing(self, what: str) -> Iterator[None]:
        """Turns TensorFlow's errors into a `GraphError` that names the thing to run."""
        try:
            yield
        except (self._tf.errors.OpError, ValueError, KeyError, TypeError) as error:
            reason = " ".join(str(error).split())[:500]
            raise GraphError(f"TensorFlow cannot run {what}: {reason}") from error

    def _guarded(self, run: Callable[[Any], Any], what: str) -> Callable[[Any], Any]:
        def guarded(image: Any) -> Any:
            with self._failing(what):
                return run(image)

        return guarded


class _Alone:
    """A node in a graph of its own; see `graph.runner.Alone`."""

    def __init__(self, runner: TensorFlowRunner, definition: Any, start: str) -> None:
        self._runner, self._definition, self._start = runner, definition, start
        self.content: bytes = definition.SerializeToString(deterministic=True)

    def computations(
        self, output: int, shape: Sequence[int]
    ) -> Iterator[Callable[[], Computation]]:
        """Yields ways to compute an output: in double and in the op's own precision."""
        node = self._definition, self._start, f"op:{output}", shape
        for double in (True, False):
            yield partial(self._runner.compute, *node, double)


def _full_name(name: str) -> str:
    """Returns the name of a tensor with its output number."""
    return name if ":" in name else f"{name}:0"


class Between(Protocol):
    """The part of a `Network` that is needed to run it."""

    graph: Graph
    input: Tensor
    order: list[int]
    carries: bytearray
    known: Any

    def shape(self, tensor: Tensor) -> Shape:
        """Returns the shape of a tensor, or None if its rank is unknown."""


class Weight(NamedTuple):
    """The random values that a variable or constant is set to for an experiment."""

    shape: tuple[int, ...]
    dtype: int
    """The number of the DataType, or 0 to use the type that the node states."""
    scale: float | None
    """The average of the random positive values. If it is None, constants keep their
    values, and variables get values of about one."""


def network_weights(network: Between) -> dict[str, Weight]:
    """Returns the values of the network's weights for an experiment, by node name.

    The weights of a kernel sum to about one. Weights that are added to the features are
    zero. All other weights, such as factors, are about one.
    """
    graph = network.graph
    nodes = graph.nodes
    scales = _scales(network)
    shapes: dict[int, tuple[Any, int]] = {
        index: (network.shape((index, 0)), 0) for index in scales
    }
    for node in graph:
        if node.op in READING:
            call, (index, _) = Call(node, network.known), node.inputs[0]
            while nodes[index].inputs:  # Follows the handle to its variable.
                index = nodes[index].inputs[0][0]
            shape = network.shape((index, 0))
            if shape is None and node.op == "ReadVariableOp":
                shape = network.shape((node.index, 0))
            shapes[index] = shape, call.attribute("dtype")
    return {
        nodes[index].name: Weight(shape, dtype, scales.get(index))
        for index, (shape, dtype) in shapes.items()
        if shape is not None and all(isinstance(size, int) for size in shape)
    }


READING = frozenset({"ReadVariableOp", "ResourceGather"})
"""Ops that read a variable through its handle."""


def _scales(network: Between) -> dict[int, float | None]:
    """Returns the scale of each node without inputs whose value reaches the features.

    Nodes that depend on the network's input are left out.
    """
    nodes = network.graph.nodes
    scales: dict[int, float | None] = {}
    visited: set[tuple[Tensor, float | None]] = set()
    for index in network.order:
        call = Call(nodes[index], network.known)
        for tensor in nodes[index].inputs:
            if network.carries[tensor[0]]:
                continue
            scale, stack = weight_scale(call), [tensor]
            while stack:
                current = stack.pop()
                if (current, scale) in visited:
                    continue
                visited.add((current, scale))
                stack += nodes[current[0]].inputs
                if not nodes[current[0]].inputs:
                    before = scales.get(current[0], scale)
                    scales[current[0]] = min(before, scale, key=_weight_of_part)
    return scales


def _weight_of_part(scale: float | None) -> float:
    """Returns a sort key. A weight with several scales gets the scale that sorts first.

    Kernels come before factors. Factors come before offsets, because a mean is scaled
    before it is subtracted.
    """
    return math.inf if scale is None else scale or 2.0


ADDING = frozenset({"Add", "AddV2", "AddN", "Sub", "BiasAdd", "BiasAddV1"})


def weight_scale(call: Call) -> float | None:
    """Returns the scale of a weight that reaches the features through this node."""
    op = rule_of(call.node)
    if op is not None and op.products is not None:
        count = op.products(call)
        return 1 / count if isinstance(count, int) and count else 1.0
    if call.node.op in ADDING:
        return 0.0
    return 1.0 if op is not None and op.is_pointwise else None


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


def runner(
    tf: Any,
    definition: Any,
    weights: Mapping[str, Weight],
    start: str,
    outputs: Sequence[str],
    shape: Sequence[int],
    double: bool = True,
) -> tuple[Any, np.dtype[Any]]:
    """Returns a function from an image to the outputs, and the image's data type.

    Args:
      tf: the TensorFlow module.
      definition: the graph, which this function changes.
      weights: node name -> the values of the node.
      start: the name of the input.
      outputs: the names of the outputs.
      shape: the shape of the image.
      double: whether to compute everything in double precision.
    """
    _keep_ancestors(definition, (start, *outputs))
    without_rounded_zeros(tf, definition)
    values = _set_weights(tf, definition, weights)
    if double:
        _to_double(tf, definition)
    for node in definition.node:
        if node.name == start.partition(":")[0] and node.op == "Placeholder":
            node.attr["shape"].shape.CopyFrom(tf.TensorShape(shape).as_proto())
    graph = tf.Graph()
    with graph.as_default():
        tf.graph_util.import_graph_def(definition, name="")
    image = graph.get_tensor_by_name(start)
    fetched = [graph.get_tensor_by_name(name) for name in outputs]
    config = tf.compat.v1.ConfigProto(
        intra_op_parallelism_threads=1, inter_op_parallelism_threads=1
    )
    session = tf.compat.v1.Session(graph=graph, config=config)
    with graph.as_default():
        assignments, feeds = [], {}
        for name, value in values.items():
            handle = graph.get_tensor_by_name(f"{name}:0")
            fed = tf.compat.v1.placeholder(value.dtype, value.shape)
            feeds[fed] = value
            assign = (
                tf.raw_ops.AssignVariableOp(resource=handle, value=fed)
                if handle.dtype == tf.resource
                else tf.raw_ops.Assign(ref=handle, value=fed)
            )
            assignments.append(assign)
    if assignments:
        session.run(assignments, feeds)
    return session.make_callable(fetched, [image]), np.dtype(image.dtype.as_numpy_dtype)


LEAST_WEIGHTS = {"lanczos": 1e-12}


LEAST_WEIGHT = 2e-6
"""Weights of `ScaleAndTranslate` below this limit are rounding errors. `LEAST_WEIGHTS`
has different limits for some kernels."""


def without_rounded_zeros(tf: Any, definition: Any) -> None:
    """Sets resize weights to zero if they differ from zero only by rounding.

    In single precision, the weight at a root of a cubic kernel may be a millionth
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


def _keep_ancestors(definition: Any, tensors: Sequence[str]) -> None:
    """Removes the nodes that the tensors do not need."""
    nodes = {node.name: node for node in definition.node}
    kept: set[str] = set()
    stack = [name.partition(":")[0] for name in tensors]
    while stack:
        name = stack.pop()
        if name not in kept:
            kept.add(name)
            stack += [t.lstrip("^").partition(":")[0] for t in nodes[name].input]
    for number in reversed(range(len(definition.node))):
        if definition.node[number].name not in kept:
            del definition.node[number]


def _set_weights(
    tf: Any, definition: Any, weights: Mapping[str, Weight]
) -> dict[str, NDArray[Any]]:
    """Writes the chosen values into constants and returns the values of variables."""
    values = {}
    for number, node in enumerate(definition.node):
        weight = weights.get(node.name)
        if weight is None:
            continue
        scale = 1.0 if weight.scale is None else weight.scale
        value = np.random.default_rng(number).uniform(0.5, 1.5, weight.shape) * scale
        if node.op == "Const":
            tensor = node.attr["value"].tensor
            if tensor.dtype in _WIDE and value.size > 1 and weight.scale is not None:
                tensor.CopyFrom(tf.make_tensor_proto(value))
            continue
        resource = tf.resource.as_datatype_enum
        if node.op == "Placeholder" and node.attr["dtype"].type != resource:
            continue  # An input whose shape is read, not a captured variable.
        by_handle = node.op in ("VarHandleOp", "Placeholder")
        if not by_handle and node.op not in ("VariableV2", "Variable"):
            continue
        dtype = weight.dtype or node.attr["dtype"].type
        if dtype == resource:
            continue
        if by_handle:
            node.op = "VarHandleOp"
            node.attr.clear()
            node.attr["shared_name"].s = node.name.encode()
        node.attr["dtype"].type = _WIDE.get(dtype, dtype)
        node.attr["shape"].shape.CopyFrom(tf.TensorShape(weight.shape).as_proto())
        kind = tf.dtypes.as_dtype(_WIDE.get(dtype, dtype)).as_numpy_dtype
        values[node.name] = (value if dtype in _WIDE else value * 0).astype(kind)
    return values


_WIDE = {1: 2, 2: 2, 19: 2, 14: 2, 101: 102, 8: 18}
"""Floating and complex data types -> the corresponding type in double precision."""


def _to_double(tf: Any, definition: Any) -> None:
    """Converts a graph and its functions to double precision."""
    _nodes_to_double(tf, definition.node, {})
    for function in definition.library.function:
        signature = function.signature
        for argument in (*signature.input_arg, *signature.output_arg):
            argument.type = _WIDE.get(argument.type, argument.type)
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


def _is_batch_norm(op: str) -> bool:
    """Returns whether an op is a fused batch normalisation. It runs as an identity."""
    return op.startswith("FusedBatchNorm")


def _node_to_double(tf: Any, node: Any) -> None:
    if _is_batch_norm(node.op):
        # With the chosen weights, the op is the identity.
        dtype = node.attr["T"].type
        del node.input[1:]
        node.op = "Identity"
        node.attr.clear()
        node.attr["T"].type = dtype
    node.attr.pop("_output_shapes", None)
    for attribute in node.attr.values():
        kind = attribute.WhichOneof("value")
        if kind == "type":
            attribute.type = _WIDE.get(attribute.type, attribute.type)
        elif kind == "list":
            types = [_WIDE.get(dtype, dtype) for dtype in attribute.list.type]
            attribute.list.type[:] = types
        elif kind == "tensor" and attribute.tensor.dtype in _WIDE:
            value = tf.make_ndarray(attribute.tensor)
            wide = tf.dtypes.as_dtype(_WIDE[attribute.tensor.dtype])
            attribute.tensor.CopyFrom(tf.make_tensor_proto(value, wide))


# --- A node by itself ----------------------------------------------------------------


def _alone(
    tf: Any, node: Node, fed: int, given: Callable[[int, Tensor, str], Any]
) -> Any:
    """Returns a graph of one node, whose inputs are one placeholder and constants.

    Args:
      tf: the TensorFlow module.
      node: the node. Its name in the graph is "op".
      fed: the number of the input that becomes the placeholder.
      given: returns the value of a constant input, from the input's number, tensor and
        kind of data type (see `_letter`).

    Raises:
      GraphError: if TensorFlow does not know the op, or the data types of the inputs
        are not stated.
    """
    definition = tf.compat.v1.GraphDef()
    attributes = {
        name: tf.compat.v1.AttrValue.FromString(value.SerializeToString())
        for name, value in node.definition.attr.items()
        if not name.startswith("_")
    }
    types = _input_types(node, attributes)
    own = definition.node.add(name="op", op=node.op)
    for name, value in attributes.items():
        own.attr[name].CopyFrom(value)
    for number, (read, dtype) in enumerate(zip(node.inputs, types, strict=True)):
        made = definition.node.add(name=f"input_{number}")
        own.input.append(made.name)
        made.attr["dtype"].type = dtype
        if number == fed:
            made.op = "Placeholder"
        else:
            made.op = "Const"
            kind = tf.dtypes.as_dtype(dtype)
            array = given(number, read, _letter(kind)).astype(kind.as_numpy_dtype)
            tensor = tf.make_tensor_proto(array, dtype, array.shape)
            made.attr["value"].tensor.CopyFrom(tensor)
    return definition


def _letter(dtype: Any) -> str:
    """Returns the kind of a data type as NumPy's letter."""
    kinds = {
        "f": dtype.is_floating,
        "c": dtype.is_complex,
        "i": dtype.is_integer,
        "b": dtype.is_bool,
    }
    return next((letter for letter, is_it in kinds.items() if is_it), "O")


def _input_types(node: Node, attributes: Mapping[str, Any]) -> list[int]:
    """Returns the data types of a node's inputs."""
    registry = import_module("tensorflow.python.framework.op_def_registry")
    definition = registry.get(node.op)
    if definition is None:
        raise GraphError(f"TensorFlow does not know the op {node.op}")
    defaults = {a.name: a.default_value for a in definition.attr}
    found: list[int] = []
    for argument in definition.input_arg:
        one, several = argument.type_attr, argument.type_list_attr
        count = argument.number_attr

        def value(name: str) -> Any:
            return attributes.get(name, defaults[name])

        if several:
            found += value(several).list.type
        else:
            dtype = value(one).type if one else argument.type
            found += [dtype] * (value(count).i if count else 1)
    if 0 in found:
        raise GraphError("the data types of its inputs are not stated")
    if len(found) != len(node.inputs):
        raise GraphError(
            f"it has {len(node.inputs)} inputs, but the op takes {len(found)}"
        )
    return found
