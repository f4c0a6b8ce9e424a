"""Writes the ops that Keras layers run as the nodes of a graph.

The ops are those of TensorFlow, so that every question knows them. Sizes are written
as expressions of the input's size, so that the graph also holds for other inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from receptive_field.algebra.sizes import Size
from receptive_field.arrays import np
from receptive_field.frameworks.keras.calls import NoRuleError
from receptive_field.frameworks.keras.masks import Masks
from receptive_field.frameworks.tensorflow.attributes import (
    StatedTensor,
    attribute,
    attributes,
    type_name,
)
from receptive_field.frameworks.tensorflow.framework import TensorFlow
from receptive_field.frameworks.tensorflow.ops import OPS
from receptive_field.graph.graph import ABSENT, Frame, Graph, Tensor
from receptive_field.rules.inference import Inference
from receptive_field.rules.op import Op

FLOAT, INT = 1, 3
"""DataTypes of constants and weights."""

_NUMBERS = {
    "float64": 2,
    "int32": INT,
    "uint8": 4,
    "int16": 5,
    "int8": 6,
    "string": 7,
    "int64": 9,
    "bool": 10,
}


@dataclass(slots=True)
class Written:
    """A node of a written graph; `KerasFramework` reads its fields as attributes."""

    name: str
    op: str
    fields: dict[str, Any]
    input: list[str] = field(default_factory=list)


class WrittenConstant(StatedTensor):
    """A constant whose values are plain numbers.

    Args:
      values: a number or lists of numbers, which need no NumPy, or anything else that
        it takes for an array.
    """

    __slots__ = ("_values", "dtype", "shape")

    _values: Any
    dtype: str
    """The name of their type."""
    shape: tuple[int, ...]

    def __init__(self, values: Any) -> None:
        plain = _plain(values)
        if plain is None:
            array = self._values = np.asarray(values)
            integers = isinstance(values, list) and array.dtype.kind == "i"
            self.dtype = "int32" if integers else array.dtype.name
            self.shape = array.shape
        else:
            self.shape, self._values = plain
            kinds = set(map(type, self._values))
            floats = float in kinds or not kinds
            self.dtype = "float64" if floats else "int32" if int in kinds else "bool"

    def __repr__(self) -> str:
        return repr(self._values)

    def numbers(self) -> Sequence[Any]:
        """Returns the values as a flat list."""
        values = self._values
        flat: list[Any] = (
            values if isinstance(values, list) else values.ravel().tolist()
        )
        return flat

    def array(self, numbers: Sequence[Any]) -> np.ndarray[Any, Any]:
        """Returns the values as an array."""
        return np.asarray(self._values).reshape(self.shape)


def _plain(values: Any) -> tuple[tuple[int, ...], list[Any]] | None:
    """Returns the shape and the numbers of nested lists, or None for other values."""
    if type(values) in (bool, int, float):
        return (), [values]
    if not isinstance(values, (list, tuple)):
        return None
    if set(map(type, values)) <= {bool, int, float}:
        return (len(values),), list(values)
    shapes: set[tuple[int, ...]] = set()
    numbers: list[Any] = []
    for part in values:
        inner = _plain(part)
        if inner is None:
            return None
        shapes.add(inner[0])
        numbers += inner[1]
    if len(shapes) > 1:
        return None
    return (len(values), *next(iter(shapes), ())), numbers


class KerasFramework(TensorFlow):
    """The `Framework` of graphs that were written layer by layer."""

    def attribute(self, definition: Any, name: str) -> Any:
        """Returns a field of a node that was written, or `ABSENT`.

        Nodes of traced layers have attributes as in TensorFlow.
        """
        if isinstance(definition, Written):
            return definition.fields.get(name, ABSENT)
        return attribute(definition, name)

    def attributes(self, definition: Any) -> dict[str, Any]:
        """Returns the fields of a node that was written, with the name of its type."""
        if not isinstance(definition, Written):
            return attributes(definition)
        found = dict(definition.fields)
        if "dtype" in found:
            found["dtype"] = type_name(found["dtype"])
        return found


KERAS = KerasFramework()


class Writer:
    """A graph to which nodes are added.

    Args:
      name: the name of the graph in results.
    """

    def __init__(self, name: str) -> None:
        self.graph = Graph([], name, rules=OPS, framework=KERAS)
        self._known = Inference(self.graph)
        self._frame = self.graph.nodes.root
        self._scope = ""
        self.owner: Hashable = None
        self._weights: dict[Hashable, Tensor] = {}
        self._added: set[str] = set()
        self._number = 0
        self.masks = Masks(self.graph)
        self.dtypes: dict[Tensor, str] = {}
        """The types of tensors that calls read, as far as Keras states them."""

    @contextmanager
    def scope(self, name: str, owner: Hashable) -> Iterator[None]:
        """Puts this name in front of the names of the nodes written in the context.

        Calls with the same owner, a layer, read the same weights.
        """
        before = self._scope, self.owner, self._number
        self._scope, self.owner, self._number = name, owner, 0
        try:
            yield
        finally:
            self._scope, self.owner, self._number = before

    @contextmanager
    def body(self) -> Iterator[None]:
        """Makes the nodes written in the context the body of the next While node."""
        before = self._frame
        scope = f"{self._unique('While')}/body/"
        self._frame = Frame(scope=scope, caller=before)
        try:
            yield
        finally:
            self._frame = before

    @property
    def is_in_loop(self) -> bool:
        """Whether the nodes that are written now are the body of a loop."""
        return self._frame is not self.graph.nodes.root

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Removes the nodes that were written in the context if it fails."""
        count, masks = len(self.graph), self.masks.copy()
        try:
            yield
        except NoRuleError:
            self.graph.cut(count)
            self.masks = masks
            self._known = Inference(self.graph)
            for key in [k for k, (i, _) in self._weights.items() if i >= count]:
                del self._weights[key]
            raise

    def shape(self, tensor: Tensor) -> tuple[Size, ...]:
        """Returns the shape of a tensor.

        Raises:
          NoRuleError: if its rank is unknown.
        """
        shape = self._known.shape(tensor)
        if shape is None:
            name = self.graph.name_of(tensor)
            raise NoRuleError(f"the number of axes of {name!r} is unknown")
        return shape

    def rank(self, tensor: Tensor) -> int:
        """Returns the number of axes of a tensor."""
        return len(self.shape(tensor))

    def op(self, kind: str, *inputs: Any, **fields: Any) -> Tensor:
        """Adds a node and returns its first output.

        Inputs that are numbers or lists become constants.
        """
        tensors = [self.tensor(thing) for thing in inputs]
        return self._node(kind, kind, tensors, fields)

    def stated(self, kind: str, op: Op, tensors: Sequence[Tensor]) -> Tensor:
        """Adds a node with a rule of the caller."""
        tensor = self._node(kind, kind, tensors, {})
        self.graph.nodes[tensor[0]].stated = op
        return tensor

    def placeholder(
        self, name: str, shape: Sequence[int | None], dtype: str = "float32"
    ) -> Tensor:
        """Adds an input of this shape, with None for unknown sizes."""
        fields = {"shape": tuple(shape), "dtype": self.dtype(dtype)}
        return self._node("Placeholder", name, (), fields)

    def weight(self, *shape: Size) -> Tensor:
        """Adds the next variable of the owner, with this shape.

        If an earlier call of the owner has added it, that variable is returned.
        """
        self._number += 1
        return self.variable((self.owner, self._number), shape)

    def variable(self, key: Hashable, shape: Sequence[Size]) -> Tensor:
        """Adds a variable of this shape, unless one was added with this key."""
        if key not in self._weights:
            sizes = tuple(size if isinstance(size, int) else None for size in shape)
            fields = {"shape": sizes, "dtype": FLOAT}
            self._weights[key] = self._node("VariableV2", "weight", (), fields)
        return self._weights[key]

    def add(
        self, other: Graph, inputs: Mapping[int, Tensor]
    ) -> Callable[[Tensor], Tensor]:
        """Adds the nodes of another graph.

        Args:
          other: the graph.
          inputs: the tensors of this graph to put in the place of placeholders of the
            other, by the placeholders' indices.

        Returns:
          A function that returns what a tensor of the other graph has become.
        """
        scope = self._scope
        while f"{scope}/" in self._added:
            scope += "_"
        self._added.add(f"{scope}/")
        frames: dict[int, Frame] = {}
        places: dict[int, int] = {}
        for node in other:
            if node.index not in inputs:
                frame = frames.setdefault(
                    id(node.frame), Frame(scope=f"{scope}/{node.frame.scope}")
                )
                made = self.graph.append(node.definition, frame)
                made.op, places[node.index] = node.op, made.index

        def place(tensor: Tensor) -> Tensor:
            index, number = tensor
            return inputs[index] if index in inputs else (places[index], number)

        for index, added in places.items():
            self.graph.nodes[added].read(map(place, other.nodes[index].inputs))
        return place

    @staticmethod
    def dtype(name: str | None) -> int:
        """Returns the DataType of a Keras type; of 32-bit numbers for most others."""
        return _NUMBERS.get(str(name), FLOAT)

    def size(self, tensor: Tensor, axis: int) -> Tensor:
        """Adds the size of an axis as a number."""
        axis %= self.rank(tensor)
        limits = ([axis], [axis + 1], [1])
        return self.op("StridedSlice", self.op("Shape", tensor), *limits, **SHRINK)

    def reduced(self, kind: str, things: Sequence[Any]) -> Tensor:
        """Adds an op on the first two things, one on its result and the third, and so
        on."""
        return self.tensor(reduce(lambda one, two: self.op(kind, one, two), things))

    def sizes(self, *sizes: Any) -> Tensor:
        """Adds a vector of sizes, each of them a number or a tensor."""
        if any(isinstance(size, tuple) for size in sizes):
            return self.op("Pack", *sizes, axis=0)
        return self.tensor(list(sizes))

    def tensor(self, thing: Any) -> Tensor:
        """Returns a tensor as it is, and adds a constant for a number or an array.

        Raises:
          NoRuleError: if a value is none, as a size that its layer does not know.
        """
        if isinstance(thing, tuple):
            return thing
        value = WrittenConstant(thing)
        if value.dtype.startswith(("object", "str", "bytes")):
            raise NoRuleError(f"it reads {thing!r}, which is not a number")
        fields = {"value": value, "dtype": self.dtype(value.dtype)}
        return self._node("Const", "Const", (), fields)

    def _node(
        self, kind: str, name: str, tensors: Sequence[Tensor], fields: dict[str, Any]
    ) -> Tensor:
        frame = self._frame
        unique = self._unique(name).removeprefix(frame.scope)
        node = self.graph.append(Written(unique, kind, fields), frame)
        node.read(tensors)
        return node.index, 0

    def _unique(self, name: str) -> str:
        """Returns the name that the next node gets which is called so."""
        own = f"{self._scope}/{name}" if self._scope else name
        whole = self._frame.scope + own
        number, unique = 0, whole
        while unique in self.graph.index_of:
            number += 1
            unique = f"{whole}_{number}"
        return unique


SHRINK = {
    "begin_mask": 0,
    "end_mask": 0,
    "ellipsis_mask": 0,
    "new_axis_mask": 0,
    "shrink_axis_mask": 1,
}
"""The attributes of a StridedSlice that takes one position of its only axis."""
