"""The protobuf messages of a TensorFlow graph, without TensorFlow.

Field numbers are TensorFlow's (tensorflow/core/framework/*.proto).
"""

from __future__ import annotations

from typing import Any

from receptive_field.frameworks.protobuf import message_classes
from receptive_field.frameworks.tensorflow.attributes import DATA_TYPES

_MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "GraphDef": {
        "node": (1, "*NodeDef"),
        "library": (2, "FunctionDefLibrary"),
        "versions": (4, "VersionDef"),
    },
    "VersionDef": {"producer": (1, "int32"), "min_consumer": (2, "int32")},
    "NodeDef": {
        "name": (1, "string"),
        "op": (2, "string"),
        "input": (3, "*string"),
        "device": (4, "string"),
        "attr": (5, "map AttrValue"),
    },
    "AttrValue": {
        "list": (1, "ListValue"),
        "s": (2, "bytes"),
        "i": (3, "int64"),
        "f": (4, "float"),
        "b": (5, "bool"),
        "type": (6, "DataType"),
        "shape": (7, "TensorShapeProto"),
        "tensor": (8, "TensorProto"),
        "placeholder": (9, "string"),
        "func": (10, "NameAttrList"),
    },
    "ListValue": {
        "s": (2, "*bytes"),
        "i": (3, "*int64"),
        "f": (4, "*float"),
        "b": (5, "*bool"),
        "type": (6, "*DataType"),
        "shape": (7, "*TensorShapeProto"),
        "tensor": (8, "*TensorProto"),
        "func": (9, "*NameAttrList"),
    },
    "NameAttrList": {"name": (1, "string"), "attr": (2, "map AttrValue")},
    "Dim": {"size": (1, "int64"), "name": (2, "string")},
    "TensorShapeProto": {"dim": (2, "*Dim"), "unknown_rank": (3, "bool")},
    "TensorProto": {
        "dtype": (1, "DataType"),
        "tensor_shape": (2, "TensorShapeProto"),
        "version_number": (3, "int32"),
        "tensor_content": (4, "bytes"),
        "float_val": (5, "*float"),
        "double_val": (6, "*double"),
        "int_val": (7, "*int32"),
        "string_val": (8, "*bytes"),
        "int64_val": (10, "*int64"),
        "bool_val": (11, "*bool"),
        "half_val": (13, "*int32"),
        "uint32_val": (16, "*uint32"),
        "uint64_val": (17, "*uint64"),
    },
    "FunctionDefLibrary": {"function": (1, "*FunctionDef")},
    "FunctionDef": {
        "signature": (1, "OpDef"),
        "node_def": (3, "*NodeDef"),
        "ret": (4, "map string"),
        "attr": (5, "map AttrValue"),
    },
    "OpDef": {
        "name": (1, "string"),
        "input_arg": (2, "*ArgDef"),
        "output_arg": (3, "*ArgDef"),
    },
    "SavedModel": {"meta_graphs": (2, "*MetaGraphDef")},
    "MetaGraphDef": {
        "meta_info_def": (1, "MetaInfoDef"),
        "graph_def": (2, "GraphDef"),
        "signature_def": (5, "map SignatureDef"),
    },
    "MetaInfoDef": {"tags": (4, "*string")},
    "SignatureDef": {
        "inputs": (1, "map TensorInfo"),
        "outputs": (2, "map TensorInfo"),
        "method_name": (3, "string"),
    },
    "TensorInfo": {"name": (1, "string"), "dtype": (2, "DataType")},
    "ArgDef": {
        "name": (1, "string"),
        "type": (3, "DataType"),
        "type_attr": (4, "string"),
        "number_attr": (5, "string"),
        "type_list_attr": (6, "string"),
    },
}


def _numbers() -> dict[str, int]:
    """Returns the number of each data type; that of a reference is 100 higher."""
    plain = {f"DT_{name}": number for number, name in enumerate(DATA_TYPES)}
    references = {
        f"{name}_REF": number + 100 for name, number in plain.items() if number
    }
    return plain | references


_message_class = message_classes(
    "receptive_field",
    _MESSAGES,
    choices={"AttrValue": "value"},
    enums={"DataType": _numbers()},
)

AttrValue: Any = _message_class("AttrValue")
"""The message class of an attribute."""

GraphDef: Any = _message_class("GraphDef")
"""The message class of a graph, which contains all other parts of the graph."""

MetaGraphDef: Any = _message_class("MetaGraphDef")
"""The message class of a graph with signatures, from a ``.meta`` file or SavedModel."""

NodeDef: Any = _message_class("NodeDef")
"""The message class of a node."""

SavedModel: Any = _message_class("SavedModel")
"""The message class of ``saved_model.pb``."""

TensorProto: Any = _message_class("TensorProto")
"""The message class of a constant's value."""
