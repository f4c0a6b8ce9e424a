"""Finds the data types of values, which a model states for some values only.

The schemas of onnxruntime say which input or attribute an output has its type from.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from receptive_field.frameworks.onnx.attributes import StatedTensor, message_of
from receptive_field.frameworks.onnx.definitions import MAIN_DOMAINS
from receptive_field.graph.graph import Graph, Node, Tensor
from receptive_field.rules.control import EACH
from receptive_field.rules.op import rule_of

_NUMBERS = {
    "float": 1,
    "uint8": 2,
    "int8": 3,
    "uint16": 4,
    "int16": 5,
    "int32": 6,
    "int64": 7,
    "string": 8,
    "bool": 9,
    "float16": 10,
    "double": 11,
    "uint32": 12,
    "uint64": 13,
    "bfloat16": 16,
}
UNKNOWN = 0

_ATTRIBUTES = ("to", "dtype", "output_dtype")
"""Attributes that state the type of the first output."""

_PASSED = {
    "If": 1,
    "Loop": 1,
    "Scan": 1,
    "Merge": 0,
    "NextIteration": 0,
    "ScanSlice": 0,
}
"""Op type -> the number of the input that has the type of the first output, for nodes
of branches and loops that are written out."""


class DataTypes:
    """The data types of the values of a graph."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._schemas: dict[tuple[str, str], list[Any]] | None = None

    def of(self, tensor: Tensor) -> int:
        """Returns the number of a value's data type, or `UNKNOWN`."""
        visited: set[Tensor] = set()
        while tensor not in visited:
            visited.add(tensor)
            found = self._step(self._graph.nodes[tensor[0]], tensor[1])
            if isinstance(found, int):
                return found
            tensor = found
        return UNKNOWN

    def _step(self, node: Node, output: int) -> int | Tensor:
        """Returns the type of an output, or a tensor that has the same type."""
        definition = node.definition
        message = definition.message
        if node.op in _PASSED or rule_of(node) == EACH:
            return node.inputs[_PASSED.get(node.op, 0) + output]
        if node.op == "Iteration":
            return _NUMBERS["int64"]
        if node.op == "Input":
            return int(message.type.tensor_type.elem_type)
        if node.op == "Initializer":
            tensor = getattr(message, "values", message)
            return int(tensor.data_type)
        if output < len(definition.outputs):
            stated = definition.scope.types.get(definition.outputs[output])
            if stated is not None and stated.tensor_type.elem_type:
                return int(stated.tensor_type.elem_type)
        if not hasattr(message, "op_type"):
            return UNKNOWN
        return self._by_schema(node, output)

    def _by_schema(self, node: Node, output: int) -> int | Tensor:
        if node.op in ("Constant", "ConstantOfShape"):
            value = node.attribute("value")
            if isinstance(value, StatedTensor):
                return value.data_type
            return 7 if node.has("value_int") or node.has("value_ints") else 1
        for name in _ATTRIBUTES:
            stated = message_of(node.definition, name)
            if stated is not None and stated.i and not output:
                return int(stated.i)
        schema = self._schema(node)
        if schema is None or not schema.outputs:
            return UNKNOWN
        letter = schema.outputs[min(output, len(schema.outputs) - 1)].typeStr
        for number, tensor in enumerate(node.inputs):
            place = min(number, len(schema.inputs) - 1)
            given = tensor[0] != self._graph.index_of.get("")
            if schema.inputs[place].typeStr == letter and given:
                return tensor
        allowed = [
            allowed
            for constraint in schema.type_constraints
            if constraint.type_param_str == letter
            for allowed in constraint.allowed_type_strs
        ] or [letter]
        # Without an input or attribute that says another one, ops make the first.
        first = "tensor(float)" if "tensor(float)" in allowed else allowed[0]
        return _NUMBERS.get(first.removeprefix("tensor(").removesuffix(")"), UNKNOWN)

    def _schema(self, node: Node) -> Any | None:
        """Returns onnxruntime's schema of an op in the operator set of a node."""
        if self._schemas is None:
            self._schemas = {}
            module = import_module("onnxruntime.capi._pybind_state")
            for schema in module.get_all_operator_schema():
                key = schema.domain, schema.name
                self._schemas.setdefault(key, []).append(schema)
        message = node.definition.message
        domain = "" if message.domain in MAIN_DOMAINS else message.domain
        version = node.definition.scope.opsets.get(domain, 1)
        among = self._schemas.get((domain, message.op_type), [])
        fitting = [schema for schema in among if schema.since_version <= version]
        return max(fitting, key=lambda schema: schema.since_version, default=None)
