"""The random weights that an ONNX model is run with in an experiment."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from receptive_field.frameworks.onnx.attributes import EXTERNAL
from receptive_field.frameworks.onnx.definitions import NO_SCOPE, of_node
from receptive_field.frameworks.weights import Between, leaf_scales, scale_of_weights
from receptive_field.rules.op import Call

NUMPY_TYPES: dict[int, str] = {
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    9: "bool",
    10: "float16",
    11: "float64",
    12: "uint32",
    13: "uint64",
}
"""Data type -> the name of its NumPy type."""

ADDING = frozenset({"Add", "Sub", "Sum"})
"""Ops that add their inputs."""

OFFSETS: dict[str, tuple[int, ...]] = {
    "BatchNormalization": (2, 3),
    "Conv": (2,),
    "ConvTranspose": (2,),
    "DeformConv": (3,),
    "GRU": (3,),
    "Gemm": (2,),
    "GroupNormalization": (2,),
    "InstanceNormalization": (2,),
    "LSTM": (3,),
    "LayerNormalization": (2,),
    "RNN": (3,),
    "com.microsoft.BiasGelu": (1,),
    "com.microsoft.FastGelu": (1,),
    "com.microsoft.FusedConv": (2,),
    "com.microsoft.FusedGemm": (2,),
    "com.microsoft.FusedMatMul": (),
    "com.microsoft.GroupNorm": (2,),
    "com.microsoft.NhwcFusedConv": (2,),
    "com.microsoft.SkipLayerNormalization": (3, 4),
}
"""Op type -> the numbers of the inputs that are added to products or features."""

FACTORS: dict[str, tuple[int, ...]] = {
    "BatchNormalization": (1, 4),
    "GroupNormalization": (1,),
    "InstanceNormalization": (1,),
    "LayerNormalization": (1,),
    "RMSNormalization": (1,),
    "com.microsoft.GroupNorm": (1,),
    "com.microsoft.SkipLayerNormalization": (2,),
}
"""Op type -> the numbers of the inputs by which features are multiplied or divided."""


def weight_scale(call: Call, number: int) -> float | None:
    """Returns the scale of a weight that reaches the features through an input."""
    op = call.node.op
    if number in OFFSETS.get(op, ()):
        return 0.0
    if number in FACTORS.get(op, ()):
        return 1.0
    return scale_of_weights(call, op in ADDING)


def network_scales(network: Between) -> dict[str, float | None]:
    """Returns the scale of each node without inputs that reaches the features."""
    nodes = network.graph.nodes
    found = leaf_scales(network, weight_scale)
    return {nodes[index].name: scale for index, scale in found.items()}


class Constant(NamedTuple):
    """A constant of a model, as one call of a function sees it."""

    name: str
    """The name of its node in the graph."""
    place: str
    """Where it is in the file; the same for all calls of a function."""
    tensor: Any
    """The TensorProto."""


def constants(model: Any) -> Iterator[Constant]:
    """Yields the constants of a ModelProto."""
    functions = {(f.domain, f.name, f.overload): f for f in model.functions}

    def of_graph(graph: Any, scope: str, place: str) -> Iterator[Constant]:
        for tensor in graph.initializer:
            yield Constant(scope + tensor.name, place + tensor.name, tensor)
        yield from of_nodes(graph.node, scope, place)

    def of_nodes(nodes: Sequence[Any], scope: str, place: str) -> Iterator[Constant]:
        for node in nodes:
            definition = of_node(node, NO_SCOPE)
            if definition is None:
                continue
            name, own = scope + definition.name, place + definition.name
            key = node.domain, node.op_type, node.overload
            if key in functions:
                yield from of_nodes(functions[key].node, f"{name}/", f"{key}/")
            for attribute in node.attribute:
                if node.op_type == "Constant" and attribute.name == "value":
                    yield Constant(name, own, attribute.t)
                elif attribute.HasField("g"):
                    part = f"{attribute.name}/" if node.op_type == "If" else ""
                    below = f"{own}/{attribute.name}/"
                    yield from of_graph(attribute.g, f"{name}/{part}", below)

    return of_graph(model.graph, "", "")


def set_weights(model: Any, chosen: Mapping[str, float | None]) -> None:
    """Writes random weights into a model, also where the values are missing.

    Args:
      model: a complete ModelProto, which is changed.
      chosen: name of a node -> its scale; see `scale_of_weights`.
    """
    tensors: dict[str, Any] = {}
    wanted: dict[str, list[float]] = {}
    for name, place, tensor in constants(model):
        tensors[place] = tensor
        scale = chosen.get(name)
        if scale is not None:
            wanted.setdefault(place, []).append(scale)
    for number, (place, tensor) in enumerate(tensors.items()):
        # The same preference as between the uses of one weight.
        found = min(wanted.get(place, ()), key=lambda scale: scale or 2.0, default=None)
        _set_weight(tensor, found, np.random.default_rng(number))


def _set_weight(tensor: Any, scale: float | None, random: np.random.Generator) -> None:
    size = math.prod(tensor.dims)
    missing = is_missing(tensor)
    name = NUMPY_TYPES.get(tensor.data_type)
    if name is None or not (missing or (size > 1 and scale is not None)):
        return
    dtype = np.dtype(name)
    if dtype.kind == "f":
        value = random_values(random, tensor.dims, 1.0 if scale is None else scale)
        write(tensor, value.astype(dtype))
    elif missing or (scale and dtype.itemsize == 1):  # The kernel of a quantised layer.
        one = 1 if dtype.itemsize == 1 and scale != 0 else 0
        write(tensor, np.full(tensor.dims, one, dtype))


def random_values(
    random: np.random.Generator, shape: Sequence[int], scale: float
) -> NDArray[np.float32]:
    """Returns random positive numbers with this average."""
    values = random.random(tuple(shape), dtype=np.float32)
    values += np.float32(0.5)
    values *= np.float32(scale)
    return values


def is_missing(tensor: Any) -> bool:
    """Returns whether a TensorProto has no values, or has them in another file."""
    return tensor.data_location == EXTERNAL or (
        math.prod(tensor.dims) > 0
        and not tensor.raw_data
        and not any(len(getattr(tensor, field)) for field in _FIELDS)
        and tensor.data_type != _TEXT
    )


_FIELDS = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data")
_TEXT = 8


def write(tensor: Any, value: NDArray[Any]) -> None:
    """Writes a value into a TensorProto."""
    for field in (*_FIELDS, "external_data", "data_location"):
        tensor.ClearField(field)
    numbers = {name: number for number, name in NUMPY_TYPES.items()}
    tensor.data_type = numbers[value.dtype.name]
    tensor.dims[:] = value.shape
    tensor.raw_data = np.ascontiguousarray(
        value, value.dtype.newbyteorder("<")
    ).tobytes()
