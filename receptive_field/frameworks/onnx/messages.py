"""The protobuf messages of an ONNX model, without the onnx package.

Field numbers are those of the standard (onnx/onnx.proto).
"""

from __future__ import annotations

import math
from typing import Any

from receptive_field.frameworks.onnx.limits import most_values
from receptive_field.frameworks.protobuf import message_classes
from receptive_field.frameworks.wire import Messages

_MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "ModelProto": {
        "ir_version": (1, "int64"),
        "producer_name": (2, "string"),
        "graph": (7, "GraphProto"),
        "opset_import": (8, "*OperatorSetIdProto"),
        "functions": (25, "*FunctionProto"),
    },
    "OperatorSetIdProto": {"domain": (1, "string"), "version": (2, "int64")},
    "GraphProto": {
        "node": (1, "*NodeProto"),
        "name": (2, "string"),
        "initializer": (5, "*TensorProto"),
        "input": (11, "*ValueInfoProto"),
        "output": (12, "*ValueInfoProto"),
        "value_info": (13, "*ValueInfoProto"),
        "sparse_initializer": (15, "*SparseTensorProto"),
    },
    "FunctionProto": {
        "name": (1, "string"),
        "input": (4, "*string"),
        "output": (5, "*string"),
        "attribute": (6, "*string"),
        "node": (7, "*NodeProto"),
        "opset_import": (9, "*OperatorSetIdProto"),
        "domain": (10, "string"),
        "attribute_proto": (11, "*AttributeProto"),
        "value_info": (12, "*ValueInfoProto"),
        "overload": (13, "string"),
    },
    "NodeProto": {
        "input": (1, "*string"),
        "output": (2, "*string"),
        "name": (3, "string"),
        "op_type": (4, "string"),
        "attribute": (5, "*AttributeProto"),
        "domain": (7, "string"),
        "overload": (8, "string"),
        "metadata_props": (9, "*StringStringEntryProto"),
    },
    "StringStringEntryProto": {"key": (1, "string"), "value": (2, "string")},
    "AttributeProto": {
        "name": (1, "string"),
        "f": (2, "float"),
        "i": (3, "int64"),
        "s": (4, "bytes"),
        "t": (5, "TensorProto"),
        "g": (6, "GraphProto"),
        "floats": (7, "*float"),
        "ints": (8, "*int64"),
        "strings": (9, "*bytes"),
        "graphs": (11, "*GraphProto"),
        "type": (20, "int32"),
        "ref_attr_name": (21, "string"),
        "sparse_tensor": (22, "SparseTensorProto"),
    },
    "TensorProto": {
        "dims": (1, "*int64"),
        "data_type": (2, "int32"),
        "float_data": (4, "*float"),
        "int32_data": (5, "*int32"),
        "int64_data": (7, "*int64"),
        "name": (8, "string"),
        "raw_data": (9, "bytes"),
        "double_data": (10, "*double"),
        "uint64_data": (11, "*uint64"),
        "external_data": (13, "*StringStringEntryProto"),
        "data_location": (14, "int32"),
    },
    "SparseTensorProto": {"values": (1, "TensorProto"), "dims": (3, "*int64")},
    "ValueInfoProto": {"name": (1, "string"), "type": (2, "TypeProto")},
    "TypeProto": {
        "tensor_type": (1, "TensorTypeProto"),
        "sequence_type": (4, "SequenceTypeProto"),
        "map_type": (5, "MapTypeProto"),
        "sparse_tensor_type": (8, "TensorTypeProto"),
        "optional_type": (9, "SequenceTypeProto"),
    },
    "TensorTypeProto": {"elem_type": (1, "int32"), "shape": (2, "TensorShapeProto")},
    "SequenceTypeProto": {"elem_type": (1, "TypeProto")},
    "MapTypeProto": {"key_type": (1, "int32"), "value_type": (2, "TypeProto")},
    "TensorShapeProto": {"dim": (1, "*Dimension")},
    "Dimension": {"dim_value": (1, "int64"), "dim_param": (2, "string")},
}

_message_class = message_classes(
    "receptive_field.onnx",
    _MESSAGES,
    choices={"TypeProto": "value", "Dimension": "value"},
)

ModelProto: Any = _message_class("ModelProto")
"""The message class of a model, which contains all other parts of the model."""

TensorProto: Any = _message_class("TensorProto")
"""The message class of a constant."""


def _is_read(description: bytes) -> bool:
    tensor = TensorProto.FromString(description)
    elements: int = math.prod(tensor.dims)
    return elements <= most_values(tensor.data_type)


MODELS = Messages(
    {
        "ModelProto": {7: "GraphProto", 25: "FunctionProto"},
        "GraphProto": {1: "NodeProto", 5: "TensorProto", 15: "SparseTensorProto"},
        "SparseTensorProto": {1: "TensorProto", 2: "TensorProto"},
        "FunctionProto": {7: "NodeProto", 11: "AttributeProto"},
        "NodeProto": {5: "AttributeProto"},
        "AttributeProto": {
            5: "TensorProto",
            6: "GraphProto",
            10: "TensorProto",
            11: "GraphProto",
            22: "SparseTensorProto",
        },
    },
    frozenset({1, 2, 8, 13, 14}),
    _is_read,
)
"""The messages that may contain tensors."""
