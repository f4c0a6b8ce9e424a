"""The nodes of a graph: operators, and the tensors that no operator computes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from receptive_field.frameworks.tflite.flatbuffer import Table
from receptive_field.frameworks.tflite.schema import (
    ACTIVATIONS,
    BUILTINS,
    MIRROR_MODES,
    OPTIONS,
    OPTIONS_2,
    PADDINGS,
    Field,
)
from receptive_field.frameworks.tflite.tensors import TensorInfo
from receptive_field.threads import lazy

INPUT, CONSTANT, VARIABLE = "Input", "Constant", "Variable"
"""The op types of tensors that no operator computes. The format has no names for them,
so these are not written like its op types."""


@dataclass
class Source:
    """A tensor that no operator computes, as a node."""

    name: str
    op: str
    tensor: TensorInfo
    input: tuple[str, ...] = ()

    @property
    def outputs(self) -> Sequence[TensorInfo]:
        """The tensors that the node returns."""
        return [self.tensor]

    @property
    def attributes(self) -> Mapping[str, Any]:
        """What a rule can ask about the node."""
        return {"tensor": self.tensor, "dtype": self.tensor.dtype}


@dataclass
class Operator:
    """An operator, as a node."""

    name: str
    op: str
    table: Table
    place: tuple[int, int]
    """The number of the subgraph, and of the operator in it."""
    given: Sequence[TensorInfo]
    """The tensors that it reads, without optional ones that are missing."""
    places: Sequence[int]
    """For each of them, its number among all inputs of the op."""
    outputs: Sequence[TensorInfo]
    input: list[str] = field(default_factory=list)

    @lazy
    def attributes(self) -> Mapping[str, Any]:
        """The options under the names of TensorFlow's attributes, where it has them."""
        found = as_tensorflow(self._options()) | self._of_tensors()
        return found if self.op in BUILTINS else found | self._of_custom()

    def _options(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for kind, place, tables in ((3, 4, OPTIONS), (11, 12, OPTIONS_2)):
            fields = tables.get(self.table.number(kind, "B"), ())
            options = self.table.table(place) if fields else None
            for one in fields if options is not None else ():
                found[one.name] = value_of(options, one)
        return found

    def _of_tensors(self) -> dict[str, Any]:
        """Returns attributes that say which tensors the operator reads and returns."""
        first = self.given[0].dtype if self.given else 0
        outputs = [tensor.dtype for tensor in self.outputs]
        shapes = [tensor.shape for tensor in self.outputs]
        own = {"places": list(self.places), "Tout": outputs, "stated_shapes": shapes}
        # A cast has the types of its tensors, whatever its options say.
        return own | {"T": first, "SrcT": first, "DstT": outputs[0] if outputs else 0}

    def _of_custom(self) -> dict[str, Any]:
        """Returns the options of an op that is not builtin.

        An op of TensorFlow ("Flex") has the attributes that it has there.
        """
        found = self.table.vector(5, "the options of an operator")
        if found is None:
            return {}
        count, start = found
        options = self.table.buffer.bytes(start, count, "the options of an operator")
        if not self.op.startswith("Flex"):
            return {"custom_options": options}
        from receptive_field.frameworks.tflite.flex import attributes

        return attributes(options, self.name)

    @property
    def activation(self) -> str:
        """The name of the activation that the op applies to its result, or ""."""
        if self.op not in WITH_ACTIVATION:
            return ""
        found = self.attributes.get("fused_activation_function", "NONE")
        return "" if found == "NONE" else str(found)


@dataclass
class Activation:
    """The activation that an operator applies to its result, as a node."""

    name: str
    op: str
    operator: Operator
    input: tuple[str, ...]

    @property
    def outputs(self) -> Sequence[TensorInfo]:
        """The tensors that the node returns."""
        return self.operator.outputs[:1]

    @property
    def attributes(self) -> Mapping[str, Any]:
        """What a rule can ask about the node."""
        return {"T": self.outputs[0].dtype}


OF_TENSORS = ("places", "Tout", "stated_shapes", "T", "SrcT", "DstT", "tensor", "dtype")
"""Attributes that say something about the tensors of a node, for rules."""

WITH_ACTIVATION = frozenset(
    (
        *("ADD", "SUB", "MUL", "DIV", "CONCATENATION", "FULLY_CONNECTED"),
        *("CONV_2D", "DEPTHWISE_CONV_2D", "CONV_3D", "TRANSPOSE_CONV"),
        *("CONV_3D_TRANSPOSE", "AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D"),
        "L2_NORMALIZATION",
    )
)
"""Ops whose activation is a node of its own, because rules of TensorFlow's have none.
Recurrent ops apply theirs inside."""


def value_of(options: Table | None, one: Field) -> Any:
    """Returns the value of a field, as a number, a text or a list of numbers."""
    assert options is not None
    if one.letter == "s":
        return options.text(one.number)
    if one.is_vector:
        return list(options.numbers(one.number, one.letter))
    default = bool(one.default) if one.letter == "?" else one.default
    return options.number(one.number, one.letter, default)


RENAMED = {
    "num_splits": "num_split",
    "radius": "depth_radius",
    "cond_subgraph_index": "condition",
    "body_subgraph_index": "body",
    "decomposition_subgraph_index": "subgraph",
    "branch_subgraph_indices": "branches",
}

ENUMERATIONS = {
    "padding": PADDINGS,
    "fused_activation_function": ACTIVATIONS,
    "mode": MIRROR_MODES,
}

PER_AXIS = {
    "strides": ("stride_d", "stride_h", "stride_w"),
    "dilations": ("dilation_d_factor", "dilation_h_factor", "dilation_w_factor"),
    "ksize": ("", "filter_height", "filter_width"),
}
"""Attributes of TensorFlow -> the options of depth, height and width that they join."""


def as_tensorflow(options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns options under the names and in the form of TensorFlow's attributes."""
    found: dict[str, Any] = {}
    for name, value in options.items():
        if name in ENUMERATIONS and isinstance(value, int):
            known = ENUMERATIONS[name]
            value = known[value] if 0 <= value < len(known) else str(value)
        found[RENAMED.get(name, name)] = value
    for name, parts in PER_AXIS.items():
        sizes = [options[part] for part in parts if part in options]
        if sizes:
            found[name] = [1, *sizes, 1]
    return found


CALLING: dict[str, tuple[str, ...]] = {
    "CALL": ("subgraph",),
    "STABLEHLO_COMPOSITE": ("subgraph",),
    "IF": ("then_subgraph_index", "else_subgraph_index"),
    "WHILE": ("body", "condition"),
    "STABLEHLO_WHILE": ("body", "condition"),
    "STABLEHLO_CASE": (),
}
"""Ops that call subgraphs -> the options that name them."""
