"""Runs ONNX models with onnxruntime, with weights for experiments.

Models run without optimisations and on one thread. Then an output that does not depend
on a position is computed in the same way, bit by bit, if that position changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from receptive_field.errors import GraphError
from receptive_field.frameworks.onnx.attributes import message_of, sizes_of
from receptive_field.frameworks.onnx.data_types import DataTypes
from receptive_field.frameworks.onnx.messages import ModelProto
from receptive_field.frameworks.onnx.weights import (
    NUMPY_TYPES,
    network_scales,
    random_values,
    set_weights,
    weight_scale,
    write,
)
from receptive_field.frameworks.weights import Between
from receptive_field.graph.graph import Graph, Node, Tensor
from receptive_field.graph.model import Model
from receptive_field.graph.runner import Computation
from receptive_field.rules.control import EACH
from receptive_field.rules.op import Call, rule_of

IR_VERSION = 10
"""The version of the file format for models of a single node."""

LARGEST_MODEL = (1 << 31) - 1
"""The largest number of bytes of a protobuf message."""


class OnnxRunner:
    """Runs ONNX models; see `graph.runner.Runner`."""

    def __init__(self) -> None:
        """Imports onnxruntime.

        Raises:
          GraphError: if onnxruntime is not installed.
        """
        try:
            self._runtime = import_module("onnxruntime")
        except ImportError:
            raise GraphError(
                "a measurement runs the network with onnxruntime, which is not "
                'installed: run pip install "receptive_field[onnx]"'
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
        start = _value_name(graph, network.input)
        names = [_value_name(graph, output) for output in outputs]
        whole = ModelProto.FromString(model.definition.SerializeToString())
        types = DataTypes(graph)
        chosen = network_scales(network)
        _keep_between(whole.graph, start, names, types.of(network.input), shape)
        _give_inputs(whole.graph, network, chosen)
        set_weights(whole, chosen)
        return self.computation(whole, start, names, shape, "the network")

    def runs(self, node: Node) -> bool:
        """Returns whether onnxruntime can run this node as a single op."""
        message = node.definition.message
        written_out = node.op in ("If", "Loop", "Scan") or rule_of(node) == EACH
        return hasattr(message, "op_type") and not written_out

    def reads(self, node: Node, number: int) -> bool:
        """Returns whether the op reads this input in an experiment: always."""
        return True

    def scale(self, call: Call) -> float | None:
        """Returns the scale to give weights that reach features through this call."""
        return weight_scale(call, -1)

    def alone(
        self, node: Node, number: int, given: Callable[[int, Tensor, str], Any]
    ) -> _Alone:
        """Returns a model in which the node runs by itself."""
        return _Alone(self, *_alone(node, number, given))

    def computation(
        self,
        model: Any,
        start: str,
        outputs: Sequence[str],
        shape: Sequence[int],
        what: str,
    ) -> Computation:
        """Returns the computation of outputs of a model from an image.

        Args:
          model: a ModelProto, whose only input is ``start``.
          start: the name of the input.
          outputs: the names of the outputs.
          shape: the shape of the image.
          what: what is run, for errors.
        """
        size = model.ByteSize()
        if size > LARGEST_MODEL:
            raise GraphError(
                f"{what} cannot be run: with its weights inside, the model has {size} "
                "bytes, more than protobuf allows."
            )
        (value,) = (v for v in model.graph.input if v.name == start)
        _state(value, value.type.tensor_type.elem_type, shape)
        dtype = np.dtype(NUMPY_TYPES[value.type.tensor_type.elem_type])
        runtime = self._runtime
        options = runtime.SessionOptions()
        level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.graph_optimization_level = level
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        with self._failing(what):
            session = runtime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )

        def run(image: Any) -> list[Any]:
            with self._failing(what):
                found = session.run(list(outputs), {start: image.astype(dtype)})
            for name, output in zip(outputs, found, strict=True):
                if not isinstance(output, np.ndarray):
                    raise GraphError(f"the output {name!r} is not a tensor.")
            return list(found)

        return Computation(run, dtype, lambda image, factors: None)

    @contextmanager
    def _failing(self, what: str) -> Iterator[None]:
        """Turns onnxruntime's errors into a `GraphError`. They have no common class."""
        try:
            yield
        except Exception as error:
            reason = " ".join(str(error).split())[:500]
            raise GraphError(f"onnxruntime cannot run {what}: {reason}") from error


class _Alone:
    """A node in a model of its own; see `graph.runner.Alone`."""

    def __init__(self, runner: OnnxRunner, model: Any, start: str) -> None:
        self._runner, self._model, self._start = runner, model, start
        self.content: bytes = model.SerializeToString(deterministic=True)

    def computations(
        self, output: int, shape: Sequence[int]
    ) -> Iterator[Callable[[], Computation]]:
        """Yields the way to compute an output, in the precision of the node."""
        yield partial(self._compute, output, shape)

    def _compute(self, output: int, shape: Sequence[int]) -> Computation:
        model = ModelProto.FromString(self.content)
        name = f"output_{output}"
        model.graph.output.add(name=name)
        return self._runner.computation(model, self._start, [name], shape, "the node")


def _value_name(graph: Graph, tensor: Tensor) -> str:
    """Returns the name of the value in the main graph of the model.

    Raises:
      GraphError: if the value is inside a function or a subgraph.
    """
    node = graph.nodes[tensor[0]]
    if node.frame is not graph.nodes.root:
        raise GraphError(
            f"{graph.name_of(tensor)!r} is inside a function, a branch or a loop of "
            "the model, so onnxruntime cannot return its value. Measure a value of "
            "the main graph."
        )
    outputs = node.definition.outputs
    name: str = outputs[tensor[1]] if outputs else node.definition.name
    return name


# --- The part of a model between an input and outputs ---------------------------------


def _state(value: Any, data_type: int, shape: Sequence[int]) -> None:
    """States the type and the shape of a ValueInfoProto."""
    value.type.Clear()
    value.type.tensor_type.elem_type = data_type
    stated = value.type.tensor_type.shape
    for size in shape:
        stated.dim.add(dim_value=size)


def _reads(node: Any) -> Iterator[str]:
    """Yields the names of all values that a node and its subgraphs read."""
    yield from node.input
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                yield from _reads(inner)
            yield from (value.name for value in graph.output)


def _keep_between(
    graph: Any,
    start: str,
    outputs: Sequence[str],
    data_type: int,
    shape: Sequence[int],
) -> None:
    """Removes what outputs do not need, and makes a value the first input of a graph.

    The sizes that the graph states for other values may be those of another image, and
    are removed, too.
    """
    makers: dict[str, int] = {}
    for number, node in enumerate(graph.node):
        for place, name in enumerate(node.output):
            if name == start:
                node.output[place] = f"{start} of the model"
            elif name:
                makers[name] = number
    kept: set[int] = set()
    read, waiting = {start, *outputs}, list(outputs)
    while waiting:
        name = waiting.pop()
        number = makers.get(name, -1)
        if name == start or number < 0 or number in kept:
            continue
        kept.add(number)
        below = set(_reads(graph.node[number])) - read
        read |= below
        waiting += below
    for number in reversed(range(len(graph.node))):
        if number not in kept:
            del graph.node[number]
    for tensors in (graph.initializer, graph.sparse_initializer):
        for number in reversed(range(len(tensors))):
            tensor = tensors[number]
            name = tensor.values.name if hasattr(tensor, "values") else tensor.name
            if name not in read or name == start:
                del tensors[number]
    constants = {tensor.name for tensor in graph.initializer}
    others = [v for v in graph.input if v.name in read - constants - {start}]
    others = [type(value).FromString(value.SerializeToString()) for value in others]
    for field in ("input", "output", "value_info"):
        graph.ClearField(field)
    _state(graph.input.add(name=start), data_type, shape)
    graph.input.extend(others)
    for name in outputs:
        if name == start:
            raise GraphError(f"the input and the output are both {start!r}.")
        graph.output.add(name=name)


def _give_inputs(
    graph: Any, network: Between, chosen: Mapping[str, float | None]
) -> None:
    """Turns all inputs but the first into constants.

    Raises:
      GraphError: if the type or a size of an input is unknown.
    """
    for number in reversed(range(1, len(graph.input))):
        value = graph.input[number]
        name = value.name
        stated = value.type.tensor_type.elem_type
        shape = network.shape(network.graph.tensor(name))
        sizes: list[Any] = [] if shape is None else list(shape)
        if sizes and sizes_of(value.type) and not isinstance(sizes[0], int):
            sizes[0] = 1  # The batch.
        if (
            shape is None
            or stated not in NUMPY_TYPES
            or not all(isinstance(size, int) for size in sizes)
        ):
            raise GraphError(
                f"the network also reads the input {name!r}, whose type or size is "
                "unknown, so it cannot be run."
            )
        scale = chosen.get(name)
        random = np.random.default_rng(number)
        array = random_values(random, sizes, 1.0 if scale is None else scale)
        kind = np.dtype(NUMPY_TYPES[stated])
        array = array if kind.kind == "f" else np.ones_like(array)
        write(graph.initializer.add(name=name), array.astype(kind))
        del graph.input[number]


# --- A node by itself ----------------------------------------------------------------


def _alone(
    node: Node, fed: int, given: Callable[[int, Tensor, str], Any]
) -> tuple[Any, str]:
    """Returns a model of one node, whose inputs are one input and constants.

    Args:
      node: the node.
      fed: the number of the input that becomes the input of the model.
      given: a function that returns the value of a constant input for the input's
        number, tensor and kind of data type.

    Returns:
      The ModelProto without an output, and the name of its input. Output k of the node
      is called "output_k".

    Raises:
      GraphError: if the data type of an input is unknown.
    """
    definition, types = node.definition, DataTypes(node.graph)
    model = ModelProto(ir_version=IR_VERSION)
    for domain, version in definition.scope.opsets.items():
        model.opset_import.add(domain=domain, version=version)
    graph = model.graph
    graph.name = "node"
    own = graph.node.add()
    own.op_type, own.domain = definition.message.op_type, definition.message.domain
    for attribute in definition.message.attribute:
        found = message_of(definition, attribute.name)
        if found is not None:
            own.attribute.add().CopyFrom(found)
            own.attribute[-1].name = attribute.name
    for number, output in enumerate(definition.outputs):
        own.output.append(f"output_{number}" if output else "")
    for number, tensor in enumerate(node.inputs):
        if tensor[0] == node.graph.index_of.get(""):
            own.input.append("")
            continue
        name = f"input_{number}"
        own.input.append(name)
        data_type = types.of(tensor)
        if data_type not in NUMPY_TYPES:
            raise GraphError(f"onnxruntime cannot be given input {number} of the node")
        if number == fed:
            _state(graph.input.add(name=name), data_type, ())
            continue
        kind = np.dtype(NUMPY_TYPES[data_type])
        letter = "i" if kind.kind == "u" else kind.kind
        array = np.asarray(given(number, tensor, letter)).astype(kind)
        write(graph.initializer.add(name=name), array)
    return model, f"input_{fed}"
