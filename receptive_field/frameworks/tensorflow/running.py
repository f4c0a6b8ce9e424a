"""Runs a TensorFlow network in double precision, with weights for experiments."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from receptive_field.errors import GraphError, quoted
from receptive_field.frameworks.quiet import imported
from receptive_field.frameworks.tensorflow.double_precision import (
    is_batch_norm,
    to_double,
    without_rounded_zeros,
)
from receptive_field.frameworks.tensorflow.functions import is_written_out
from receptive_field.frameworks.tensorflow.weights import (
    Weight,
    network_weights,
    set_weights,
    weight_scale,
)
from receptive_field.frameworks.weights import Between
from receptive_field.graph.graph import Node, Tensor
from receptive_field.graph.model import Model
from receptive_field.graph.runner import Computation
from receptive_field.rules.op import Call


class TensorFlowRunner:
    """Runs TensorFlow graphs; see `graph.runner.Runner`."""

    def __init__(self) -> None:
        """Imports TensorFlow.

        Raises:
          GraphError: if TensorFlow is not installed.
        """
        try:
            self._tf = imported("tensorflow")
        except ImportError:
            raise GraphError(
                "a measurement runs the network with TensorFlow, which is not "
                'installed: run pip install "receptive_field[tensorflow]"'
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
                    "calls, so TensorFlow cannot return its value. Measure an output "
                    "of the model, the Keras model itself, or a frozen graph of the "
                    "model."
                )
        serialized = model.definition.SerializeToString()
        definition = self._tf.compat.v1.GraphDef.FromString(serialized)
        weights = network_weights(network)
        start = _full_name(graph.name_of(network.input))
        with self._failing("the network"):
            found = runner(self._tf, definition, weights, start, names, shape)
        return found._replace(run=self._guarded(found.run, "the network"))

    def runs(self, node: Node) -> bool:
        """Returns whether TensorFlow can run this node as a single op."""
        return not is_written_out(node)

    def reads(self, node: Node, number: int) -> bool:
        """Returns whether the op reads this input in an experiment.

        A batch normalisation runs as an identity, and reads only its first input.
        """
        return not number or not is_batch_norm(node.op)

    def scale(self, call: Call) -> float | None:
        """Returns the scale to give weights that reach features through this call."""
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
        with self._failing("the node"):
            found = runner(self._tf, copy, {}, start, [name], shape, double)
        return found._replace(run=self._guarded(found.run, "the node"))

    @contextmanager
    def _failing(self, what: str) -> Iterator[None]:
        """Turns TensorFlow's errors into a `GraphError` that says what failed."""
        try:
            yield
        except (self._tf.errors.OpError, ValueError, KeyError, TypeError) as error:
            raise GraphError(
                f"TensorFlow cannot run {what}: {quoted(error)}"
            ) from error

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
        """Yields ways to compute an output: in double precision and in the op's own."""
        node = self._definition, self._start, f"op:{output}", shape
        for double in (True, False):
            yield partial(self._runner.compute, *node, double)


def _full_name(name: str) -> str:
    """Returns the name of a tensor with its output number."""
    return name if ":" in name else f"{name}:0"


def runner(
    tf: Any,
    definition: Any,
    weights: Mapping[str, Weight],
    start: str,
    outputs: Sequence[str],
    shape: Sequence[int],
    double: bool = True,
) -> Computation:
    """Returns the computation of the outputs from an image.

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
    _without_stated_gradients(definition)
    without_rounded_zeros(tf, definition)
    values = set_weights(tf, definition, weights)
    if double:
        to_double(tf, definition)
    for node in definition.node:
        if node.name == start.partition(":")[0] and node.op == "Placeholder":
            node.attr["shape"].shape.CopyFrom(tf.TensorShape(shape).as_proto())
    started = partial(_started, tf, definition, values)
    session = started()
    image = session.graph.get_tensor_by_name(start)
    fetched = [session.graph.get_tensor_by_name(name) for name in outputs]
    run = session.make_callable(fetched, [image])
    gradient = _Gradient(tf, started, start, outputs)
    return Computation(run, np.dtype(image.dtype.as_numpy_dtype), gradient)


def _started(tf: Any, definition: Any, values: Mapping[str, Any]) -> Any:
    """Returns a session with a graph of its own, whose variables have these values."""
    graph = tf.Graph()
    with graph.as_default():
        tf.graph_util.import_graph_def(definition, name="")
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
    return session


def _nothing(*_: Any) -> list[None]:
    """Returns no gradient."""
    return [None]


class _Gradient:
    """The gradient of a graph, which is built when it is first asked for.

    It has a graph of its own, because a gradient changes the loops of a graph.
    """

    def __init__(
        self, tf: Any, started: Callable[[], Any], start: str, outputs: Sequence[str]
    ) -> None:
        self._tf, self._started = tf, started
        self._start, self._outputs = start, outputs
        self._run: Callable[..., Any] | None = None

    def __call__(self, image: Any, factors: Sequence[Any]) -> Any:
        """Returns the gradient of the sum of the outputs times the factors, or None."""
        try:
            self._run = self._run or self._built()
            return self._run(image, *factors)[0]
        except Exception:
            # A gradient can fail in as many ways as there are ops. It is not needed.
            self._run = _nothing
            return None

    def _built(self) -> Callable[..., Any]:
        tf, session = self._tf, self._started()
        image = session.graph.get_tensor_by_name(self._start)
        outputs = [session.graph.get_tensor_by_name(name) for name in self._outputs]
        with session.graph.as_default():
            factors = [tf.compat.v1.placeholder(t.dtype) for t in outputs]
            (found,) = tf.gradients(outputs, [image], factors)
            dense = tf.convert_to_tensor(found)
        run: Callable[..., Any] = session.make_callable([dense], [image, *factors])
        return run


def _without_stated_gradients(definition: Any) -> None:
    """Removes gradients that a graph states itself, which may be anything."""
    functions = (function.node_def for function in definition.library.function)
    for node in [n for nodes in (definition.node, *functions) for n in nodes]:
        node.attr.pop("_gradient_op_type", None)
    definition.library.ClearField("gradient")


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


# --- A node by itself ----------------------------------------------------------------


def _alone(
    tf: Any, node: Node, fed: int, given: Callable[[int, Tensor, str], Any]
) -> Any:
    """Returns a graph of one node, whose inputs are one placeholder and constants.

    Args:
      tf: the TensorFlow module.
      node: the node. Its name in the graph is "op".
      fed: the number of the input that becomes the placeholder.
      given: a function that returns the value of a constant input for the input's
        number, tensor and kind of data type (see `_letter`).

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
        raise GraphError("the graph does not state the data types of the node's inputs")
    if len(found) != len(node.inputs):
        raise GraphError(
            f"the node has {len(node.inputs)} inputs, but the op takes {len(found)}"
        )
    return found
