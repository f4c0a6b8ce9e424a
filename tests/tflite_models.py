"""Models of TensorFlow Lite with one operator, written with TensorFlow's own schema."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from needed import needed

needed("tensorflow")
flatbuffers = needed("flatbuffers")
schema: Any = needed("tensorflow.lite.python.schema_py_generated")

CODES = {
    name: number
    for name, number in vars(schema.BuiltinOperator).items()
    if not name.startswith("_")
}
"""Builtin op -> its code."""

TYPES = {
    "float32": 0,
    "float16": 1,
    "int32": 2,
    "uint8": 3,
    "int64": 4,
    "bool": 6,
    "int16": 7,
    "complex64": 8,
    "int8": 9,
    "float64": 10,
    "uint32": 15,
    "uint16": 16,
}


class Fed:
    """An input of a model: its shape and type."""

    def __init__(self, *shape: int, dtype: str = "float32") -> None:
        self.shape, self.dtype = shape, dtype


def options(kind: str, second: bool = False, **fields: Any) -> Any:
    """A table of options, and its number in the union that it is in."""
    made = getattr(schema, f"{kind}T")()
    for name, value in fields.items():
        assert hasattr(made, name), name
        setattr(made, name, value)
    union = schema.BuiltinOptions2 if second else schema.BuiltinOptions
    return made, getattr(union, kind), second


class Writer:
    """A model that is written operator by operator."""

    def __init__(self) -> None:
        self.model = schema.ModelT()
        self.model.version, self.model.buffers = 3, [schema.BufferT()]
        self.model.operatorCodes, self.model.subgraphs = [], []
        self.subgraph()

    def subgraph(self) -> int:
        """Begins a subgraph, and returns its number."""
        made = schema.SubGraphT()
        made.tensors, made.operators, made.inputs, made.outputs = [], [], [], []
        self.model.subgraphs.append(made)
        self.current = made
        return len(self.model.subgraphs) - 1

    def tensor(self, name: str, shape: Sequence[int], dtype: str, **fields: Any) -> int:
        made = schema.TensorT()
        made.name, made.shape, made.type = name, list(shape), TYPES[dtype]
        made.buffer = 0
        for field, value in fields.items():
            setattr(made, field, value)
        self.current.tensors.append(made)
        return len(self.current.tensors) - 1

    def input(self, *shape: int, dtype: str = "float32", **fields: Any) -> int:
        number = len(self.current.inputs)
        self.current.inputs.append(
            self.tensor(f"input_{number}", shape, dtype, **fields)
        )
        return self.current.inputs[-1]

    def constant(self, value: Any, **fields: Any) -> int:
        array = np.asarray(value)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        elif array.dtype == np.int64 and not isinstance(value, np.ndarray):
            array = array.astype(np.int32)
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        number = len(self.current.tensors)
        name = f"constant_{number}"
        place = len(self.model.buffers) - 1
        return self.tensor(name, array.shape, str(array.dtype), buffer=place, **fields)

    def state(self, *shape: int) -> int:
        """A tensor that keeps its values from run to run."""
        number = len(self.current.tensors)
        return self.tensor(f"state_{number}", shape, "float32", isVariable=True)

    def op(
        self,
        op: str,
        inputs: Sequence[int],
        chosen: Any = None,
        outputs: Sequence[str] = ("float32",),
        name: str = "output",
        custom: bytes | None = None,
        version: int = 1,
    ) -> list[int]:
        """Adds an operator, and returns the tensors that it computes."""
        code = schema.OperatorCodeT()
        code.builtinCode = CODES.get(op, CODES["CUSTOM"])
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.customCode = None if op in CODES else op
        code.version = version
        self.model.operatorCodes.append(code)
        made = schema.OperatorT()
        made.opcodeIndex = len(self.model.operatorCodes) - 1
        made.inputs = list(inputs)
        if chosen is not None:
            table, number, second = chosen
            if second:
                made.builtinOptions2, made.builtinOptions2Type = table, number
            else:
                made.builtinOptions, made.builtinOptionsType = table, number
        if custom is not None:
            made.customOptions = np.frombuffer(custom, np.uint8)
        made.outputs = [
            self.tensor(f"{name}_{k}" if k else name, (), dtype)
            for k, dtype in enumerate(outputs)
        ]
        self.current.operators.append(made)
        return made.outputs

    def content(self, outputs: Sequence[int] | None = None) -> bytes:
        """The model, whose last operator computes the outputs unless others are."""
        if outputs is not None:
            self.current.outputs = list(outputs)
        for subgraph in self.model.subgraphs:
            if not subgraph.outputs and subgraph.operators:
                subgraph.outputs = list(subgraph.operators[-1].outputs)
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def one_op(
    op: str,
    inputs: Sequence[Any],
    chosen: Any = None,
    outputs: Sequence[str] = ("float32",),
    **fields: Any,
) -> bytes:
    """A model of one operator. Inputs are fed, constants, or None if not given."""
    writer = Writer()
    numbers = []
    for given in inputs:
        if given is None:
            numbers.append(-1)
        elif isinstance(given, Fed):
            numbers.append(writer.input(*given.shape, dtype=given.dtype))
        elif isinstance(given, tuple) and given[:1] == ("state",):
            numbers.append(writer.state(*given[1:]))
        else:
            numbers.append(writer.constant(given))
    writer.op(op, numbers, chosen, outputs, **fields)
    return writer.content()
