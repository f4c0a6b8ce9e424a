"""Runs models of TensorFlow Lite, with weights for experiments.

The interpreter computes in single precision and has no gradients. The model that it
runs is a changed copy: the operators between the input and the outputs, with other
weights.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from receptive_field.errors import GraphError
from receptive_field.frameworks.alone import ALONE
from receptive_field.frameworks.quiet import imported
from receptive_field.frameworks.tflite.content import Content
from receptive_field.frameworks.tflite.definitions import (
    CALLING,
    VARIABLE,
    Activation,
    Operator,
    Source,
)
from receptive_field.frameworks.tflite.schema import BUILTINS
from receptive_field.frameworks.tflite.tensors import TensorInfo
from receptive_field.frameworks.weights import (
    Between,
    leaf_scales,
    scale_of_weights,
)
from receptive_field.graph.graph import Node, Tensor
from receptive_field.graph.model import Model
from receptive_field.graph.runner import Array, Computation
from receptive_field.rules.op import Call

PACKAGES = ("ai_edge_litert", "tensorflow.lite.python")
"""Packages with an interpreter and with the classes of the schema, the best first."""

DTYPES = {
    "FLOAT32": "float32",
    "FLOAT16": "float16",
    "FLOAT64": "float64",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "BOOL": "bool",
    "COMPLEX64": "complex64",
}
"""Data types that the interpreter exchanges as arrays -> NumPy's names."""

REFERENCE, OPTIMISED = "BUILTIN_REF", "BUILTIN_WITHOUT_DEFAULT_DELEGATES"
"""Names of the sets of kernels: those that define the ops, and the fast ones."""


class TFLiteRunner:
    """Runs models of TensorFlow Lite; see `graph.runner.Runner`."""

    def __init__(self) -> None:
        """Imports an interpreter.

        Raises:
          GraphError: if none is installed.
        """
        for package in PACKAGES:
            try:
                self._interpreters = imported(f"{package}.interpreter")
                self._schema = import_module(f"{package}.schema_py_generated")
                self._flatbuffers = import_module("flatbuffers")
            except ImportError:
                continue
            break
        else:
            raise GraphError(
                "a measurement runs the network with TensorFlow Lite, which is not "
                'installed: run pip install "receptive_field[tflite]", or '
                '"receptive_field[tensorflow]"'
            )
        self._models: dict[int, tuple[Content, Any]] = {}

    def network(
        self,
        model: Model,
        network: Between,
        outputs: Sequence[Tensor],
        shape: Sequence[int],
    ) -> Computation:
        """Returns a computation of the outputs from an image of this shape."""
        graph = model.graph
        places = [
            graph.nodes[index].definition.outputs[number]
            for index, number in map(self._checked(network), outputs)
        ]
        start = graph.nodes[network.input[0]].definition.outputs[network.input[1]]
        made = copy.deepcopy(self._model(start))
        weights = self._weights(network)
        for tensor, values in weights:
            own = made.subgraphs[tensor.subgraph].tensors[tensor.number]
            _fill(self._schema, made, own, values, tensor)
        for index, _ in outputs:
            definition = graph.nodes[index].definition
            if isinstance(definition, Operator) and definition.activation:
                _without_activation(made, definition)
        _cut(made, start.subgraph, start.number, [place.number for place in places])
        return self.compute(made, places, start, shape, OPTIMISED)

    def _checked(self, network: Between) -> Callable[[Tensor], Tensor]:
        """Returns a function that returns an output that the interpreter can return.

        Raises:
          GraphError: if the network computes with quantised numbers, or if the tensor
            is not one of the subgraph that is run.
        """
        graph = network.graph
        nodes = [graph.nodes[index] for index in network.order]
        for node in nodes:
            read = (graph.nodes[index].definition for index, _ in node.inputs)
            for definition in (node.definition, *read):
                tensors = getattr(definition, "outputs", ())
                if any(tensor.is_quantised for tensor in tensors):
                    raise GraphError(
                        f"the network computes with quantised numbers (in {node.op} "
                        f"node {node.name!r}), which hide small contributions. Measure "
                        "the model that it was converted from, or convert the model "
                        "without quantisation"
                    )

        def checked(tensor: Tensor) -> Tensor:
            for end in (tensor, network.input):
                if graph.nodes[end[0]].frame.function:
                    raise GraphError(
                        f"{graph.name_of(end)!r} is inside a subgraph that the model "
                        "calls, so the interpreter cannot use it. Measure from an "
                        "input to an output of the model"
                    )
            return tensor

        definition = graph.nodes[network.input[0]].definition
        if isinstance(definition, Operator) and definition.activation:
            raise GraphError(
                f"{graph.name_of(network.input)!r} has no tensor in the file, because "
                "the op applies an activation to it. Measure from the activation"
            )
        return checked

    def _weights(self, network: Between) -> list[tuple[TensorInfo, Array]]:
        """Returns the constants that get new values, with these values."""
        found = []
        graph = network.graph
        for index, scale in leaf_scales(network, scale_of_input).items():
            definition = graph.nodes[index].definition
            if not isinstance(definition, Source) or scale is None:
                continue
            tensor = definition.tensor
            size = int(np.prod(tensor.stored_shape))
            if "FLOAT" in tensor.type and size > 1 and tensor.data is not None:
                random = np.random.default_rng(index)
                values = random.uniform(0.5, 1.5, tensor.stored_shape) * scale
                found.append((tensor, values))
        return found

    def runs(self, node: Node) -> bool:
        """Returns whether the interpreter can run this node as a single op."""
        operator = node.definition
        return isinstance(operator, Activation) or (
            isinstance(operator, Operator) and node.op not in CALLING
        )

    def reads(self, node: Node, number: int) -> bool:
        """Returns True: every op reads all of its inputs."""
        return True

    def scale(self, call: Call) -> float | None:
        """Returns the scale to give weights that reach features through this call."""
        return scale_of_weights(call)

    def alone(
        self, node: Node, number: int, given: Callable[[int, Tensor, str], Array]
    ) -> _Alone:
        """Returns a model in which the node runs by itself."""
        definition = node.definition
        model, fed = self._alone(node, number, given)
        return _Alone(self, model, definition.outputs, fed)

    def _alone(
        self, node: Node, fed: int, given: Callable[[int, Tensor, str], Array]
    ) -> tuple[Any, TensorInfo]:
        definition, schema = node.definition, self._schema
        whole = self._model(definition.outputs[0])
        made = schema.ModelT()
        made.version, made.buffers = 3, [schema.BufferT()]
        made.operatorCodes, others = [], []
        if node.op in WITH_BODY:  # It refers to another subgraph by its number.
            made.buffers, others = [*whole.buffers], whole.subgraphs[1:]
            made.operatorCodes = [*whole.operatorCodes]
        subgraph = schema.SubGraphT()
        subgraph.tensors, subgraph.operators = [], []
        operator, code, tensors = self._operator(definition, whole)
        places = dict(zip(_places(definition), range(len(tensors)), strict=True))
        for number, tensor in enumerate(tensors):
            below = node.inputs[number]
            own = _plain(schema, whole, tensor)
            kept = node.graph.nodes[below[0]].op == VARIABLE
            if number != fed and not kept:
                kind = np.dtype(_dtype(tensor)).kind
                _fill(schema, made, own, given(number, below, kind), tensor)
            elif kept:
                own.shape, own.isVariable = list(tensor.stored_shape), True
            subgraph.tensors.append(own)
        count = 1 if operator.inputs is None else len(operator.inputs)
        operator.inputs = [places.get(place, -1) for place in range(count)]
        operator.outputs = []
        for tensor in definition.outputs:
            operator.outputs.append(len(subgraph.tensors))
            subgraph.tensors.append(_plain(schema, whole, tensor))
        operator.opcodeIndex, operator.intermediates = len(made.operatorCodes), None
        subgraph.inputs, subgraph.outputs = [fed], list(operator.outputs)
        subgraph.operators = [operator]
        made.operatorCodes.append(code)
        made.subgraphs = [subgraph, *others]
        return made, tensors[fed]

    def _operator(
        self, definition: Any, whole: Any
    ) -> tuple[Any, Any, Sequence[TensorInfo]]:
        """Returns an operator without activation, its code, and what it reads."""
        if isinstance(definition, Activation):
            if definition.op not in BUILTINS:
                raise GraphError(f"there is no op {definition.op}")
            code = self._schema.OperatorCodeT()
            code.builtinCode = code.deprecatedBuiltinCode = BUILTINS.index(
                definition.op
            )
            code.version = 1
            return self._schema.OperatorT(), code, definition.outputs
        subgraph, number = definition.place
        operator = copy.copy(whole.subgraphs[subgraph].operators[number])
        if definition.activation:
            operator.builtinOptions = copy.copy(operator.builtinOptions)
            operator.builtinOptions.fusedActivationFunction = 0
        return operator, whole.operatorCodes[operator.opcodeIndex], definition.given

    def _model(self, tensor: TensorInfo) -> Any:
        """Returns the model of a tensor, as an object of the schema."""
        content = tensor.content
        if id(content) not in self._models:
            with self._failing("the model"):
                whole = self._schema.ModelT.InitFromPackedBuf(content.whole(), 0)
            self._models[id(content)] = content, whole
        return self._models[id(content)][1]

    def compute(
        self,
        model: Any,
        outputs: Sequence[TensorInfo],
        start: TensorInfo,
        shape: Sequence[int],
        kernels: str,
    ) -> Computation:
        """Returns a computation of outputs of a model from an image of this shape.

        Args:
          model: the model. The first input of its first subgraph is the image.
          outputs: what the outputs of this subgraph are.
          start: what the image is.
          shape: the shape of the image.
          kernels: the set of kernels to use.
        """
        with self._failing("the model"):
            builder = self._flatbuffers.Builder(1024)
            builder.Finish(model.Pack(builder), b"TFL3")
            interpreter = self._interpreter(bytes(builder.Output()), kernels)
            image, *others = interpreter.get_input_details()
            interpreter.resize_tensor_input(image["index"], shape)
            interpreter.allocate_tensors()
            for other in others:
                ones = np.ones(other["shape"], other["dtype"])
                interpreter.set_tensor(other["index"], ones)
            numbers = [detail["index"] for detail in interpreter.get_output_details()]
        dtype = np.dtype(_dtype(start))

        def run(given: Array) -> list[Array]:
            with self._failing("the model"):
                interpreter.reset_all_variables()
                interpreter.set_tensor(image["index"], np.asarray(given, dtype))
                interpreter.invoke()
                return [interpreter.get_tensor(number) for number in numbers]

        return Computation(run, dtype, lambda image, factors: None)

    def _interpreter(self, content: bytes, kernels: str) -> Any:
        types = self._interpreters.OpResolverType
        with ALONE.held(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self._interpreters.Interpreter(
                model_content=content,
                num_threads=1,
                experimental_op_resolver_type=getattr(types, kernels),
            )

    @contextmanager
    def _failing(self, what: str) -> Iterator[None]:
        """Turns errors of the interpreter into a `GraphError` that says what failed."""
        try:
            yield
        except (ValueError, RuntimeError, TypeError, KeyError) as error:
            reason = " ".join(str(error).split())[:500]
            raise GraphError(f"TensorFlow Lite cannot run {what}: {reason}") from error


class _Alone:
    """An operator in a model of its own; see `graph.runner.Alone`."""

    def __init__(
        self,
        runner: TFLiteRunner,
        model: Any,
        outputs: Sequence[TensorInfo],
        fed: TensorInfo,
    ) -> None:
        self._runner, self._model = runner, model
        self._outputs, self._fed = outputs, fed
        builder = runner._flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        self.content = bytes(builder.Output())

    def computations(
        self, output: int, shape: Sequence[int]
    ) -> Iterator[Callable[[], Computation]]:
        """Yields ways to compute an output: with reference kernels, and with others."""
        for kernels in (REFERENCE, OPTIMISED):
            yield partial(self._compute, output, shape, kernels)

    def _compute(self, output: int, shape: Sequence[int], kernels: str) -> Computation:
        subgraph = self._model.subgraphs[0]
        subgraph.tensors[subgraph.inputs[0]].shape = list(shape)
        place = subgraph.operators[0].outputs[output]
        subgraph.outputs = [place]
        return self._runner.compute(
            self._model, self._outputs[output : output + 1], self._fed, shape, kernels
        )


WITH_BODY = ("STABLEHLO_REDUCE_WINDOW", "STABLEHLO_SCATTER")
"""Ops that combine two numbers with a subgraph."""

BIASES = {
    "CONV_2D": 2,
    "DEPTHWISE_CONV_2D": 2,
    "CONV_3D": 2,
    "FULLY_CONNECTED": 2,
    "TRANSPOSE_CONV": 3,
    "CONV_3D_TRANSPOSE": 3,
    "ADD": 0,
    "SUB": 0,
    "ADD_N": 0,
}
"""Op -> the number of the input from which on inputs are added to the features."""


def scale_of_input(call: Call, number: int) -> float | None:
    """Returns the scale of a weight that reaches the features as this input."""
    bias = BIASES.get(call.node.op)
    return 0.0 if bias is not None and number >= bias else scale_of_weights(call)


def _dtype(tensor: TensorInfo) -> str:
    if tensor.type not in DTYPES:
        raise GraphError(f"no array can hold numbers of the type {tensor.type}")
    return DTYPES[tensor.type]


def _places(definition: Any) -> Sequence[int]:
    return definition.places if isinstance(definition, Operator) else [0]


def _plain(schema: Any, whole: Any, tensor: TensorInfo) -> Any:
    """Returns a tensor without values that is like another one."""
    like = whole.subgraphs[tensor.subgraph].tensors[tensor.number]
    own = schema.TensorT()
    own.name, own.type, own.quantization = like.name, like.type, like.quantization
    own.shape, own.buffer = [], 0
    return own


def _fill(schema: Any, model: Any, own: Any, values: Array, like: TensorInfo) -> None:
    """Gives a tensor values and their shape."""
    buffer = schema.BufferT()
    array = np.ascontiguousarray(values, dtype=_dtype(like))
    buffer.data = np.frombuffer(array.tobytes(), dtype=np.uint8)
    own.shape, own.buffer = list(values.shape), len(model.buffers)
    model.buffers.append(buffer)


def _without_activation(model: Any, definition: Operator) -> None:
    subgraph, number = definition.place
    operator = model.subgraphs[subgraph].operators[number]
    operator.builtinOptions.fusedActivationFunction = 0


def _cut(model: Any, main: int, start: int, ends: Sequence[int]) -> None:
    """Leaves only the operators of a subgraph between an input and some outputs.

    The subgraph becomes the first of the model, which is the one that is run.
    """
    subgraph = model.subgraphs[main]
    needed, kept = set(ends), []
    for operator in reversed(subgraph.operators):
        outputs = set(operator.outputs)
        if outputs & needed and start not in outputs:
            kept.append(operator)
            needed.update(operator.inputs)
    others = [number for number in subgraph.inputs if number in needed - {start}]
    subgraph.operators = kept[::-1]
    subgraph.inputs, subgraph.outputs = [start, *others], list(ends)
    subgraphs = model.subgraphs
    subgraphs[0], subgraphs[main] = subgraphs[main], subgraphs[0]
    model.signatureDefs = []
